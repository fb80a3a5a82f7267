"""Discriminability against brute force and scikit-learn, and words that were planted to be found."""

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import as_sets, complement, one_label, random_sequences, real, row, value
from sklearn.metrics import roc_auc_score

from diffusion_bert.evaluation.discrimination import (
    FOLDS,
    auroc,
    evaluate_discrimination,
    gapped_words,
    kmer_words,
    out_of_fold,
    placements,
)
from diffusion_bert.evaluation.folds import beside_copies, stratified_folds
from diffusion_bert.evaluation.intervals import resamples
from diffusion_bert.figures.discrimination import draw_discrimination
from diffusion_bert.tables import EVALUATION, check

KMER, GAPPED = "discrimination_kmer_auroc", "discrimination_gapped_auroc"
SITE = "GATTAGC"


def with_site(n: int, seed: int, rate: float) -> list[str]:
    """Random sequences, of which the first ``rate`` hold SITE, every other one on the other strand."""
    made = random_sequences(n, seed)
    sites = [SITE if i % 2 else complement(SITE) for i in range(n)]
    return [s[:30] + site + s[30 + len(SITE) :] if i < rate * n else s
            for i, (s, site) in enumerate(zip(made, sites, strict=True))]  # fmt: skip


def counted_by_loop(sequence: str, words: list[tuple[int, int]]) -> Counter:
    """words: (letters in a part, gap; -1 for one part). How often each is there, by the first name of both strands."""
    out: Counter = Counter()
    for size, gap in words:
        width = size if gap < 0 else 2 * size + gap
        for start in range(len(sequence) - width + 1):
            piece = sequence[start : start + width]
            if gap >= 0:
                piece = piece[:size] + "-" * gap + piece[size + gap :]
            if set(piece) <= set("ACGT-"):
                other = "-".join([complement(part) for part in piece.split("-")][::-1])
                out[min(piece, other).replace("-", "N")] += 1
    return out


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda sequences: kmer_words(sequences), [(k, -1) for k in range(1, 7)]),
        (lambda sequences: gapped_words(sequences), [(3, gap) for gap in range(6)]),
    ],
)
def test_words_are_those_of_a_loop_over_both_strands(made, words):
    sequences = [*random_sequences(4, 1, width=40), "ACGTACGTNNACGATAGCATTTAA", "GATTACA", "NNNNN", "", "acgtacgtacgt"]
    found = made(sequences)
    assert found.counts.shape == (len(sequences), len(found.names)) == (len(sequences), found.ends[-1])
    for sequence, counts in zip(sequences, found.counts.toarray(), strict=True):
        assert {name: n for name, n in zip(found.names, counts, strict=True) if n} == counted_by_loop(sequence, words)
    assert len(set(found.names)) == len(found.names) == (2772 if words[0][1] < 0 else 6 * 2080)


@pytest.mark.parametrize("made", [kmer_words, gapped_words])
def test_strands_are_alike_and_rows_have_length_one(made):
    sequences = random_sequences(5, 1)
    words, turned = made(sequences), made([complement(sequence) for sequence in sequences])
    assert (words.counts != turned.counts).nnz == 0
    assert np.asarray(words.scaled.multiply(words.scaled).sum(axis=1)).ravel() == pytest.approx(6, rel=1e-5)
    assert made(["", "AC"]).scaled.toarray()[0].tolist() == [0.0] * len(words.names)


def test_folds_differ_by_one_at_most():
    labels = np.repeat(["a", "b", "c"], [103, 51, 9])
    folds = stratified_folds(labels, 5, seed=1)
    for chosen in (labels == "a", labels == "b", labels == "c", labels != ""):
        assert np.ptp(np.bincount(folds[chosen], minlength=FOLDS)) <= 1
    assert (folds == stratified_folds(labels, 5, seed=1)).all()
    assert (folds != stratified_folds(labels, 5, seed=2)).any()


