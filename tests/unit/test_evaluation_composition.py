"""Composition against scipy and brute force."""

from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import as_sets, one_label, random_sequences, real, row, value
from scipy import stats

from diffusion_bert.evaluation.composition import (
    distribution_distances,
    evaluate_composition,
    longest_run,
    position_counts,
    sequence_features,
)
from diffusion_bert.evaluation.letters import encode, lengths_of
from diffusion_bert.tables import EVALUATION, check


def test_features_of_sequences_that_can_be_counted_by_eye():
    features = sequence_features(encode(["ACGCGT", "AAAATT", "NNGGGN", "NNNNNN"]))
    assert features[["A", "C", "G", "T", "CpG"]].to_numpy().tolist() == [
        [1, 2, 2, 1, 2],
        [4, 0, 0, 2, 0],
        [0, 0, 3, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert features["gc"].tolist()[:3] == [4 / 6, 0, 1]
    assert features["cpg_oe"].iloc[0] == 2 * 6 / (2 * 2)
    assert features["longest_homopolymer"].tolist() == [1, 4, 3, 0]
    assert features["entropy"].iloc[0] == 2.0  # ACG, CGC, GCG, CGT
    assert features["entropy"].iloc[1] == pytest.approx(1.5)  # AAA twice, AAT, ATT
    assert features["gc"].isna().tolist() == [False, False, False, True]
    assert features["entropy"].isna().tolist() == [False, False, False, True]


def test_longest_run_against_a_loop():
    sequences = random_sequences(50, 1, width=40, shares=(0.6, 0.2, 0.1, 0.1)) + ["AANAA"]
    expected = [max(len(list(run)) for base, run in groupby(s) if base != "N") for s in sequences]
    assert longest_run(encode(sequences)).tolist() == expected


def test_distances_are_scipys():
    generator = np.random.default_rng(1)
    values, reference = generator.binomial(50, 0.4, 80) / 50, generator.binomial(50, 0.5, 60) / 50
    one, many = np.ones((1, 80)), generator.multinomial(80, np.full(80, 1 / 80), size=3)
    for counts in (one, many):
        wasserstein, ks = distribution_distances(values, reference, counts)
        for i, weights in enumerate(counts):
            drawn = np.repeat(values, weights.astype(int))
            assert wasserstein[i] == pytest.approx(stats.wasserstein_distance(drawn, reference))
            assert ks[i] == pytest.approx(stats.ks_2samp(drawn, reference).statistic)


def test_bins_along_the_window_follow_each_sequences_own_length():
    sequences = ["ACGT", "AACCGGTT", "ANT"]
    counts = position_counts(encode(sequences), lengths_of(sequences), 4)
    assert counts[0].tolist() == np.eye(4).tolist()
    assert counts[1].tolist() == (2 * np.eye(4)).tolist()
    assert counts[2].sum() == 2


def test_the_table_holds_the_numbers_of_a_direct_computation():
    reference, ours = real(30, 1), real(30, 2)
    evaluation, details = evaluate_composition(as_sets(generated=ours, reference=reference), bootstrap=200, seed=1)
    check(evaluation, EVALUATION, "a test")
    gc = ours["sequence"].map(lambda s: (s.count("G") + s.count("C")) / len(s))
    theirs = reference["sequence"].map(lambda s: (s.count("G") + s.count("C")) / len(s))
    text = "".join(ours["sequence"])
    cpg = sum(s.count("CG") for s in ours["sequence"])
    assert value(evaluation, "gc_mean") == pytest.approx(gc.mean())
    assert value(evaluation, "gc_sd") == pytest.approx(gc.std(ddof=0))
    assert value(evaluation, "gc_wasserstein") == pytest.approx(stats.wasserstein_distance(gc, theirs))
    assert value(evaluation, "gc_ks") == pytest.approx(stats.ks_2samp(gc, theirs).statistic)
    assert value(evaluation, "cpg_observed_expected") == pytest.approx(
        cpg * len(text) / text.count("C") / text.count("G")
    )
    a, c, g, t = (text.count(base) for base in "ACGT")
    assert value(evaluation, "chargaff_skew") == pytest.approx(abs(a - t) / (a + t) + abs(c - g) / (c + g))
    blood = ours["label"] == "blood"
    assert value(evaluation, "gc_mean", label="blood") == pytest.approx(gc[blood].mean())
    mean = row(evaluation, "gc_mean")
    assert mean["n"] == 60
    assert mean["ci_high"] - mean["ci_low"] == pytest.approx(2 * 1.96 * gc.std() / 60**0.5, rel=0.2)
    assert len(details["sequences"]) == 120
    along = details["positions"].query("set == 'generated' and label == 'all' and position == 0").iloc[0]
    assert along["A"] == pytest.approx(ours["sequence"].str[0].eq("A").mean())
    assert along[["A", "C", "G", "T"]].sum() == pytest.approx(1)


def test_equal_sets_have_no_distance():
    sets = as_sets(generated=real(20, 1), reference=real(20, 1))
    evaluation, _ = evaluate_composition(sets, bootstrap=50, seed=1)
    for metric in ("gc_wasserstein", "gc_ks", "position_divergence"):
        assert value(evaluation, metric) == pytest.approx(0, abs=1e-12)


def test_what_stands_where_in_the_window_is_seen():
    reference = one_label(["A" * 40 + "C" * 40] * 20)
    moved = one_label(["C" * 40 + "A" * 40] * 20)
    evaluation, _ = evaluate_composition(as_sets(generated=moved, reference=reference), bootstrap=50, seed=1)
    assert value(evaluation, "position_divergence") == pytest.approx(1)
    assert value(evaluation, "gc_wasserstein") == 0


def test_collapse_to_one_sequence_is_seen_in_the_spread_of_gc():
    held = one_label(random_sequences(40, 1))
    sets = as_sets(
        generated=one_label([held["sequence"][0]] * 40), ceiling=held, reference=one_label(random_sequences(40, 2))
    )
    evaluation, _ = evaluate_composition(sets, bootstrap=100, seed=1)
    assert value(evaluation, "gc_sd") == 0
    assert row(evaluation, "gc_sd", "ceiling")["ci_low"] > 0.02


def test_a_few_simple_sequences_are_seen_in_the_tail():
    held, reference = random_sequences(200, 1), one_label(random_sequences(200, 2))
    some = ["AT" * 40] * 20 + random_sequences(180, 3)
    sets = as_sets(generated=one_label(some), ceiling=one_label(held), reference=reference)
    evaluation, _ = evaluate_composition(sets, bootstrap=200, seed=1)

    def entropy(sequence: str) -> float:
        words = pd.Series([sequence[i : i + 3] for i in range(len(sequence) - 2)]).value_counts(normalize=True)
        return float(stats.entropy(words, base=2))

    lowest = np.quantile([entropy(s) for s in reference["sequence"]], 0.05)
    assert value(evaluation, "low_complexity") == np.mean([entropy(s) < lowest for s in some])
    assert value(evaluation, "low_complexity", "ceiling") == np.mean([entropy(s) < lowest for s in held])
    assert row(evaluation, "low_complexity")["ci_low"] > row(evaluation, "low_complexity", "ceiling")["ci_high"]


def test_sequences_without_bases_are_null_with_a_reason():
    sets = as_sets(generated=one_label(["NNNN", "NNNN"]), reference=one_label(["ACGT", "ACGA"]))
    evaluation, _ = evaluate_composition(sets, bootstrap=20, seed=1)
    assert row(evaluation, "gc_mean")["note"] == "fewer than two sequences with A, C, G or T"
    assert row(evaluation, "cpg_observed_expected")["note"] == "no C or no G in the set"
    assert row(evaluation, "chargaff_skew")["note"] == "no A, C, G or T in the set"
    assert row(evaluation, "trinucleotide_entropy")["note"] == "no sequence is long enough"
    assert "hold no base" in row(evaluation, "position_divergence")["note"]
    assert evaluation.loc[evaluation["value"].isna(), "note"].notna().all()


def test_sequences_of_different_lengths_have_no_table_of_positions():
    sets = as_sets(generated=one_label(["ACGT", "ACGTAC"]), reference=one_label(["ACGT", "TTTT"]))
    _, details = evaluate_composition(sets, bootstrap=20, seed=1)
    assert set(details["positions"]["set"]) == {"reference"}


def test_the_same_seed_gives_the_same_table():
    sets = as_sets(generated=real(20, 1), reference=real(20, 2))
    first, again, other = (evaluate_composition(sets, bootstrap=50, seed=seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["value"] == other["value"]).all()
    assert (first["ci_low"] != other["ci_low"]).any()
