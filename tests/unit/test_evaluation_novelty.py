"""Novelty against brute force, and generators that copy or collapse."""

import time
from collections import Counter

import edlib
import numpy as np
import pandas as pd
import pytest
from evaluation_cases import as_sets, complement, one_label, random_sequences, real, row, value, windows

from diffusion_bert.evaluation import novelty
from diffusion_bert.evaluation.comparison import compare
from diffusion_bert.evaluation.novelty import (
    Library,
    are_simple,
    canonical,
    evaluate_novelty,
    identity,
    near_duplicates,
    nearest,
)
from diffusion_bert.evaluation.shared import longest_shared


def mutated(sequence: str, edits: int, generator: np.random.Generator) -> str:
    """So many substitutions, each to another base."""
    letters = list(sequence)
    for place in generator.choice(len(sequence), edits, replace=False):
        letters[place] = generator.choice([base for base in "ACGT" if base != letters[place]])
    return "".join(letters)


def longest_by_loop(query: str, library: list[str]) -> int:
    pieces = {text[i:j] for text in library for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    pieces = {piece for piece in pieces if set(piece) <= set("ACGT")}
    return max(
        (j - i for i in range(len(query)) for j in range(i + 1, len(query) + 1) if query[i:j] in pieces), default=0
    )


@pytest.mark.parametrize("alphabet", ["ACGT", "AC", "ACGTN"])
def test_the_longest_shared_piece_is_that_of_a_loop(alphabet):
    generator = np.random.default_rng(1)
    library = ["".join(generator.choice(list(alphabet), generator.integers(1, 70))) for _ in range(6)]
    queries = ["".join(generator.choice(list(alphabet), generator.integers(0, 40))) for _ in range(4)]
    queries += ["ACGT" + text[4:] + "GGG" for text in library[:4]]
    lengths, owners = longest_shared(queries, library)
    for query, length, owner in zip(queries, lengths.tolist(), owners.tolist(), strict=True):
        assert length == longest_by_loop(query, library)
        assert (owner == -1) if length == 0 else (longest_by_loop(query, [library[owner]]) == length)


@pytest.mark.parametrize("length", [20, 21, 22, 41, 42, 43, 64, 100])
def test_pieces_of_every_length_are_found_to_the_letter(length):
    text = random_sequences(1, 1, width=150)[0]
    library = ["A" * 150, text, "ACGT" * 20]
    piece = text[25 : 25 + length]
    before, after = ("C" if text[24] != "C" else "G"), ("C" if text[25 + length] != "C" else "G")
    (found,), (owner,) = longest_shared([before + piece + after], library)
    assert (found, owner) == (length, 1)


def test_nothing_is_shared_with_nothing():
    assert longest_shared([], ["ACGT"])[0].tolist() == []
    assert longest_shared(["ACGT"], [])[0].tolist() == [0]
    assert longest_shared(["NNN", "AAA"], ["CCC", "N"])[0].tolist() == [0, 0]


def test_identity_is_one_minus_edits_on_the_better_strand():
    assert identity("ACGTACGT", "ACGTACGT") == 1
    assert identity("AAAACCCC", "GGGGTTTT") == 1
    assert identity("ACGTACGTAA", "ACGTACGTCA") == 0.9
    assert identity("CGTA", "TTTACGTATTT") == 1
    assert identity("AAAA", "") == 0


def test_moved_by_a_fifth_is_four_fifths_identical():
    text = random_sequences(1, 1, width=120)[0]
    assert identity(text[:100], text[20:]) == pytest.approx(0.8, abs=0.05)


def test_the_nearest_is_that_of_all_pairs():
    generator = np.random.default_rng(1)
    library = random_sequences(60, 1, width=100)
    queries = [mutated(library[i], edits, generator) for i, edits in enumerate([0, 1, 5, 10, 15])]
    queries += [complement(query) for query in queries]
    found = nearest(queries, Library(library))
    for i, query in enumerate(queries):
        scores = [
            1 - min(edlib.align(strand, text, mode="HW")["editDistance"] for strand in (query, complement(query))) / 100
            for text in library
        ]
        assert found["identity"].iloc[i] == pytest.approx(max(scores))
        assert found["nearest"].iloc[i] == int(np.argmax(scores)) == i % 5


def test_unrelated_sequences_have_a_neighbour_too():
    found = nearest(random_sequences(5, 2), Library(random_sequences(20, 1)))
    assert found["identity"].between(0.3, 0.7).all()
    assert (found["nearest"] >= 0).all()
    assert found["longest_shared"].between(4, 20).all()


def test_short_sequences_are_compared_too():
    found = nearest(["ACGTAC", "", "GTACGT"], Library(["TTACGTACTT", "CC"]))
    assert found["identity"].tolist() == [1, 0, 1]
    assert found["nearest"].tolist() == [0, -1, 0]
    assert found["longest_shared"].tolist() == [6, 0, 6]


def test_near_duplicates_are_those_of_all_pairs():
    generator = np.random.default_rng(1)
    base = random_sequences(20, 1, width=100)
    sequences = [*base, mutated(base[0], 5, generator), complement(mutated(base[1], 8, generator)), base[2]]
    sequences += [mutated(base[3], 25, generator), complement(base[4])]
    expected = [
        any(identity(one, other) >= 0.9 for j, other in enumerate(sequences) if j != i)
        for i, one in enumerate(sequences)
    ]
    assert near_duplicates(sequences)[0].tolist() == expected
    assert sum(expected) == 8


def clusters_by_all_pairs(sequences: list[str]) -> set[frozenset[int]]:
    """Single linkage by a walk over all pairs."""
    near = [
        {j for j, other in enumerate(sequences) if j == i or max(identity(one, other), identity(other, one)) >= 0.9}
        for i, one in enumerate(sequences)
    ]
    out = set()
    for start in range(len(sequences)):
        seen, ahead = set(), [start]
        while ahead:
            row = ahead.pop()
            if row not in seen:
                seen.add(row)
                ahead += near[row]
        out.add(frozenset(seen))
    return out


def test_clusters_are_those_of_all_pairs():
    generator = np.random.default_rng(2)
    base = random_sequences(60, 1, width=100)
    chain = [base[0]]
    for _ in range(5):  # each near to the next, the last far from the first
        chain.append(mutated(chain[-1], 8, generator))
    assert identity(chain[0], chain[-1]) < 0.9
    family = [mutated(base[1], 3, generator) for _ in range(9)]
    sequences = [*base, *chain[1:], *family, complement(base[2]), base[3], mutated(base[4], 20, generator)]
    _, cluster = near_duplicates(sequences)
    found = {frozenset(np.flatnonzero(cluster == number).tolist()) for number in set(cluster.tolist())}
    assert found == clusters_by_all_pairs(sequences)
    assert sorted(map(len, found))[-4:] == [2, 2, 6, 10]


def test_a_family_of_hundreds_is_one_cluster_and_the_rest_are_found_beside_it():
    generator = np.random.default_rng(3)
    base = random_sequences(300, 1, width=80)
    family = [mutated(base[0], 3, generator) for _ in range(500)]
    sequences = [*base[1:], *family, mutated(base[5], 4, generator)]
    near, cluster = near_duplicates(sequences)
    size = np.bincount(cluster)
    assert sorted(size.tolist())[-3:] == [1, 2, 500]
    assert near.sum() == 502


def test_sequences_of_few_words_cost_no_more_and_are_found():
    """Poly-A and microsatellites with a few edits: seed and chain would take a second for each."""
    generator = np.random.default_rng(4)
    simple = [
        mutated(unit * (120 // len(unit)), edits, generator) for unit in ("A", "CA") for edits in (1, 2, 3, 4) * 40
    ]
    sequences = [*random_sequences(30, 1, width=120), *simple]
    began = time.process_time()
    near, cluster = near_duplicates(sequences)
    found = nearest(simple[:3], Library([*random_sequences(30, 2, width=120), *simple[3:]]))
    assert time.process_time() - began < 10
    assert near.tolist() == [False] * 30 + [True] * 320
    assert sorted(np.bincount(cluster).tolist())[-2:] == [160, 160]
    assert (found["identity"] >= 0.95).all()


@pytest.mark.parametrize(
    ("sequence", "simple"),
    [("A" * 80, True), ("CA" * 40, True), ("ACGT", False), ("", False), ("A" * 20 + random_sequences(1, 1)[0], False)],
)
def test_simple_is_few_words_over_and_over(sequence, simple):
    assert are_simple([sequence]).tolist() == [simple]


def test_simple_is_the_mean_number_of_a_word(monkeypatch):
    """Against a count of words, sequence by sequence; lengths differ, and are looked at in several parts."""
    monkeypatch.setattr(novelty, "CHUNK", 7)
    generator = np.random.default_rng(5)
    sequences = ["", "ACGTACGT", "ACGTACGTA", "NRN" * 9]
    for repeats in range(60):
        unit = "".join(generator.choice(list("ACGT"), 1 + repeats % 7))
        sequences.append((unit * 40)[: 10 + repeats] + random_sequences(1, repeats, width=2 * repeats)[0])
    expected = []
    for sequence in sequences:
        words = Counter(sequence[start : start + 9] for start in range(len(sequence) - 8))
        expected.append(sum(n * n for n in words.values()) > 4 * words.total())
    assert 5 < sum(expected) < 55
    assert are_simple(sequences).tolist() == expected
    assert are_simple([]).tolist() == []


@pytest.mark.parametrize("sequences", [[], ["ACGT"], ["", ""], ["NNNN", "AC", "GT"]])
def test_sets_without_much_in_them_have_clusters_too(sequences):
    near, cluster = near_duplicates(sequences)
    assert len(near) == len(cluster) == len(sequences)
    assert near.tolist() == [len(sequences) > 1 and key in ("", "AC", "GT") for key in sequences]


def test_both_strands_are_one_sequence():
    assert canonical(["AACC", "GGTT"]) == ["AACC", "AACC"]


@pytest.fixture(scope="module")
def judged():
    train, held = real(40, 1), real(20, 100)
    copies = train.groupby("label").head(20)
    sets = as_sets(
        generated=copies,
        reversed=copies.assign(sequence=[complement(sequence) for sequence in copies["sequence"]]),
        collapsed=held.assign(sequence=held["sequence"].iloc[0]),
        ceiling=held,
        reference=train.groupby("label").tail(20),
    )
    return (*evaluate_novelty(sets, windows(train), bootstrap=100, seed=1), sets)


@pytest.mark.parametrize("name", ["generated", "reversed"])
def test_copies_of_training_are_caught_on_either_strand(judged, name):
    evaluation = judged[0]
    assert value(evaluation, "exact_copies", name) == 1
    assert value(evaluation, "near_copies", name) == 1
    assert value(evaluation, "nearest_identity", name) == 1
    assert value(evaluation, "longest_shared", name) == 80
    assert value(evaluation, "exact_copies", "ceiling") == 0
    assert row(evaluation, "nearest_identity", "ceiling")["ci_high"] < 0.8
    assert value(evaluation, "exact_copies", name, "gut") == 1


def test_collapse_to_one_sequence_is_caught(judged):
    evaluation = judged[0]
    assert value(evaluation, "unique", "collapsed") == pytest.approx(1 / 40)
    assert value(evaluation, "near_duplicates", "collapsed") == 1
    assert value(evaluation, "unique", "ceiling") == 1
    assert value(evaluation, "near_duplicates", "ceiling") == 0
    assert value(evaluation, "unique", "collapsed", "gut") == pytest.approx(1 / 20)
    assert value(evaluation, "clusters", "collapsed") == pytest.approx(1 / 40)
    assert value(evaluation, "largest_cluster", "collapsed") == 1
    assert value(evaluation, "clusters", "ceiling") == 1
    assert value(evaluation, "largest_cluster", "ceiling") == pytest.approx(1 / 40)


def test_the_comparison_sounds_the_alarm(judged):
    evaluation = judged[0]
    for failure, metrics in (
        ("generated", {"exact_copies", "near_copies", "nearest_identity", "longest_shared"}),
        ("reversed", {"exact_copies", "near_copies", "nearest_identity", "longest_shared"}),
        ("collapsed", {"unique", "near_duplicates", "clusters", "largest_cluster"}),
    ):
        rows = evaluation[evaluation["set"].isin([failure, "ceiling"])]
        rows = rows.assign(set=rows["set"].replace(failure, "generated"))
        _, verdict = compare({("model", failure): rows})
        alarms = verdict[(verdict["label"] == "all") & (verdict["worse_than_ceiling"] == "yes")]
        assert metrics <= set(alarms["metric"])


def test_details_name_the_training_window(judged):
    _, details, sets = judged
    table = details["sequences"].query("set == 'generated'").reset_index(drop=True)
    train = windows(real(40, 1))
    named = table["nearest"].str.removeprefix("train_").astype(int) - 1
    assert train["sequence"].iloc[named].tolist() == sets.query("set == 'generated'")["sequence"].tolist()
    assert "reference" not in set(details["sequences"]["set"])


def test_the_same_seed_gives_the_same_table(judged):
    evaluation, details, sets = judged
    again, more = evaluate_novelty(sets, windows(real(40, 1)), bootstrap=100, seed=1)
    pd.testing.assert_frame_equal(evaluation, again)
    pd.testing.assert_frame_equal(details["sequences"], more["sequences"])


def test_an_empty_set_is_null_with_a_reason():
    sets = as_sets(generated=one_label(random_sequences(3, 1), "a"), ceiling=one_label(random_sequences(3, 2), "b"),
                   reference=one_label(random_sequences(3, 3), "a"))  # fmt: skip
    evaluation, _ = evaluate_novelty(sets, windows(one_label(random_sequences(3, 3), "a")), bootstrap=20, seed=1)
    assert row(evaluation, "unique", "ceiling", "a")["note"] == "no sequence"
    assert row(evaluation, "near_duplicates", "generated", "b")["note"] == "no sequence"
