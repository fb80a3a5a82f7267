"""k-mer spectra against brute force and scipy."""

from collections import Counter

import numpy as np
import pytest
from evaluation_cases import as_sets, one_label, random_sequences, real, row, value
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr

from diffusion_bert.evaluation.kmers import evaluate_kmers, js_divergence, kmer_counts, kmer_names, pearson
from diffusion_bert.evaluation.letters import encode


def brute(sequence: str, k: int) -> Counter:
    words = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return Counter(word for word in words if set(word) <= set("ACGT"))


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_counts_are_those_of_a_counter(k):
    sequences = [*random_sequences(6, 1, width=50), "AAAAAAAA", "ACGNACGTACGT", "AC", ""]
    counts, names = kmer_counts(encode(sequences), k), kmer_names(k)
    assert len(names) == 4**k
    for i, sequence in enumerate(sequences):
        expected = brute(sequence, k)
        assert {names[j]: int(counts[i, j]) for j in np.flatnonzero(counts[i])} == dict(expected)


def test_overlapping_words_are_all_counted():
    assert kmer_counts(encode(["AAAA"]), 2)[0, 0] == 3


def test_divergence_is_the_square_of_scipys_distance_and_finite_on_absent_words():
    generator = np.random.default_rng(1)
    p, q = generator.random((5, 16)), generator.random(16)
    p[:, :4], q[2:6] = 0, 0
    ours = js_divergence(p, q)
    assert ours == pytest.approx([jensenshannon(one, q, base=2) ** 2 for one in p])
    assert js_divergence(np.array([1.0, 0]), np.array([0, 1.0])) == 1
    assert js_divergence(np.array([2.0, 1]), np.array([4.0, 2])) == 0
    assert np.isnan(js_divergence(np.zeros(2), np.ones(2)))


def test_pearson_is_scipys_and_null_where_nothing_varies():
    generator = np.random.default_rng(1)
    x, y = generator.random((3, 20)), generator.random(20)
    assert pearson(x, y) == pytest.approx([pearsonr(one, y).statistic for one in x])
    assert np.isnan(pearson(np.ones(4), y[:4]))


def test_the_table_holds_the_numbers_of_a_direct_computation():
    ours, theirs = real(20, 1), real(20, 2)
    evaluation, details = evaluate_kmers(as_sets(generated=ours, reference=theirs), bootstrap=100, seed=1)
    for k in (1, 3, 6):
        names = kmer_names(k)
        totals = [sum((brute(s, k) for s in frame["sequence"]), Counter()) for frame in (ours, theirs)]
        p, q = (np.array([total[name] for name in names], dtype=float) for total in totals)
        distance = jensenshannon(p, q, base=2)
        assert value(evaluation, f"kmer_js_distance_{k}") == pytest.approx(distance)
        assert value(evaluation, f"kmer_js_divergence_{k}") == pytest.approx(distance**2)
        assert value(evaluation, f"kmer_pearson_{k}") == pytest.approx(pearsonr(p, q).statistic)
        spectrum = details["spectrum"].query(f"set == 'generated' and k == {k}")
        assert spectrum["frequency"].to_numpy() == pytest.approx(p / p.sum())
    found = row(evaluation, "kmer_js_divergence_6", label="gut")
    assert found["n"] == 20
    assert found["ci_low"] <= found["value"] <= found["ci_high"]


def test_disjoint_spectra_are_one_bit_apart():
    sets = as_sets(generated=one_label(["AAAAAA"] * 5), reference=one_label(["CCCCCC"] * 5))
    evaluation, _ = evaluate_kmers(sets, bootstrap=20, seed=1, sizes=(2,))
    assert value(evaluation, "kmer_js_divergence_2") == 1


def test_sequences_shorter_than_the_word_are_null_with_a_reason():
    sets = as_sets(generated=one_label(["ACG"] * 5), reference=one_label(["ACGTACGT"] * 5))
    evaluation, _ = evaluate_kmers(sets, bootstrap=20, seed=1, sizes=(3, 4))
    assert value(evaluation, "kmer_js_divergence_3") > 0
    assert row(evaluation, "kmer_pearson_4")["note"] == "no 4-mer of A, C, G and T in the set or in the reference"


def test_equal_frequencies_have_no_correlation():
    sets = as_sets(generated=one_label(["ACGT"] * 5), reference=one_label(["AACC"] * 5))
    evaluation, _ = evaluate_kmers(sets, bootstrap=20, seed=1, sizes=(1,))
    assert row(evaluation, "kmer_pearson_1")["note"] == "all frequencies are equal"
