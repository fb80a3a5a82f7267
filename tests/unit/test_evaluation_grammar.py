"""A planted grammar, found again; and generators that break it in one way each."""

import json

import numpy as np
import pytest
from evaluation_cases import as_sets, complement, motif, one_label, random_sequences, row, value
from scipy import stats

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.grammar import evaluate_grammar, read_grammar

SITES = {"MA1": "GATAAGGCTC", "MA2": "CCGGAAGTGA", "MA3": "GTTAATGATTAAC"}
WIDTH = 100


def as_json(strength: float = 0.999) -> dict:
    motifs = {}
    for matrix_id, consensus in SITES.items():
        counts = motif(matrix_id, consensus, strength).counts
        motifs[matrix_id] = {"name": matrix_id, "counts": dict(zip("ACGT", counts.tolist(), strict=True))}
    return {
        "motifs": motifs,
        "labels": {
            "one": {
                "sites": [
                    {"matrix_id": "MA1", "strand": "+", "probability": 1.0},
                    {"matrix_id": "MA2", "strand": "-", "probability": 1.0},
                ],
                "spacing": [4, 8],
                "module_strand": "either",
            },
            "two": {
                "sites": [
                    {"matrix_id": "MA3", "strand": "either", "probability": 1.0},
                    {"matrix_id": "MA1", "strand": "+", "probability": 1.0},
                ],
                "spacing": [2, 5],
                "module_strand": "+",
            },
        },
    }


def written(parts: list[str], gap: int, seed: int, reverse: bool = False) -> str:
    """A random sequence with the parts in a row, gap bp between them."""
    generator = np.random.default_rng(seed)
    module = parts[0]
    for part in parts[1:]:
        module += "".join(generator.choice(list("ACGT"), gap)) + part
    module = complement(module) if reverse else module
    start = 10 + int(generator.integers(20))
    text = random_sequences(1, seed + 500, width=WIDTH)[0]
    return text[:start] + module + text[start + len(module) :]


def one(n: int, seed: int, **changes) -> list[str]:
    """Modules of label one; changes: what of it is wrong."""
    generator = np.random.default_rng(seed)
    out = []
    for i in range(n):
        parts = [SITES["MA1"], SITES["MA2"] if changes.get("strand") else complement(SITES["MA2"])]
        parts = parts[::-1] if changes.get("order") else parts
        gap = changes.get("gap", int(generator.integers(4, 9)))
        out.append(written(parts, gap, seed * 1000 + i, reverse=bool(i % 2)))
    return out


def two(n: int, seed: int, reverse: bool = False) -> list[str]:
    return [
        written(
            [SITES["MA3"] if i % 2 else complement(SITES["MA3"]), SITES["MA1"]], 2 + i % 4, seed * 1000 + i, reverse
        )
        for i in range(n)
    ]


def judge(generated: list[str], label: str = "one", reference: list[str] | None = None):
    reference = reference or (one(30, 9) if label == "one" else two(30, 9))
    sets = as_sets(generated=one_label(generated, label), reference=one_label(reference, label))
    return evaluate_grammar(sets, as_json(), bootstrap=100, seed=1)


def test_whole_modules_are_found_on_either_strand():
    evaluation, details = judge(one(30, 1))
    for metric in ("grammar_recovery", "grammar_sites", "grammar_syntax"):
        assert value(evaluation, metric) > 0.95
        assert value(evaluation, metric, label="one") > 0.95
    assert value(evaluation, "grammar_specificity") > 0.9
    assert value(evaluation, "grammar_spacing_distance") < 1
    modules = details["modules"].query("set == 'generated'")
    assert modules["complete"].mean() == value(evaluation, "grammar_recovery")
    assert list(modules.columns) == ["set", "label", "name", "sites", "complete", "others"]


@pytest.mark.parametrize("change", [{"order": True}, {"strand": True}, {"gap": 3}, {"gap": 9}])
def test_a_module_with_one_thing_wrong_is_not_complete_although_its_sites_are_there(change):
    evaluation, _ = judge(one(30, 1, **change))
    assert value(evaluation, "grammar_sites") > 0.95
    assert value(evaluation, "grammar_recovery") < 0.15
    assert value(evaluation, "grammar_syntax") < 0.15


def test_a_site_of_either_strand_and_a_module_of_one_strand():
    assert value(judge(two(20, 1), "two")[0], "grammar_recovery") == 1
    assert value(judge(two(20, 1, reverse=True), "two")[0], "grammar_recovery") < 0.1


