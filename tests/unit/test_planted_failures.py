"""Generators that fail in a known way, each caught by the metric that is there for it, and a good one that is not.

The verdict is asked, as a reader would ask it: what is worse than held-out real sequences, and how far is the way from
the floors. Each failure is one set of the same table, beside the ceiling and the floors, so that all are judged alike.
"""

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import complement, sequences, windows

from diffusion_bert.evaluation.comparison import compare
from diffusion_bert.evaluation.composition import evaluate_composition
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.evaluation.floors import dinucleotide_shuffle, make_floors
from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.novelty import evaluate_novelty
from diffusion_bert.evaluation.sets import match_sets
from diffusion_bert.reporting import verdict

WIDTH, EACH = 100, 120
# Each label's motifs, in JASPAR: NFE2 and GATA1::TAL1; HNF1A and HNF4A.
MODULE = {"erythroid": ("MA0841.2", "MA0140.3"), "hepatic": ("MA0046.3", "MA1494.2")}
OTHERS = 25  # further motifs of JASPAR that are looked for
FLOORS = ("dinucleotide_shuffle", "markov", "uniform")


@pytest.fixture(scope="module")
def library():
    found = load_motifs("jaspar", "vertebrates")
    planted = {matrix for module in MODULE.values() for matrix in module}
    others = [motif for motif in found if motif.matrix_id not in planted]
    return [m for m in found if m.matrix_id in planted] + others[:: len(others) // OTHERS]


def made(library, n: int, seed: int, *, scrambled: bool = False) -> pd.DataFrame:
    """n sequences of each label: a background whose GC differs between sequences as much as in a genome, and the
    label's module about the middle, on either strand, each site drawn from its matrix and there in four of five.

    scrambled: the letters of each site in another order, always the same, so that composition alone is kept.
    """
    draw = np.random.default_rng(seed)
    matrix = {motif.matrix_id: motif.counts / motif.counts.sum(axis=0) for motif in library}
    order = {name: np.random.default_rng(7).permutation(table.shape[1]) for name, table in matrix.items()}
    rows = []
    for label, module in MODULE.items():
        for _ in range(n):
            gc = np.clip(draw.normal(0.45, 0.09), 0.1, 0.9)
            text = "".join(draw.choice(list("ACGT"), WIDTH, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))
            sites = []
            for name in module:
                table = matrix[name][:, order[name]] if scrambled else matrix[name]
                site = "".join("ACGT"[draw.choice(4, p=column)] for column in table.T)
                gap = "".join(draw.choice(list("ACGT"), int(draw.integers(3, 7))))
                sites.append((site if draw.random() < 0.8 else "") + gap)
            inner = "".join(sites)
            start = WIDTH // 2 - len(inner) // 2 + int(draw.integers(-8, 9))
            text = text[:start] + inner + text[start + len(inner) :]
            rows.append((label, complement(text) if draw.random() < 0.5 else text))
    return pd.DataFrame(rows, columns=["label", "sequence"])


def with_edits(sequence: str, edits: int, draw: np.random.Generator) -> str:
    letters = list(sequence)
    for place in draw.choice(len(sequence), edits, replace=False):
        letters[place] = "ACGT"[("ACGT".index(letters[place]) + draw.integers(1, 4)) % 4]
    return "".join(letters)


def failures(library, train: pd.DataFrame) -> dict[str, pd.DataFrame]:
    draw = np.random.default_rng(5)
    copies = train.groupby("label").tail(EACH)
    fresh = made(library, EACH, 50)
    first = fresh["sequence"].iloc[0]
    mixed = fresh.assign(label=np.tile(list(MODULE), EACH))
    return {
        "good": made(library, EACH, 60),
        "copies": copies,
        "reversed_copies": copies.assign(sequence=[complement(sequence) for sequence in copies["sequence"]]),
        "edited_copies": copies.assign(sequence=[with_edits(sequence, 4, draw) for sequence in copies["sequence"]]),
        "shuffles": fresh.assign(sequence=dinucleotide_shuffle(fresh["sequence"].tolist(), seed=9)),
        "one_sequence": fresh.assign(sequence=first),
        "one_sequence_with_edits": fresh.assign(sequence=[with_edits(first, 3, draw) for _ in range(len(fresh))]),
        "label_ignored": mixed.sort_values("label", kind="stable"),
        "wrong_motifs": made(library, EACH, 70, scrambled=True),
    }


@pytest.fixture(scope="module")
def judged(library):
    """failure -> (its VERDICT rows, its run in the report's words)."""
    train, test = made(library, 2 * EACH, 10), made(library, EACH, 20)
    frames, *_ = make_floors(windows(train), windows(made(library, 50, 30)), windows(test), orders=[0, 1, 2, 3], seed=1)
    planted = {name: sequences(frame, name) for name, frame in failures(library, train).items()}
    others = {name: frame for name, frame in planted.items() if name != "good"}
    sets = match_sets(planted["good"], windows(train), windows(test), {**frames, **others}, seed=1)
    sets["set"] = sets["set"].replace("generated", "good")
    questions = [
        evaluate_composition(sets, bootstrap=200, seed=1),
        evaluate_motifs(sets, library, bootstrap=200, seed=1),
        evaluate_novelty(sets, windows(train), bootstrap=200, seed=1),
        evaluate_discrimination(sets, bootstrap=200, seed=1),
    ]
    table = pd.concat([evaluation for evaluation, _ in questions], ignore_index=True)
    out = {}
    for name in planted:
        rows = table[table["set"].isin([name, "ceiling", *FLOORS])]
        _, stands = compare({("model", name): rows.assign(set=rows["set"].replace(name, "generated"))})
        out[name] = (stands, verdict.judge(stands)[0])
    return out


# Likeness to training may fall short as well, where a failure lost what held-out windows share with training ones.
COPY = {"exact_copies", "near_copies"}
COPIED = COPY | {"nearest_identity", "longest_shared"}
REPEATED = {"unique", "near_duplicates", "clusters", "largest_cluster"}
GC = {"gc_mean", "gc_sd", "gc_wasserstein", "gc_ks"}
MOTIFS = {"motif_rate_pearson", "motif_rate_difference", "motif_excess"}
CONTRAST = {"motif_contrast_pearson"}
TOLD = {"discrimination_kmer_auroc", "discrimination_gapped_auroc"}

# failure -> what must give the alarm, and what has no reason to.
CAUGHT = {
    "good": (set(), COPIED | REPEATED | GC | MOTIFS | CONTRAST | TOLD),
    "copies": (COPIED, REPEATED | GC | MOTIFS | CONTRAST),
    "reversed_copies": (COPIED, REPEATED | GC | MOTIFS | CONTRAST),
    "edited_copies": (COPIED - {"exact_copies"}, REPEATED | {"exact_copies", "gc_mean", "gc_sd"}),
    "shuffles": (MOTIFS | CONTRAST | TOLD, COPY | REPEATED | GC),
    "one_sequence": (REPEATED | TOLD | {"gc_sd", "gc_ks"}, COPY),
    "one_sequence_with_edits": (
        REPEATED - {"unique"} | TOLD | {"gc_sd", "gc_ks"},
        {"unique", "exact_copies", "near_copies"},
    ),
    "label_ignored": (CONTRAST, COPIED | REPEATED | GC | MOTIFS | TOLD),
    "wrong_motifs": (MOTIFS | CONTRAST | TOLD, COPY | REPEATED | GC),
}


def alarms(stands: pd.DataFrame, label: str = "all") -> set[str]:
    return set(stands.loc[(stands["label"] == label) & (stands["worse_than_ceiling"] == "yes"), "metric"])


@pytest.mark.parametrize("failure", CAUGHT)
def test_each_failure_is_caught_by_the_metrics_that_are_there_for_it(judged, failure):
    loud, quiet = CAUGHT[failure]
    stands, _ = judged[failure]
    known = set(stands["metric"])
    assert loud | quiet <= known
    assert alarms(stands) & (loud | quiet) == loud


def position(stands: pd.DataFrame, metric: str) -> float:
    found = stands[(stands["metric"] == metric) & (stands["label"] == "all")].iloc[0]
    assert found["separates"] == "yes"
    return float(found["position"])


def test_shuffles_are_no_better_than_the_floor_and_a_good_generator_is_at_the_ceiling(judged):
    for metric in ("motif_excess", "motif_rate_difference", *TOLD):
        assert position(judged["shuffles"][0], metric) < 0.15, metric
        assert position(judged["wrong_motifs"][0], metric) < 0.6, metric
        assert position(judged["good"][0], metric) > 0.7, metric
    assert judged["good"][1].score > 0.8 > 0.5 > judged["shuffles"][1].score


def test_a_label_that_is_ignored_is_told_within_labels(judged):
    stands = judged["label_ignored"][0]
    assert position(stands, "motif_contrast_pearson") < 0.3
    for label in MODULE:
        assert CONTRAST | {"discrimination_gapped_auroc"} <= alarms(stands, label)
        assert not (CONTRAST | TOLD) & alarms(judged["good"][0], label)


@pytest.mark.parametrize("failure", CAUGHT)
def test_the_report_warns_of_copies_and_collapse_and_of_nothing_else(judged, failure):
    said = verdict.warning(judged[failure][1])
    if "copies" not in failure and "one_sequence" not in failure:
        assert said is None
        return
    assert said.startswith("But beware of copies. ")
    words = {
        "copies": "xact copies of training: 100 %, against 0 % in real sequences",
        "reversed_copies": "xact copies of training: 100 %, against 0 % in real sequences",
        "edited_copies": "ear copies of training: 100 %, against 0 % in real sequences",
        "one_sequence": "istinct sequences: 0.42 %, against 100 % in real sequences",
        "one_sequence_with_edits": "ear duplicates within the set: 100 %, against 0 % in real sequences",
    }
    assert words[failure] in said
