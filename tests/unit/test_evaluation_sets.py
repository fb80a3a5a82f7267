"""Matched sets, letters, bootstrap intervals and the tidy table."""

import logging

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import as_sets, complement, one_label, random_sequences, real, sequences, windows
from scipy import stats

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.intervals import Resamples, interval, resamples, sums
from diffusion_bert.evaluation.letters import decode, encode, lengths_of, reverse_complement
from diffusion_bert.evaluation.metrics import METRICS, QUESTIONS
from diffusion_bert.evaluation.rows import Rows, compared, groups
from diffusion_bert.evaluation.sets import SETS, match_sets
from diffusion_bert.tables import EVALUATION, check


def test_letters_are_coded_padded_and_decoded():
    codes = encode(["ACGT", "TN", ""])
    assert codes.tolist() == [[0, 1, 2, 3], [3, 4, 4, 4], [4, 4, 4, 4]]
    assert decode(codes, lengths_of(["ACGT", "TN", ""])) == ["ACGT", "TN", ""]


def test_reverse_complement_knows_iupac_letters_and_is_its_own_inverse():
    assert reverse_complement("AACGTN") == "NACGTT"
    assert reverse_complement("RYKMBVDH") == "DHBVKMRY"
    for sequence in random_sequences(5, 1):
        assert reverse_complement(sequence) == complement(sequence)
        assert reverse_complement(reverse_complement(sequence)) == sequence


def make(counts: dict[str, int], seed: int) -> pd.DataFrame:
    return pd.concat(
        [one_label(random_sequences(n, seed + i), label) for i, (label, n) in enumerate(counts.items())],
        ignore_index=True,
    )


def test_every_set_has_the_smallest_count_label_by_label():
    generated = sequences(make({"a": 9, "b": 4}, 1), "generated")
    floors = {"markov": sequences(make({"a": 20, "b": 20}, 2), "markov")}
    sets = match_sets(
        generated, windows(make({"a": 30, "b": 30}, 3)), windows(make({"a": 6, "b": 8}, 4)), floors, seed=1
    )
    assert sets.groupby(["set", "label"]).size().to_dict() == {
        (name, label): n
        for name in ("generated", "ceiling", "markov", "reference")
        for label, n in (("a", 6), ("b", 4))
    }
    assert list(sets.columns) == list(SETS)
    assert not sets.duplicated(["set", "name"]).any()
    assert set(sets.loc[sets["set"] == "generated", "sequence"]) <= set(generated["sequence"])