def test_spacing_distance_is_scipys():
    gaps = [4, 4, 5, 6, 8, 8]
    ours = [written([SITES["MA1"], complement(SITES["MA2"])], gap, 7000 + i) for i, gap in enumerate(gaps)]
    theirs = [written([SITES["MA1"], complement(SITES["MA2"])], 15, 8000 + i) for i in range(6)]
    evaluation, details = judge(ours, reference=theirs)
    table = details["spacings"].query("label == 'one' and count > 0")
    found = {name: np.repeat(part["gap"].to_numpy(), part["count"].to_numpy()) for name, part in table.groupby("set")}
    assert found["generated"].tolist() == gaps
    assert found["reference"].tolist() == [15] * 6
    expected = stats.wasserstein_distance(found["generated"], found["reference"])
    assert value(evaluation, "grammar_spacing_distance") == pytest.approx(expected)


def test_another_labels_module_is_told_apart():
    sets = as_sets(
        generated=one_label(two(20, 1), "one"),
        ceiling=one_label(one(20, 2), "one"),
        reference=one_label(one(20, 3), "one"),
    )
    evaluation, _ = evaluate_grammar(sets, as_json(), bootstrap=50, seed=1)
    assert value(evaluation, "grammar_specificity") == pytest.approx(-1, abs=0.1)
    assert value(evaluation, "grammar_specificity", "ceiling") == pytest.approx(1, abs=0.1)


def test_random_sequences_hold_no_module():
    evaluation, _ = judge(random_sequences(40, 1, width=WIDTH))
    assert value(evaluation, "grammar_recovery") == 0
    assert row(evaluation, "grammar_recovery")["n"] == 40
    assert value(evaluation, "grammar_sites") < 0.4


def test_a_generator_without_labels_is_judged_by_the_module_it_holds():
    mixed = one(10, 1) + two(10, 2)
    sets = as_sets(generated=one_label(mixed, "all"), reference=one_label(one(10, 3) + two(10, 4), "all"))
    evaluation, _ = evaluate_grammar(sets, as_json(), bootstrap=50, seed=1)
    assert value(evaluation, "grammar_recovery") > 0.9
    assert row(evaluation, "grammar_specificity")["note"] == "the grammar has no other label to tell apart"


def test_what_cannot_be_had_is_null_with_a_reason():
    evaluation, _ = judge(["A" * WIDTH] * 5)
    assert row(evaluation, "grammar_syntax")["note"] == "no sequence holds all motifs of its module"
    assert row(evaluation, "grammar_spacing_distance")["note"] == "no neighbouring sites in the set"
    sets = as_sets(generated=one_label(one(2, 1), "one"), ceiling=one_label(two(2, 1), "two"),
                   reference=one_label(one(2, 2), "one"))  # fmt: skip
    evaluation, _ = evaluate_grammar(sets, as_json(), bootstrap=20, seed=1)
    assert row(evaluation, "grammar_recovery", "generated", "two")["note"] == "no sequence"


def test_the_grammar_reads_back(tmp_path):
    path = tmp_path / "grammar.json"
    path.write_text(json.dumps(as_json()))
    assert read_grammar(path) == as_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: "{", "is not JSON"),
        (lambda g: g.pop("labels"), "something is missing or of another form: 'labels'"),
        (lambda g: g["motifs"]["MA1"]["counts"]["A"].pop(), "motifs.MA1: A, C, G and T differ in their number"),
        (
            lambda g: g["labels"]["one"].update(spacing=[8, 4]),
            "labels.one: sites, spacing or module_strand is not valid",
        ),
        (lambda g: g["labels"]["two"]["sites"][0].update(matrix_id="X"), "labels.two: a site has an unknown motif"),
    ],
)
def test_a_grammar_of_another_form_is_one_message(tmp_path, change, message):
    grammar = as_json()
    text = change(grammar)
    path = tmp_path / "grammar.json"
    path.write_text(text if text == "{" else json.dumps(grammar))
    with pytest.raises(UserError, match=message) as error:
        read_grammar(path)
    assert "grammar.json" in str(error.value)
    assert error.value.remedy.startswith("Remove the file so that the simulation runs again")


def test_a_motif_too_short_to_be_found_is_one_message():
    grammar = as_json()
    grammar["motifs"]["MA1"]["counts"] = {base: [25.0, 25.0] for base in "ACGT"}
    sets = as_sets(generated=one_label(one(2, 1), "one"), reference=one_label(one(2, 2), "one"))
    with pytest.raises(UserError, match="motif MA1 is too short to be found at p < 0.001. Plant motifs"):
        evaluate_grammar(sets, grammar, bootstrap=20, seed=1)
