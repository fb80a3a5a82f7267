"""Bad input to the evaluation: a number, a reason why there is none, or one clear message. Never NaN, never a crash."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import LIBRARY, as_sets, one_label, random_sequences, real, sequences, windows

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.comparison import compare
from diffusion_bert.evaluation.composition import evaluate_composition
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.evaluation.floors import make_floors
from diffusion_bert.evaluation.grammar import evaluate_grammar, read_grammar
from diffusion_bert.evaluation.kmers import evaluate_kmers
from diffusion_bert.evaluation.likelihood import evaluate_likelihood, markov_scores
from diffusion_bert.evaluation.markov import fit_best_markov
from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.novelty import evaluate_novelty
from diffusion_bert.evaluation.sets import match_sets
from diffusion_bert.tables import EVALUATION, check

GRAMMAR = {
    "motifs": {
        motif.matrix_id: {"name": motif.name, "counts": dict(zip("ACGT", motif.counts.tolist(), strict=True))}
        for motif in LIBRARY
    },
    "labels": {
        "blood": {
            "sites": [{"matrix_id": name, "strand": "+", "probability": 1.0} for name in ("M_GATA", "M_ETS")],
            "spacing": [2, 5],
            "module_strand": "either",
        },
        "gut": {
            "sites": [{"matrix_id": "M_HNF", "strand": "+", "probability": 1.0}],
            "spacing": [2, 5],
            "module_strand": "either",
        },
    },
}
N = 50


@pytest.fixture(scope="module")
def chain():
    return fit_best_markov(windows(real(20, 1)), windows(real(10, 5)), [0, 1])[0]


def likelihood(sets: pd.DataFrame, chain) -> tuple:
    bits = sets[["set", "name"]].assign(bits_per_base=1.9, standard_error=0.1)
    return evaluate_likelihood(sets, bits, markov_scores(sets, chain), bootstrap=20, seed=1)


def novelty(sets: pd.DataFrame, chain) -> tuple:
    train = sets.loc[sets["set"] == "reference", ["label", "sequence"]].reset_index(drop=True)
    return evaluate_novelty(sets, windows(train), bootstrap=20, seed=1)


QUESTIONS = {
    "composition": lambda sets, chain: evaluate_composition(sets, bootstrap=20, seed=1),
    "kmers": lambda sets, chain: evaluate_kmers(sets, bootstrap=20, seed=1, sizes=(1, 3, 6)),
    "motifs": lambda sets, chain: evaluate_motifs(sets, LIBRARY, bootstrap=20, seed=1),
    "novelty": novelty,
    "discrimination": lambda sets, chain: evaluate_discrimination(sets, bootstrap=20, seed=1),
    "grammar": lambda sets, chain: evaluate_grammar(sets, GRAMMAR, bootstrap=20, seed=1),
    "likelihood": likelihood,
}
KINDS = {
    "one base": lambda seed: ["A", "C", "A"],
    "three bases": lambda seed: random_sequences(N, seed, width=3),
    "nothing at all": lambda seed: [""] * N,
    "lower case": lambda seed: [sequence.lower() for sequence in random_sequences(N, seed)],
    "N alone": lambda seed: ["N" * 60] * N,
    "other letters": lambda seed: [f"é*{s.replace('A', 'R').replace('C', '-')}" for s in random_sequences(N, seed)],
    "all lengths": lambda seed: [sequence[:length] for length, sequence in enumerate(random_sequences(N, seed))],
    "one sequence": lambda seed: random_sequences(1, seed),
    "two sequences": lambda seed: random_sequences(2, seed),
    "one base over and over": lambda seed: ["A" * 60] * N,
}


def cases() -> dict[str, pd.DataFrame]:
    """Sets of a kind all, and the same for the generated set alone; and tables that lack something."""
    fine = [one_label(random_sequences(N, seed)) for seed in (7, 8, 9)]
    out = {}
    for name, kind in KINDS.items():
        own = [one_label(kind(seed)) for seed in (1, 2, 3, 4)]
        out[f"all sets: {name}"] = as_sets(generated=own[0], ceiling=own[1], uniform=own[2], reference=own[3])
        out[f"generated: {name}"] = as_sets(generated=own[0], ceiling=fine[0], uniform=fine[1], reference=fine[2])
    out["reference: N alone"] = as_sets(generated=fine[0], ceiling=fine[1], reference=one_label(["N" * 60] * N))
    two = [one_label(random_sequences(N, seed), label) for seed, label in ((1, "a"), (2, "b"))]
    out["ceiling lacks a label"] = as_sets(generated=pd.concat(two), ceiling=two[0], reference=pd.concat(two))
    out["reference lacks a label"] = as_sets(generated=pd.concat(two), ceiling=pd.concat(two), reference=two[0])
    return out


CASES = cases()


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_number_is_one_or_has_a_reason(question, chain):
    """All cases of a question in one test, as each takes a moment."""
    for name, sets in CASES.items():
        evaluation, details = QUESTIONS[question](sets, chain)
        check(evaluation, EVALUATION, name)
        silent = evaluation[evaluation["value"].isna() & evaluation["note"].isna()]
        assert silent.empty, (name, silent)
        numbers = evaluation.dropna(subset=["value"])
        assert np.isfinite(numbers["value"].astype(float)).all(), name
        for row in numbers.itertuples():
            low, high = METRICS[row.metric].bounds
            assert low is None or row.value >= low - 1e-9, (name, row)
            assert high is None or row.value <= high + 1e-9, (name, row)
        assert all(isinstance(frame, pd.DataFrame) for frame in details.values())
        _, verdict = compare({("model", "sampler"): evaluation})
        unknown = verdict[verdict["position"].isna() & verdict["note"].isna()]
        assert unknown.empty, (name, unknown)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_table_without_a_reference_is_one_message(question, chain):
    sets = as_sets(generated=one_label(random_sequences(3, 1)), ceiling=one_label(random_sequences(3, 2)))
    for table, there in ((sets, "generated, ceiling"), (sets.iloc[:0], "nothing")):
        with pytest.raises(UserError, match=f"hold {there}, but no set named reference"):
            QUESTIONS[question](table, chain)


@pytest.mark.parametrize("question", ["composition", "kmers", "motifs", "novelty", "discrimination", "likelihood"])
def test_a_set_without_sequences_has_reasons_alone(question, chain):
    """A label that a set lacks is how this comes about."""
    evaluation, _ = QUESTIONS[question](CASES["ceiling lacks a label"], chain)
    lacking = evaluation[(evaluation["set"] == "ceiling") & (evaluation["label"] == "b")]
    assert len(lacking)
    assert lacking["value"].isna().all()
    assert (lacking["n"] == 0).all()


def test_one_label_has_no_contrast_and_says_so(chain):
    evaluation, _ = QUESTIONS["motifs"](CASES["generated: lower case"], chain)
    notes = evaluation.loc[evaluation["metric"] == "motif_contrast_pearson", "note"]
    assert notes.str.startswith("fewer than two labels").all()


def test_matched_sets_are_in_upper_case():
    train, test = windows(real(5, 1)), windows(real(5, 2))
    generated = sequences(real(5, 3), "generated")
    lower = generated.assign(sequence=generated["sequence"].str.lower())
    floors = {"uniform": sequences(real(5, 4), "uniform")}
    pd.testing.assert_frame_equal(
        match_sets(lower, train, test, floors, seed=1), match_sets(generated, train, test, floors, seed=1)
    )


@pytest.mark.parametrize("lacking", ["generated", "train", "test", "floor"])
def test_no_sequences_of_a_set_are_one_message(lacking):
    tables = {
        "generated": sequences(real(5, 3), "generated"),
        "train": windows(real(5, 1)),
        "test": windows(real(5, 2)),
        "floor": sequences(real(5, 4), "uniform"),
    }
    tables[lacking] = tables[lacking].iloc[:0]
    with pytest.raises(UserError, match="No label has sequences in every set"):
        match_sets(tables["generated"], tables["train"], tables["test"], {"uniform": tables["floor"]}, seed=1)


def test_floors_of_no_held_out_windows_are_empty_and_of_no_training_windows_one_message():
    some, none = windows(real(10, 1)), windows(real(10, 1)).iloc[:0]
    frames, table, _ = make_floors(some, some, none, orders=[0, 1], seed=1)
    assert {len(frame) for frame in frames.values()} == {0}
    assert table["test_bits_per_base"].isna().all()
    with pytest.raises(UserError, match="A Markov chain needs training windows"):
        make_floors(none, some, some, orders=[0, 1], seed=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no motif was found"),
        ("\n \n", "no motif was found"),
        ("MEME version 4\n\nALPHABET= ACGT\n", "no motif was found"),
        ("MEME version 4\n\nMOTIF M1\n", "has no letter-probability matrix"),
        (">M1 one\nA [ ]\nC [ ]\nG [ ]\nT [ ]\n", "cannot be read"),
        ("<html>not found</html>", "no motif was found"),
    ],
)
def test_a_motif_file_without_motifs_is_one_message(text, said, tmp_path):
    path = tmp_path / "motifs.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        load_motifs(str(path))
    assert "motifs.txt" in str(raised.value)


def test_a_grammar_that_is_not_one_is_one_message(tmp_path):
    path = tmp_path / "grammar.json"
    for text in ("", "[]", "{}", json.dumps(GRAMMAR | {"labels": {"blood": {"sites": []}}})):
        path.write_text(text)
        with pytest.raises(UserError, match="grammar.json"):
            read_grammar(path)
    path.write_text(json.dumps(GRAMMAR))
    assert read_grammar(path) == GRAMMAR