def test_sampling_follows_the_seed():
    arguments = (
        sequences(make({"a": 50}, 1), "generated"),
        windows(make({"a": 50}, 2)),
        windows(make({"a": 10}, 3)),
        {},
    )
    first, again, other = (match_sets(*arguments, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first["name"].tolist() != other["name"].tolist()


def test_a_label_that_a_set_lacks_is_left_out_with_a_note(caplog):
    caplog.set_level(logging.INFO)
    sets = match_sets(
        sequences(make({"a": 5, "b": 5}, 1), "generated"),
        windows(make({"a": 5, "b": 5}, 2)),
        windows(make({"a": 5}, 3)),
        {},
        seed=1,
    )
    assert set(sets["label"]) == {"a"}
    assert "label b is left out of the evaluation: no sequence of it in ceiling" in caplog.text


def test_a_generator_without_labels_is_evaluated_as_one():
    sets = match_sets(
        sequences(make({"none": 7}, 1), "generated"),
        windows(make({"a": 5, "b": 5}, 2)),
        windows(make({"a": 3, "b": 3}, 3)),
        {},
        seed=1,
    )
    assert set(sets["label"]) == {"all"}
    assert sets.groupby("set").size().to_dict() == {"generated": 6, "ceiling": 6, "reference": 6}
    assert [label for label, _ in groups(sets)] == ["all"]


def test_lengths_that_differ_are_stated(caplog):
    caplog.set_level(logging.INFO)
    match_sets(
        sequences(one_label(random_sequences(5, 1, width=50), "a"), "generated"),
        windows(make({"a": 5}, 2)),
        windows(make({"a": 5}, 3)),
        {},
        seed=1,
    )
    assert "generated 50-50 bp; ceiling 80-80 bp; reference 80-80 bp" in caplog.text


def test_no_label_in_common_is_one_message():
    with pytest.raises(UserError, match="No label has sequences in every set .*generated: a; ceiling: b"):
        match_sets(
            sequences(make({"a": 5}, 1), "generated"),
            windows(make({"a": 5, "b": 5}, 2)),
            windows(make({"b": 5}, 3)),
            {},
            seed=1,
        )


def test_no_test_windows_is_one_message():
    with pytest.raises(UserError, match="ceiling: none.*change the split so that test has windows"):
        match_sets(
            sequences(make({"a": 5}, 1), "generated"),
            windows(make({"a": 5}, 2)),
            windows(make({"a": 5}, 3)).iloc[:0],
            {},
            seed=1,
        )


def test_repeated_names_and_reserved_names_are_refused():
    generated = sequences(make({"a": 5}, 1), "generated")
    train, test = windows(make({"a": 5}, 2)), windows(make({"a": 5}, 3))
    twice = generated.assign(name="same")
    with pytest.raises(UserError, match="sequences of generated hold the name same more than once"):
        match_sets(twice, train, test, {}, seed=1)
    with pytest.raises(UserError, match="one of the names generated, ceiling, reference. Give the floor"):
        match_sets(generated, train, test, {"ceiling": generated}, seed=1)


def test_groups_are_all_then_each_label():
    sets = as_sets(generated=real(2, 1), reference=real(3, 2))
    found = dict(groups(sets))
    assert list(found) == ["all", "blood", "gut"]
    assert found["gut"]["generated"].tolist() == [2, 3]
    assert found["gut"]["reference"].tolist() == [7, 8, 9]


def test_a_table_without_a_reference_is_one_message():
    with pytest.raises(UserError, match="hold generated, but no set named reference"):
        compared(as_sets(generated=real(2, 1)))


def test_resamples_are_multinomial_seeded_and_drawn_once():
    counts = resamples(20, 300, 1, "x")
    assert counts.shape == (300, 20)
    assert (counts.sum(axis=1) == 20).all()
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 20, rel=0.1)
    assert (counts == resamples(20, 300, 1, "x")).all()
    assert (counts != resamples(20, 300, 1, "y")).any()
    draws = Resamples(300, 1)
    assert draws(20, "x") is draws(20, "x")
    assert (draws(20, "x") == counts).all()


def test_the_interval_of_a_mean_is_that_of_scipy():
    values = np.random.default_rng(1).gamma(2, size=200)
    replicates = sums(resamples(200, 4000, 1), values) / 200
    low, high = interval(values.mean(), replicates)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_the_interval_takes_out_bias_and_keeps_to_what_is_possible():
    replicates = np.linspace(0.5, 0.7, 101)  # all above the value, as for a divergence
    assert interval(0.3, replicates) == pytest.approx((0.205, 0.395))
    assert interval(0.05, replicates, (0, 1)) == pytest.approx((0.0, 0.145))
    assert interval(0.3, np.full(10, np.nan)) == (None, None)


def test_missing_numbers_are_null_with_a_reason():
    rows = Rows()
    rows.add("gc_mean", "all", "generated", float("nan"), None, 3)
    rows.add("gc_mean", "all", "ceiling", float("nan"), None, 3, "no base")
    rows.add("gc_mean", "all", "uniform", 0.5, None, 3, "no base")
    frame = rows.frame()
    assert frame["value"].isna().tolist() == [True, True, False]
    assert frame["note"].tolist()[:2] == ["not defined for these sequences", "no base"]
    assert pd.isna(frame["note"].iloc[2])
    with pytest.raises(KeyError):
        rows.missing("no such metric", "all", "generated", 0, "")
    check(frame, EVALUATION, "a test")


def test_every_metric_is_fully_defined():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.better in ("lower", "higher", "as ceiling")
        assert metric.question in QUESTIONS
        assert metric.definition.endswith(".")
        assert all((metric.title, metric.source, metric.unit))
