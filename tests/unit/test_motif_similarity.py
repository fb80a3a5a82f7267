"""Likeness of motifs: against enumeration of everything, and against JASPAR, where each motif must find itself."""

from itertools import product

import numpy as np
import pytest
from evaluation_cases import CONSENSUS, LIBRARY, motif

from diffusion_bert.evaluation.motif_library import Motif, load_motifs
from diffusion_bert.evaluation.motif_similarity import SIMILARITY, Comparer, compare, pairs


def random_motif(generator: np.random.Generator, name: str, width: int) -> Motif:
    return Motif(name, name, generator.integers(0, 20, size=(4, width)) + generator.integers(1, 3, size=(4, width)))


def by_enumeration(query: Motif, target: Motif, null: Motif) -> tuple[float, list[tuple[float, int, str, int]]]:
    """The p-value, and score, offset, strand and overlap of the alignments that have it: every alignment in a loop,
    every draw of null columns in full."""

    def share(counts: np.ndarray) -> np.ndarray:
        return counts / counts.sum(axis=0)

    def alike(one: np.ndarray, other: np.ndarray) -> int:
        return round((1 - np.linalg.norm(one - other) / np.sqrt(2)) * 100)

    own, drawn = share(query.counts), share(null.counts)
    drawn = np.concatenate([drawn, drawn[::-1]], axis=1)
    chances = [[alike(own[:, i], drawn[:, j]) for j in range(drawn.shape[1])] for i in range(query.width)]
    least = min(5, query.width, target.width)
    tried = []
    for strand, other in (("+", share(target.counts)), ("-", share(target.counts)[::-1, ::-1])):
        for offset in range(-target.width, query.width + 1):
            columns = [i for i in range(query.width) if 0 <= i - offset < target.width]
            if len(columns) >= least:
                score = sum(alike(own[:, i], other[:, i - offset]) for i in columns)
                sums = [sum(draw) for draw in product(*(chances[i] for i in columns))]
                p_value = np.mean(np.array(sums) >= score)
                tried.append((p_value, (score / 100, offset, strand, len(columns))))
    least_p = min(p_value for p_value, _ in tried)
    return 1 - (1 - least_p) ** len(tried), [alignment for p_value, alignment in tried if p_value == least_p]


@pytest.mark.parametrize("seed", range(4))
def test_p_values_offsets_and_strands_are_those_of_enumeration(seed):
    generator = np.random.default_rng(seed)
    null = random_motif(generator, "null", 2)
    query = random_motif(generator, "query", 6)
    library = [random_motif(generator, f"m{width}", width) for width in (3, 5, 6, 8)]
    # One that overlaps the query in part, on the other strand.
    part = np.concatenate([query.counts[:, 1:], random_motif(generator, "x", 2).counts], axis=1)
    library.append(Motif("part", "part", part[::-1, ::-1]))
    found = compare(query.counts, library, [null]).set_index("matrix_id")
    for one in library:
        p_value, alignments = by_enumeration(query, one, null)
        row = found.loc[one.matrix_id]
        assert row["p_value"] == pytest.approx(p_value, rel=1e-9)
        assert tuple(row[["score", "offset", "strand", "overlap"]]) in alignments, one.matrix_id
    assert tuple(found.loc["part", ["offset", "strand", "overlap"]]) == (1, "-", 5)
    p, n = np.sort(found["p_value"].to_numpy()), len(found)
    stepped = np.minimum.accumulate((p * n / np.arange(1, n + 1))[::-1])[::-1]
    assert found["q_value"].to_numpy() == pytest.approx(np.minimum(stepped, 1))
    assert found["p_value"].is_monotonic_increasing


@pytest.fixture(scope="module")
def jaspar():
    return load_motifs("jaspar", "nematodes")


@pytest.fixture(scope="module")
def searched(jaspar):
    return Comparer(jaspar)


def test_each_motif_of_jaspar_finds_itself_first_on_either_strand(jaspar, searched):
    for one in jaspar:
        share = one.counts / one.counts.sum(axis=0)
        palindrome = np.abs(share - share[::-1, ::-1]).max() < 0.02
        for counts, strand in ((one.counts, "+"), (one.counts[::-1, ::-1], "-")):
            first = searched.table(counts).iloc[0]
            assert (first["matrix_id"], first["offset"], first["overlap"]) == (one.matrix_id, 0, one.width)
            assert first["strand"] == strand or palindrome
            assert first["score"] == one.width


def test_pieces_and_longer_pieces_tell_where_they_lie(jaspar, searched):
    whole = next(one for one in jaspar if one.width >= 14)
    piece = searched.table(whole.counts[:, 3:13]).set_index("matrix_id").loc[whole.matrix_id]
    assert (piece["offset"], piece["strand"], piece["overlap"]) == (-3, "+", 10)
    flat = np.full((4, 4), 5.0)
    longer = searched.table(np.concatenate([flat, whole.counts * 7, flat], axis=1))
    assert (longer["matrix_id"][0], longer["offset"][0], longer["overlap"][0]) == (whole.matrix_id, 4, whole.width)
    assert longer["q_value"][0] < 1e-6


def test_motifs_of_chance_columns_are_like_nothing(jaspar, searched):
    """p-values are right: of motifs drawn from the null, a twentieth lies below 0.05, or fewer (it is conservative)."""
    generator = np.random.default_rng(1)
    columns = np.concatenate([one.counts / one.counts.sum(axis=0) for one in jaspar], axis=1)
    drawn = [columns[:, generator.integers(0, columns.shape[1], 9)] for _ in range(12)]
    tables = [searched.table(query) for query in drawn]
    shares = [np.mean(np.concatenate([table["p_value"] for table in tables]) < level) for level in (0.01, 0.05, 0.2)]
    assert 0.004 < shares[0] < 0.015
    assert 0.025 < shares[1] < 0.06
    assert 0.1 < shares[2] < 0.22
    assert sum(table["q_value"].min() < 0.05 for table in tables) <= 2


def test_a_motif_has_one_partner_the_likest(jaspar):
    gata, ets, ebox, hnf = LIBRARY
    weaker = Motif("weaker", "weaker", gata.counts + 10)
    found = pairs([gata, weaker, hnf], [Motif("a", "a", hnf.counts[::-1, ::-1]), Motif("b", "b", gata.counts)], jaspar)
    assert found[["query", "matrix_id"]].to_numpy().tolist() == [["M_GATA", "b"], ["M_HNF", "a"]]
    assert found["strand"].tolist() == ["+", "-"]
    # Equals stay together, even where that leaves their distant relatives without a partner.
    head, tail = (
        motif(name, CONSENSUS["GATA"][part], 0.85) for name, part in (("head", slice(5)), ("tail", slice(4, 9)))
    )
    assert len(pairs([gata], [head], jaspar)) == len(pairs([tail], [gata], jaspar)) == 1
    found = pairs([gata, tail], [gata, head], jaspar)
    assert found.set_index("query")["matrix_id"].to_dict() == {"M_GATA": "M_GATA"}
    assert pairs([ets], [ebox, hnf], jaspar).empty


def test_nothing_is_compared_with_nothing(jaspar):
    assert list(compare(LIBRARY[0].counts, [], jaspar).columns) == list(SIMILARITY)
    assert len(compare(LIBRARY[0].counts, [])) == 0
    assert pairs([], LIBRARY, jaspar).empty
    assert pairs(LIBRARY, [], jaspar).empty
    assert list(pairs([], [], jaspar).columns) == ["query", *SIMILARITY]
