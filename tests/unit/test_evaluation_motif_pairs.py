"""Pairs of motifs: sites apart, orientation the same on both strands, co-occurrence, spacing."""

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import (
    CONSENSUS,
    LIBRARY,
    as_sets,
    complement,
    motif,
    one_label,
    random_sequences,
    row,
    value,
)
from scipy import stats

from diffusion_bert.evaluation.motif_pairs import BIN, BINS, ORIENTATIONS, REACH, Together, apart, near_pairs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.scan import Scan, Sites, base_composition, make_scanners

LENGTH = 150
PAIR, OTHER = ("GATA", "ETS"), ("EBOX", "HNF")


def as_sites(rows: list[tuple[int, int, int, int, int, float]]) -> Sites:
    """motif, sequence, start, width, strand, score."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Sites(*columns, length=np.full(len(rows), LENGTH))


def random_sites(seed: int, n: int = 120, sequences: int = 6) -> Sites:
    generator = np.random.default_rng(seed)
    widths, taken, rows = (9, 12, 6), set(), []
    while len(rows) < n:
        kind, sequence = int(generator.integers(3)), int(generator.integers(sequences))
        start = int(generator.integers(0, LENGTH - widths[kind]))
        if (kind, sequence, start) in taken:
            continue
        taken.add((kind, sequence, start))
        # No two scores are equal, so that the order in which sites are taken is one.
        rows.append((kind, sequence, start, widths[kind], int(generator.choice([-1, 1])), 5 + len(rows) / 100))
    generator.shuffle(rows)
    return as_sites(rows)


def mirrored(sites: Sites) -> Sites:
    """The same sites read from the other strand."""
    start = sites.length - sites.start - sites.width
    return Sites(sites.motif, sites.sequence, start, sites.width, -sites.strand, sites.score, sites.length)


RANK = np.arange(3)


def test_no_base_has_two_sites_and_the_best_stay():
    sites = random_sites(1)
    free = {sequence: np.ones(LENGTH, dtype=bool) for sequence in range(6)}
    expected = set()
    for at in np.argsort(-sites.score):
        where = slice(sites.start[at], sites.start[at] + sites.width[at])
        if free[sites.sequence[at]][where].all():
            free[sites.sequence[at]][where] = False
            expected.add((sites.sequence[at], sites.start[at], sites.motif[at], sites.strand[at]))
    left = apart(sites, RANK)
    assert set(zip(left.sequence, left.start, left.motif, left.strand, strict=True)) == expected
    assert 10 < len(expected) < 120
    assert (np.diff(left.sequence * 1000 + left.start) > 0).all()


def test_a_palindrome_is_one_site_on_either_strand():
    assert complement("GATCCACGTGGATC") == "GATCCACGTGGATC"
    scanners = make_scanners([motif("P", "GATCCACGTGGATC"), LIBRARY[0]], np.full(4, 0.25), 1e-4)
    scan = Scan(["TTTTGATCCACGTGGATCTTTT" + "A" * 20 + CONSENSUS["GATA"]], scanners)
    sites = scan.sites([0, 1])
    assert sorted(sites.strand[sites.motif == 0]) == [-1, 1]
    left = apart(sites, RANK)
    assert list(zip(left.motif, left.start, left.strand, strict=True)) == [(0, 4, 0), (1, 42, 1)]


def described(sites: Sites) -> Counter:
    """Each near pair as that of its two readings that comes first in the alphabet: names with strands, distance."""
    out = Counter()
    for i, j in combinations(range(len(sites.motif)), 2):
        if sites.sequence[i] != sites.sequence[j] or abs(sites.middle[i] - sites.middle[j]) >= REACH:
            continue
        i, j = (i, j) if sites.start[i] < sites.start[j] else (j, i)
        forward = (f"{sites.motif[i]}{sites.strand[i]:+d}", f"{sites.motif[j]}{sites.strand[j]:+d}")
        backward = (f"{sites.motif[j]}{-sites.strand[j]:+d}", f"{sites.motif[i]}{-sites.strand[i]:+d}")
        out[min(forward, backward), int(abs(sites.middle[i] - sites.middle[j]))] += 1
    return out


def read(pairs) -> Counter:
    out = Counter()
    for low, high, kind, distance in zip(pairs.low, pairs.high, pairs.orientation, pairs.distance, strict=True):
        first, second = (high, low) if kind == 1 else (low, high)
        one, two = ORIENTATIONS[kind]
        forward = (f"{first}{one}1", f"{second}{two}1")
        turn = {"+": "-", "-": "+"}
        backward = (f"{second}{turn[two]}1", f"{first}{turn[one]}1")
        out[min(forward, backward), int(distance)] += 1
    return out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_near_pairs_are_those_of_a_loop_over_all_pairs_and_the_same_on_both_strands(seed):
    left = apart(random_sites(seed), RANK)
    found = near_pairs(left, RANK)
    assert read(found) == described(left)
    assert len(found.distance) > 30
    assert set(found.orientation[found.low < found.high]) == {0, 1, 2, 3}
    assert set(found.orientation[found.low == found.high]) <= {0, 2, 3}
    other = near_pairs(apart(mirrored(left), RANK), RANK)
    assert read(other) == read(found)


@pytest.mark.parametrize(("strand", "other", "expected"), [(0, 1, 0), (0, -1, 1), (0, 0, 0), (1, 0, 0), (-1, 0, 1)])
def test_a_site_on_either_strand_takes_that_of_its_partner(strand, other, expected):
    sites = as_sites([(0, 0, 10, 8, strand, 9.0), (1, 0, 30, 8, other, 9.0)])
    assert near_pairs(sites, RANK).orientation.tolist() == [expected]
    turned = mirrored(sites).where(np.array([1, 0]))
    assert near_pairs(turned, RANK).orientation.tolist() == [expected]


def test_no_site_gives_no_pair():
    nothing = random_sites(1).where(np.zeros(0, dtype=np.int64))
    assert len(near_pairs(apart(nothing, RANK), RANK).distance) == 0


def test_log_odds_and_p_values_are_those_of_the_two_by_two_table():
    together = Together(np.array([30.0, 20, 50]), np.array([25.0, 40, 0]), np.array([20.0, 5, 0]), 60)
    for i, (one, other, both) in enumerate([(30, 25, 20), (20, 40, 5), (50, 0, 0)]):
        table = np.array([[both, one - both], [other - both, 60 - one - other + both]])
        halves = table + 0.5
        assert together.log2_odds[i] == pytest.approx(
            np.log2(halves[0, 0] * halves[1, 1] / halves[0, 1] / halves[1, 0])
        )
        tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
        assert together.p[i] == pytest.approx(min(1, 2 * min(tails)))
        assert together.expected[i] == pytest.approx(one * other / 60)


def modules(n: int, seed: int, gap: tuple[int, int], pairs=(PAIR, OTHER), turn: bool = False) -> list[str]:
    """Random sequences that hold the two motifs of one pair each, in turn, so far apart (bp), on either strand.

    turn: whether the second motif is on the other strand than the first.
    """
    generator = np.random.default_rng(seed)
    out = []
    for i, sequence in enumerate(random_sequences(n, seed + 1, width=LENGTH)):
        first, second = (CONSENSUS[name] for name in pairs[i % len(pairs)])
        module = first + "T" * int(generator.integers(*gap)) + (complement(second) if turn else second)
        start = int(generator.integers(20, LENGTH - len(module) - 20))
        sequence = sequence[:start] + module + sequence[start + len(module) :]
        out.append(sequence if generator.random() < 0.5 else complement(sequence))
    return out


@pytest.fixture(scope="module")
def judged():
    reference, held = modules(120, 1, (8, 14)), modules(120, 3, (8, 14))
    sets = {
        "ceiling": held,
        "turned": [complement(sequence) for sequence in held],
        "too_far": modules(120, 5, (28, 34)),
        "other_strand": modules(120, 7, (8, 14), turn=True),
        "other_partner": modules(120, 9, (8, 14), pairs=(("GATA", "HNF"), ("EBOX", "ETS"))),
        "reference": reference,
    }
    sets = as_sets(**{name: one_label(sequences) for name, sequences in sets.items()})
    return (*evaluate_motifs(sets, LIBRARY, bootstrap=100, seed=1), sets)


def test_wrong_partners_are_caught_by_cooccurrence_and_by_nothing_of_single_motifs(judged):
    evaluation = judged[0]
    assert value(evaluation, "pair_cooccurrence_pearson", "ceiling") > 0.95
    assert row(evaluation, "pair_cooccurrence_pearson", "ceiling")["ci_low"] > 0.9
    assert row(evaluation, "pair_cooccurrence_pearson", "other_partner")["ci_high"] < 0.2
    assert (
        value(evaluation, "motif_rate_pearson", "other_partner")
        > value(evaluation, "motif_rate_pearson", "ceiling") - 0.1
    )
    assert abs(value(evaluation, "motif_excess", "other_partner") - 1) < 0.15
    assert value(evaluation, "pair_cooccurrence_pearson", "too_far") > 0.9


@pytest.mark.parametrize("name", ["too_far", "other_strand", "other_partner"])
def test_wrong_spacing_strand_and_partner_are_caught_by_spacing(judged, name):
    evaluation = judged[0]
    assert row(evaluation, "pair_spacing_divergence", name)["ci_low"] > 0.7
    assert row(evaluation, "pair_spacing_divergence", "ceiling")["ci_high"] < 0.2


def test_the_other_strand_of_a_set_is_the_same_set(judged):
    evaluation, details, _ = judged
    for metric in ("pair_cooccurrence_pearson", "pair_spacing_divergence"):
        assert value(evaluation, metric, "turned") == value(evaluation, metric, "ceiling")
    for name in ("pairs", "spacings"):
        one, other = (details[name].query(f"set == '{which}'").drop(columns="set") for which in ("turned", "ceiling"))
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_the_pair_table_counts_sequences(judged):
    _, details, sets = judged
    table = details["pairs"].query("set == 'ceiling' and label == 'all'")
    table = table.assign(
        pair=["|".join(sorted(pair)) for pair in zip(table["first_name"], table["second_name"], strict=True)]
    )
    table = table.set_index("pair")
    assert len(table) == 6
    held = sets[sets["set"] == "ceiling"]["sequence"]
    has = {name: held.map(lambda s, c=c: c in s or complement(c) in s) for name, c in CONSENSUS.items()}
    for pair in ("ETS|GATA", "EBOX|HNF", "GATA|HNF"):
        one, other = pair.split("|")
        lowest = (has[one] & has[other]).sum()
        assert lowest <= table.loc[pair, "both"] <= lowest + 4
        n = table.loc[pair, "n"]
        assert table.loc[pair, "expected"] == pytest.approx(
            table.loc[pair, "first_rate"] * table.loc[pair, "second_rate"] * n
        )
    assert table.loc["ETS|GATA", "q_value"] < 1e-6
    assert table.loc["ETS|GATA", "log2_odds"] > 4
    assert table.loc["GATA|HNF", "log2_odds"] < -4
    assert set(table["compared"]) == {"yes"}


def test_the_spacing_table_counts_pairs_and_what_independent_sites_would_give(judged):
    _, details, sets = judged
    table = details["spacings"].query("label == 'all' and set == 'ceiling'")
    assert set(table["distance"]) == set(range(0, REACH, BIN))
    planted = table[(table["orientation"] == "++") & (table["first_name"] == "GATA") & (table["second_name"] == "ETS")]
    middles = {gap + (9 + 10) / 2 for gap in range(8, 14)}
    bins = {int(middle) // BIN * BIN for middle in middles}
    assert planted[planted["distance"].isin(bins)]["count"].sum() >= 55
    # The same by brute force: every site of one motif with every site of the other, in whatever sequence.
    library = {one.name: one for one in LIBRARY}
    reference = sets.loc[sets["set"] == "reference", "sequence"].tolist()
    held = sets.loc[sets["set"] == "ceiling", "sequence"].tolist()
    order = details["enrichment"].query("label == 'all'")["name"].tolist()
    scanners = make_scanners([library[name] for name in order], base_composition(reference), 1e-4)
    sites = apart(Scan(held, scanners).sites(range(4)), np.arange(4))
    low, high = sorted(map(order.index, ("GATA", "ETS")))
    expected = np.zeros((4, BINS))
    for i in np.flatnonzero(sites.motif == low):
        for j in np.flatnonzero(sites.motif == high):
            distance = abs(sites.middle[i] - sites.middle[j])
            if (sites.width[i] + sites.width[j]) / 2 <= distance < REACH:
                one = sites.where(np.array([i, j]))
                one = one.where(np.argsort(one.start, kind="stable"))
                same = Sites(one.motif, np.zeros(2, int), one.start, one.width, one.strand, one.score, one.length)
                (kind,) = near_pairs(same, np.arange(4)).orientation
                expected[kind, int(distance) // BIN] += 1 / len(held)
    for kind, orientation in enumerate(ORIENTATIONS):
        first, second = (order[high], order[low]) if kind == 1 else (order[low], order[high])
        own = table.query(f"first_name == '{first}' and second_name == '{second}' and orientation == '{orientation}'")
        assert own["expected"].to_numpy() == pytest.approx(expected[kind])


def test_too_few_pairs_are_null_with_a_reason():
    few = {
        name: one_label(modules(30, seed, (8, 14), pairs=(PAIR,)))
        for name, seed in (("generated", 1), ("reference", 3))
    }
    evaluation, details = evaluate_motifs(as_sets(**few), LIBRARY, bootstrap=20, seed=1)
    assert "fewer than three pairs" in row(evaluation, "pair_cooccurrence_pearson")["note"]
    assert value(evaluation, "pair_spacing_divergence") < 0.5
    apart_ = {
        "generated": one_label(random_sequences(40, 9, width=LENGTH)),
        "reference": one_label(modules(40, 3, (90, 91), pairs=(PAIR,))),
    }
    evaluation, details = evaluate_motifs(as_sets(**apart_), LIBRARY, bootstrap=20, seed=1)
    why = row(evaluation, "pair_spacing_divergence")["note"]
    assert why == "no two enriched motifs within 60 bp stand in one way more often than by chance"
    assert details["spacings"].empty
    near = {
        "generated": one_label(random_sequences(40, 9, width=LENGTH)),
        "reference": one_label(modules(40, 3, (8, 14), pairs=(PAIR,))),
    }
    evaluation, _ = evaluate_motifs(as_sets(**near), LIBRARY, bootstrap=20, seed=1)
    assert row(evaluation, "pair_spacing_divergence")["note"] == "the set has none of the pairs"
    assert evaluation["value"].isna().equals(evaluation["note"].notna())


def test_pairs_that_lie_anyhow_are_not_looked_at():
    generator = np.random.default_rng(1)
    sequences = []
    for sequence in random_sequences(150, 2, width=LENGTH):
        starts = generator.integers([20, 20], [120, 120])
        if abs(starts[0] - starts[1]) >= 12:
            for name, start in zip(PAIR, starts, strict=True):
                site = CONSENSUS[name] if generator.random() < 0.5 else complement(CONSENSUS[name])
                sequence = sequence[:start] + site + sequence[start + len(site) :]
        sequences.append(sequence)
    sets = as_sets(generated=one_label(sequences[:75]), reference=one_label(sequences[75:]))
    evaluation, details = evaluate_motifs(sets, LIBRARY, bootstrap=20, seed=1)
    table = details["pairs"].query("set == 'reference' and label == 'all'").set_index("first_name")
    assert table["both"].max() > 50
    assert "stand in one way more often than by chance" in row(evaluation, "pair_spacing_divergence")["note"]
    assert details["spacings"].empty