def test_a_copy_stands_in_the_fold_of_its_original_and_the_second_copy_does_not():
    theirs = [f"r{i}" for i in range(10)]
    moved = beside_copies(
        np.arange(10) % 5, ["r7", "r7", *"abcdefgh"], np.array([0, 1, 2, 3, 4, 0, 1, 3, 3, 4]), theirs
    )
    assert moved.tolist() == [3, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    # Of sequences that would all go to one fold none goes.
    assert beside_copies(np.arange(5), theirs[:5], np.zeros(10, dtype=int), theirs).tolist() == [0, 1, 2, 3, 4]


def test_the_area_is_scikit_learns_in_each_fold_and_its_variance_delongs():
    generator = np.random.default_rng(1)
    own, others = generator.normal(0.7, 1, 400).round(1), generator.normal(0, 1, 300).round(1)  # with ties
    folds, dealt = np.arange(400) % FOLDS, np.arange(300) % FOLDS
    above, below = placements(own, others, folds, dealt)
    areas = [
        roc_auc_score(np.repeat([1, 0], [80, 60]), np.concatenate([own[folds == f], others[dealt == f]]))
        for f in range(FOLDS)
    ]
    found, replicates = auroc(above, below, resamples(400, 4000, 1), resamples(300, 4000, 2))
    assert found == pytest.approx(np.mean(areas))
    assert below.mean() == pytest.approx(found)
    # By its definition, over all pairs of a fold.
    pairs = [(a > others[dealt == f]) + 0.5 * (a == others[dealt == f]) for a, f in zip(own, folds, strict=True)]
    assert above == pytest.approx([pair.mean() for pair in pairs])
    assert replicates.var() == pytest.approx(above.var() / 400 + below.var() / 300, rel=0.1)


def test_no_model_is_asked_about_what_it_has_seen():
    """Random marks: a model that knew them would have an area of 1."""
    words = kmer_words(random_sequences(200, 1)).scaled
    folds = stratified_folds(["x"] * 100, 5, seed=1)
    scores = out_of_fold(words[:100], words[100:], folds, folds)
    above, _ = placements(*scores[:2], folds, folds)
    assert abs(above.mean() - 0.5) < 0.12


@pytest.fixture(scope="module")
def judged():
    sets = as_sets(
        generated=one_label(with_site(150, 1, 0.1)),
        ceiling=one_label(with_site(150, 2, 0.6)),
        floor=one_label(random_sequences(150, 3, shares=(0.25, 0.25, 0.25, 0.25))),
        reference=one_label(with_site(150, 4, 0.6)),
    )
    return (*evaluate_discrimination(sets, bootstrap=200, seed=1), sets)


def test_a_word_that_is_lacking_tells_the_set_and_is_named(judged):
    evaluation, details, sets = judged
    check(evaluation, EVALUATION, "a test")
    of_set = {name: dict(iter(part.groupby("label")))["all"] for name, part in details["giveaways"].groupby("set")}
    for metric in (KMER, GAPPED):
        ceiling, own = row(evaluation, metric, "ceiling"), row(evaluation, metric)
        assert ceiling["ci_low"] < 0.5 < ceiling["ci_high"]
        assert own["ci_low"] > max(0.6, ceiling["ci_high"])
        assert value(evaluation, metric, "floor") > 0.7
    for model in ("kmer", "gapped"):
        top = of_set["generated"][of_set["generated"]["model"] == model].iloc[0]
        strands = [top["kmer"], "".join({"N": "N"}.get(base) or complement(base) for base in top["kmer"][::-1])]
        pieces = [word.replace("N", ".") for word in strands]
        assert any(re.search(piece, SITE) for piece in pieces)
        assert top["coefficient"] < 0 < top["weight"] < 1
        for column, name in (("share", "generated"), ("share_reference", "reference")):
            held = sets.loc[sets["set"] == name, "sequence"].str.contains("|".join(pieces))
            assert top[column] == pytest.approx(held.mean())
    assert details["giveaways"].groupby(["set", "label", "model"]).size().eq(20).all()


def test_the_scores_give_the_area_again(judged):
    evaluation, details, sets = judged
    scores = details["scores"]
    assert len(scores) == 3 * 300
    own = scores[scores["set"] == "generated"]
    assert set(own.loc[own["of_reference"] == "yes", "name"]) == set(sets.query("set == 'reference'")["name"])
    for metric, column in ((KMER, "kmer"), (GAPPED, "gapped")):
        areas = [roc_auc_score(part["of_reference"] == "no", part[column]) for _, part in own.groupby("fold")]
        assert value(evaluation, metric) == pytest.approx(np.mean(areas))


def test_the_only_label_is_all(judged):
    evaluation = judged[0]
    for name in ("generated", "ceiling", "floor"):
        assert value(evaluation, KMER, name) == value(evaluation, KMER, name, "blood")


def test_copies_of_the_reference_are_not_taken_for_better_than_real():
    theirs = random_sequences(100, 1)
    copies = [complement(sequence) for sequence in theirs[:50]] + random_sequences(50, 2)
    sets = as_sets(generated=one_label(copies), reference=one_label(theirs))
    evaluation, _ = evaluate_discrimination(sets, bootstrap=100, seed=1)
    assert row(evaluation, GAPPED)["ci_high"] > 0.5
    assert row(evaluation, KMER)["ci_high"] > 0.5


def test_one_sequence_over_and_over_is_told_at_once():
    sets = as_sets(generated=one_label(random_sequences(1, 2) * 60), reference=one_label(random_sequences(60, 1)))
    evaluation, _ = evaluate_discrimination(sets, bootstrap=50, seed=1)
    assert value(evaluation, KMER) == value(evaluation, GAPPED) == 1


def test_each_label_has_a_classifier_of_its_own():
    theirs = real(60, 1)
    swapped = real(60, 50).assign(label=lambda frame: frame["label"].map({"blood": "gut", "gut": "blood"}))
    evaluation, _ = evaluate_discrimination(as_sets(generated=swapped, reference=theirs), bootstrap=100, seed=1)
    together = row(evaluation, GAPPED)
    assert together["ci_low"] < 0.5 < together["ci_high"]
    assert row(evaluation, GAPPED, label="gut")["ci_low"] > 0.7


def test_too_few_sequences_and_no_words_are_null_with_a_reason():
    few = pd.concat([one_label(random_sequences(60, 1), "a"), one_label(random_sequences(20, 2), "b")])
    evaluation, details = evaluate_discrimination(as_sets(generated=few, reference=few), bootstrap=20, seed=1)
    assert value(evaluation, KMER) <= 1
    assert "fewer than 50 sequences" in row(evaluation, KMER, label="b")["note"]
    assert set(details["giveaways"]["label"]) == {"all", "a"}
    short = as_sets(generated=one_label(["ACGTA"] * 50), reference=one_label(random_sequences(50, 1)))
    evaluation, details = evaluate_discrimination(short, bootstrap=20, seed=1)
    assert value(evaluation, KMER) == 1
    assert "no such word" in row(evaluation, GAPPED)["note"]
    assert details["scores"]["gapped"].isna().all()
    none = as_sets(generated=one_label(["NNNN"] * 50), reference=one_label(["ACGTAC"] * 50))
    evaluation, details = evaluate_discrimination(none, bootstrap=20, seed=1)
    assert evaluation["value"].isna().all()
    assert evaluation["note"].notna().all()
    assert len(details["giveaways"]) == len(details["scores"]) == 0


def test_the_same_seed_gives_the_same_tables(judged):
    evaluation, details, sets = judged
    again, more = evaluate_discrimination(sets, bootstrap=200, seed=1)
    pd.testing.assert_frame_equal(evaluation, again)
    for name, frame in details.items():
        pd.testing.assert_frame_equal(frame, more[name])
    other, _ = evaluate_discrimination(sets, bootstrap=200, seed=2)
    assert (other["value"] != evaluation["value"]).any()


def test_the_figure_names_the_words_and_says_where_there_are_none(judged, tmp_path):
    evaluation, details, _ = judged

    def said(name: str) -> str:
        nodes = ElementTree.parse(tmp_path / name).iter("{http://www.w3.org/2000/svg}text")
        return "\n".join(node.text or "" for node in nodes)

    draw_discrimination(evaluation, details["giveaways"], tmp_path / "one.svg")
    draw_discrimination(evaluation, details["giveaways"], tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    top = details["giveaways"].query("set == 'generated' and label == 'all' and model == 'kmer'")["kmer"].iloc[0]
    for text in (top, "Told from real by gapped k-mers", "0.5: a coin", "held-out real", "training", "blood"):
        assert text in said("one.svg")
    draw_discrimination(evaluation, details["giveaways"].iloc[:0], tmp_path / "x.svg")
    assert "Told from real by k-mers" in said("x.svg")
    draw_discrimination(evaluation.assign(value=None), details["giveaways"], tmp_path / "x.svg")
    assert "No classifier could be trained" in said("x.svg")
