"""How alike motifs are, and how surprising that is: the comparison of TOMTOM (Gupta et al. 2007).

Two columns are compared by the Euclidean distance of their letter frequencies; an alignment of two motifs scores the
sum over the columns that overlap. Its p-value is the chance that as many columns drawn from all those of the library
score as much against the same columns of the query: exact, by dynamic programming over scores on a grid. The best
alignment over all offsets and both strands counts, its p-value corrected for how many were tried.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment

from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.tables import Columns

FDR = 0.05
MIN_OVERLAP = 5  # columns; of a shorter motif, all
STEPS = 100  # of the grid that similarities of columns, from 0 to 1, lie on

# score: the sum over the overlap of 1 - distance / sqrt(2), each on a grid of hundredths. offset: the column of the
# query, counted from 0, at which the library's motif begins (below 0: before it). strand: of the library's motif.
# overlap: columns. p_value: of the best alignment, corrected for the number of alignments; q_value: after Benjamini
# and Hochberg over the library.
SIMILARITY: Columns = {
    "matrix_id": "text",
    "name": "text",
    "score": "float",
    "offset": "int",
    "strand": "text",
    "overlap": "int",
    "p_value": "float",
    "q_value": "float",
}


class Comparer:
    """A library made ready to be searched with many queries.

    null: motifs whose columns, as they are and reverse complemented, are what scores are compared with (default: the
    library's own). A library of a few motifs wants the columns of a large one. An empty library gives empty tables.
    """

    def __init__(self, library: Sequence[Motif], null: Sequence[Motif] | None = None):
        self._library = list(library)
        self._null = _columns(self._library if null is None else null)
        self._widths = np.array([motif.width for motif in self._library], dtype=np.int64)
        longest = int(self._widths.max(initial=0))
        # Both strands of all motifs, from their first column, in one block; what lies beyond a motif is never scored.
        self._targets = np.zeros((4, 2, len(self._library), longest))
        for row, motif in enumerate(self._library):
            share = frequencies(motif.counts)
            self._targets[:, 0, row, : motif.width] = share
            self._targets[:, 1, row, : motif.width] = share[::-1, ::-1]

    def table(self, query: np.ndarray) -> pd.DataFrame:
        """The SIMILARITY table of a query, counts or frequencies (4, width): one row a motif of the library, the
        smallest p-value first. Cost: width x columns of the library, and width**3 for the null distributions.
        """
        if not self._library:
            return pd.DataFrame({name: [] for name in SIMILARITY})
        share = frequencies(query)
        width, longest = share.shape[1], self._targets.shape[3]
        tail = _tails(np.stack([_similarity(column, self._null) for column in share.T]))
        # Shift g puts the query's column i on the motif's column i + g, so that the motif begins at -g.
        shifts = np.arange(1 - width, longest)
        start = np.broadcast_to(np.maximum(0, -shifts), (len(self._library), len(shifts)))
        end = np.minimum(width, self._widths[:, None] - shifts)
        overlap = end - start
        tried = overlap >= np.minimum(np.minimum(MIN_OVERLAP, width), self._widths)[:, None]
        beyond = np.arange(longest) >= self._widths[:, None]
        score = np.zeros((2, len(self._library), len(shifts)), dtype=np.int64)
        for column in range(width):
            padded = np.zeros((2, len(self._library), longest + 2 * width), dtype=np.int64)
            one = _similarity(share[:, column], self._targets)
            padded[:, :, width : width + longest] = np.where(beyond, 0, one)
            score += padded[:, :, column + 1 : column + 1 + len(shifts)]
        p_value = np.ones(score.shape)
        for strand in range(2):
            at = (start[tried], end[tried] - 1, score[strand][tried])
            p_value[strand][tried] = tail[at]
        # Of alignments that are equally surprising the one with the larger overlap counts, then the plus strand.
        least = np.where(tried, p_value, np.inf).min(axis=(0, 2))
        ties = tried & (p_value == least[None, :, None])
        flat = np.where(ties, overlap, -1).transpose(1, 0, 2).reshape(len(self._library), -1)
        strand, shift = np.divmod(flat.argmax(axis=1), len(shifts))
        rows = np.arange(len(self._library))
        # log1p and expm1 keep what is far below the rounding error of 1 - p.
        corrected = -np.expm1(2 * tried.sum(axis=1) * np.log1p(-np.minimum(least, 1 - 1e-16)))
        table = pd.DataFrame(
            {
                "matrix_id": [motif.matrix_id for motif in self._library],
                "name": [motif.name for motif in self._library],
                "score": score[strand, rows, shift] / STEPS,
                "offset": -shifts[shift],
                "strand": np.where(strand == 0, "+", "-"),
                "overlap": overlap[rows, shift],
                "p_value": corrected,
                "q_value": stats.false_discovery_control(corrected, method="bh"),
            }
        )
        return table.iloc[np.lexsort((-table["score"], corrected))].reset_index(drop=True)


def compare(query: np.ndarray, library: Sequence[Motif], null: Sequence[Motif] | None = None) -> pd.DataFrame:
    """The SIMILARITY table of one query, (4, width), against a library; see Comparer, which is faster for many."""
    return Comparer(library, null).table(query)


def pairs(queries: Sequence[Motif], library: Sequence[Motif], null: Sequence[Motif], fdr: float = FDR) -> pd.DataFrame:
    """Which motif of the library is which query, one to one: the pairs that have the smallest product of p-values.

    So two that are nearly the same are a pair, even where each could have a distant relative of the other as a partner.

    Columns: query (its matrix_id), and those of SIMILARITY, q_value being over all queries and motifs of the library.
    Only pairs with a q-value below ``fdr``; an empty table where there is none.
    """
    comparer = Comparer(library, null)
    parts = [comparer.table(motif.counts).assign(query=motif.matrix_id) for motif in queries]
    columns = ["query", *SIMILARITY]
    if not parts or not library:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True)
    table["q_value"] = stats.false_discovery_control(table["p_value"], method="bh")
    wide = table.pivot(index="query", columns="matrix_id", values="q_value")
    p = table.pivot(index="query", columns="matrix_id", values="p_value").to_numpy()
    alike = wide.to_numpy() < fdr
    weight = np.where(alike, -np.log(np.maximum(p, 1e-300)), 0.0)
    first, second = linear_sum_assignment(weight, maximize=True)
    chosen = {(wide.index[i], wide.columns[j]) for i, j in zip(first, second, strict=True) if alike[i, j]}
    kept = [pair in chosen for pair in zip(table["query"], table["matrix_id"], strict=True)]
    return table.loc[kept, columns].reset_index(drop=True)


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Each column's shares of A, C, G, T: (4, width)."""
    counts = np.asarray(counts, dtype=np.float64)
    return counts / counts.sum(axis=0)


def _columns(motifs: Sequence[Motif]) -> np.ndarray:
    """All columns of the motifs and of their reverse complements: (4, columns)."""
    forward = np.concatenate([np.zeros((4, 0)), *(frequencies(motif.counts) for motif in motifs)], axis=1)
    return np.concatenate([forward, forward[::-1]], axis=1)


def _similarity(column: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1 - Euclidean distance / sqrt(2) of a column (4,) and each of others (4, ...), in whole hundredths."""
    square = sum((own - other) ** 2 for own, other in zip(column, others, strict=True))
    return np.rint((1 - np.sqrt(square / 2)) * STEPS).astype(np.int64)


def _tails(similarity: np.ndarray) -> np.ndarray:
    """The chance that random columns score at least so much against the query's columns first to last (inclusive):
    indexed by first, last and score, (width, width, width * STEPS + 1).

    similarity: of each of the query's columns and all columns of the null, (width, columns).
    """
    width = len(similarity)
    chances = [np.bincount(column, minlength=STEPS + 1) / len(column) for column in similarity]
    out = np.ones((width, width, width * STEPS + 1))
    for first in range(width):
        chance = np.ones(1)
        for last in range(first, width):
            chance = np.convolve(chance, chances[last])
            out[first, last] = 0
            out[first, last, : len(chance)] = np.cumsum(chance[::-1])[::-1]
    return np.minimum(out, 1)
