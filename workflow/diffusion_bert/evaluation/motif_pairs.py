"""Pairs of enriched motifs: do they occur together, how far apart, and how turned to each other?

Both strands of a sequence are the same molecule: a pair and its reverse complement count as one. Of the four ways in
which two motifs on strands can follow each other, read along the sequence,

    ``++``  first, then second, on the same strand   (or second, then first, both on the other strand),
    ``+-``  facing each other                        (the same read from the other strand),
    ``-+``  back to back                             (the same read from the other strand),

the first counts apart for each order of two motifs that differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from diffusion_bert.evaluation.intervals import sums
from diffusion_bert.evaluation.kmers import js_divergence, pearson
from diffusion_bert.evaluation.motif_enrichment import FDR, hypergeometric_tail
from diffusion_bert.evaluation.motif_places import rows_of
from diffusion_bert.evaluation.motif_rates import correlation
from diffusion_bert.evaluation.rows import Rows
from diffusion_bert.evaluation.scan import Scanner, Sites

METRICS = ("pair_cooccurrence_pearson", "pair_spacing_divergence")
FEWEST_TOGETHER = 5  # sequences of the reference with both, seen or expected: below, log odds are noise
FEWEST_NEAR = 20  # sequences of the reference with both within reach: below, nothing can be said of distances
MOST_SPACED = 12  # pairs whose spacing is looked at
REACH = 60  # bp between the middles
BIN = 5  # bp
BINS = REACH // BIN
ORIENTATIONS = ("++", "++", "+-", "-+")  # class 0: the motif of lower rank comes first; class 1: the other one does


def apart(sites: Sites, rank: np.ndarray) -> Sites:
    """The sites that are left when no base may belong to two: of overlapping ones the highest score stays.

    Without this, two matrices that hit one site would seem to go together. Ties go to the lower rank (by row number of
    the motif), then to the left. A site that is hit on both strands with one score (a palindrome) has strand 0. In
    order of sequence and start.
    """
    order = np.lexsort((sites.strand, sites.start, rank[sites.motif], -sites.score, sites.sequence))
    sites = sites.where(order)
    kept, strands, taken, before = [], sites.strand.copy(), 0, -1
    last: tuple = ()
    columns = zip(
        sites.sequence.tolist(), sites.motif.tolist(), sites.start.tolist(), sites.width.tolist(), sites.score.tolist(),
        strict=True,
    )  # fmt: skip
    for row, (sequence, motif, start, width, score) in enumerate(columns):
        if sequence != before:
            taken, before = 0, sequence
        bases = ((1 << width) - 1) << start
        if not taken & bases:
            taken |= bases
            kept.append(row)
            last = (sequence, motif, start, score)
        elif last == (sequence, motif, start, score):
            strands[kept[-1]] = 0
    left = Sites(sites.motif, sites.sequence, sites.start, sites.width, strands, sites.score, sites.length).where(
        np.array(kept, dtype=np.int64)
    )
    return left.where(np.lexsort((left.start, left.sequence)))


@dataclass(frozen=True)
class Pairs:
    """Two sites of one sequence within REACH: sequence (row number), low and high (the ranks of the two motifs),
    orientation (class, see ORIENTATIONS), distance (bp between the middles, rounded down)."""

    sequence: np.ndarray
    low: np.ndarray
    high: np.ndarray
    orientation: np.ndarray
    distance: np.ndarray


def near_pairs(sites: Sites, rank: np.ndarray) -> Pairs:
    """All pairs of sites (as ``apart`` leaves them) whose middles lie less than 60 bp from each other.

    rank: of each motif, by its row number. Cost: sites x the most sites within reach of one.
    """
    found, ranks, middle, ahead = [], rank[sites.motif], sites.middle, 1
    left = np.arange(len(ranks))
    while len(left):
        left = left[left + ahead < len(ranks)]
        right = left + ahead
        # Sites are in the order of their starts, widths differ: a later one may still be nearer by less than a width.
        same = (sites.sequence[left] == sites.sequence[right]) & (
            sites.start[right] - sites.start[left] < REACH + sites.width.max(initial=0)
        )
        left, right = left[same], right[same]
        near = middle[right] - middle[left] < REACH
        found.append((left[near], right[near]))
        ahead += 1
    left = np.concatenate([one for one, _ in found] or [np.zeros(0, dtype=np.int64)])
    right = np.concatenate([one for _, one in found] or [np.zeros(0, dtype=np.int64)])
    orientation = _orientation(ranks[left], ranks[right], sites.strand[left], sites.strand[right])
    low, high = np.minimum(ranks[left], ranks[right]), np.maximum(ranks[left], ranks[right])
    distance = np.floor(middle[right] - middle[left]).astype(np.int64)
    order = np.lexsort((right, left))
    return Pairs(*(one[order] for one in (sites.sequence[left], low, high, orientation, distance)))


def _orientation(left: np.ndarray, right: np.ndarray, left_strand: np.ndarray, right_strand: np.ndarray) -> np.ndarray:
    """The class of each pair. left, right: ranks of the motifs, in their order along the sequence. Strand 0, either,
    is that of the other site; where both are either, nothing tells the order: the motif of lower rank comes first."""
    either = (left_strand == 0) & (right_strand == 0)
    s = np.where(left_strand == 0, right_strand, left_strand)
    t = np.where(right_strand == 0, left_strand, right_strand)
    first, second = np.where(s > 0, left, right), np.where(s > 0, right, left)
    along = np.where((first <= second) | either, 0, 1)
    return np.where(s == t, along, np.where(s > 0, 2, 3))


@dataclass(frozen=True)
class Together:
    """Whether motifs occur in the same sequences: of each pair the sequences with either (one, other) and with both,
    of n; all (..., P)."""

    one: np.ndarray
    other: np.ndarray
    both: np.ndarray
    n: int

    @property
    def expected(self) -> np.ndarray:
        """Sequences with both, were the two independent."""
        return self.one * self.other / max(self.n, 1)

    @property
    def log2_odds(self) -> np.ndarray:
        """log2 odds ratio, 0.5 added to each cell (Haldane 1956, Anscombe 1956), so that it is never infinite."""
        neither = self.n - self.one - self.other + self.both
        return np.log2(
            (self.both + 0.5) * (neither + 0.5) / ((self.one - self.both + 0.5) * (self.other - self.both + 0.5))
        )

    @property
    def p(self) -> np.ndarray:
        """Fisher's exact test, two-sided: twice the smaller tail, at most 1."""
        more = hypergeometric_tail(self.both, self.n, self.one, self.other)
        fewer = 1 - hypergeometric_tail(self.both + 1, self.n, self.one, self.other)
        return np.minimum(2 * np.minimum(more, fewer), 1)


class PairQuestion:
    """The pairs of one label's enriched motifs: which are compared, and each set's answer to that.

    sites: hits of the motifs ``top`` (row numbers, the most enriched first, one a family) in all sequences, of which
    there are ``total``. reference: its row numbers.
    """

    def __init__(self, sites: Sites, top: np.ndarray, reference: np.ndarray, total: int):
        rank = np.zeros(int(top.max(initial=0)) + 1, dtype=np.int64)
        rank[top] = np.arange(len(top))
        self._top, self._total = top, total
        self._sites = apart(sites, rank)
        self._rank = rank
        self._pairs = near_pairs(self._sites, rank)
        self._two = np.array(list(combinations(range(len(top)), 2)), dtype=np.int64).reshape(-1, 2)
        theirs = self._together(self._present(reference), None)
        self._compared = np.flatnonzero(np.maximum(theirs.both, theirs.expected) >= FEWEST_TOGETHER)
        self._log_odds = theirs.log2_odds[self._compared]
        self._shown = self._spaced(reference)
        self._spacing = self._features(reference).sum(axis=0, dtype=np.float64)

    def _present(self, at: np.ndarray) -> np.ndarray:
        """Whether each of these sequences has a site of each motif: float32 (len(at), len(top))."""
        row = rows_of(at, self._total)[self._sites.sequence]
        present = np.zeros((len(at), len(self._top)), dtype=np.float32)
        present[row[row >= 0], self._rank[self._sites.motif[row >= 0]]] = 1
        return present

    def _together(self, present: np.ndarray, counts: np.ndarray | None) -> Together:
        """Of the sequences as they are, or of their bootstrap samples (counts)."""
        one, other = self._two.T
        both = present[:, one] * present[:, other]
        if counts is None:
            have, both = present.sum(axis=0, dtype=np.float64), both.sum(axis=0, dtype=np.float64)
        else:
            have, both = sums(counts, present), sums(counts, both)
        return Together(have[..., one], have[..., other], both, len(present))

    def _spaced(self, reference: np.ndarray) -> np.ndarray:
        """The pairs (low, high) that stand in one way at one distance in more reference sequences than sites that do
        not regard each other would, (at most MOST_SPACED, 2), those in most sequences first.

        Each class and bin of each frequent pair is tested (Poisson, false discovery rate 0.05): without it, pairs that
        lie anyhow would drown the few that matter in the noise of their distances.
        """
        pairs, size = self._pairs, max(len(self._top), 1)
        pair = pairs.low * size + pairs.high
        cell = (pair * 4 + pairs.orientation) * BINS + pairs.distance // BIN
        inside = rows_of(reference, self._total)[pairs.sequence] >= 0

        def sequences(kind: np.ndarray, kinds: int) -> np.ndarray:
            once = np.unique(pairs.sequence[inside] * kinds + kind[inside]) % kinds
            return np.bincount(once, minlength=kinds)

        often = sequences(pair, size * size)
        frequent = np.flatnonzero(often >= FEWEST_NEAR)
        if not len(frequent):
            return np.zeros((0, 2), dtype=np.int64)
        expected = np.stack([self._expected(*divmod(one, size), reference).ravel() for one in frequent.tolist()])
        seen = sequences(cell, size * size * 4 * BINS).reshape(size * size, -1)[frequent]
        p = np.ones_like(expected)
        p[expected > 0] = stats.false_discovery_control(
            stats.poisson.sf(seen[expected > 0] - 1, expected[expected > 0]), method="bh"
        )
        frequent = frequent[(p < FDR).any(axis=1)]
        frequent = frequent[np.argsort(-often[frequent], kind="stable")][:MOST_SPACED]
        return np.stack([frequent // size, frequent % size], axis=1)

    def _features(self, at: np.ndarray) -> np.ndarray:
        """How often each sequence holds each pair shown, class and bin: float32 (len(at), pairs x 4 x BINS)."""
        size, width = max(len(self._top), 1), len(self._shown) * 4 * BINS
        column = np.full(size * size, -1)
        column[self._shown[:, 0] * size + self._shown[:, 1]] = np.arange(len(self._shown))
        pairs = self._pairs
        row, pair = rows_of(at, self._total)[pairs.sequence], column[pairs.low * size + pairs.high]
        flat = row * width + (pair * 4 + pairs.orientation) * BINS + pairs.distance // BIN
        return (
            np.bincount(flat[(row >= 0) & (pair >= 0)], minlength=len(at) * width)
            .reshape(len(at), width)
            .astype(np.float32)
        )

    def add(self, rows: Rows, label: str, name: str, at: np.ndarray, counts: np.ndarray) -> None:
        """Both metrics of the set whose row numbers are ``at``. counts: bootstrap counts, (draws, len(at))."""
        n = len(at)
        if len(self._compared) < 3:
            why = f"fewer than three pairs of enriched motifs are together in {FEWEST_TOGETHER} reference sequences"
            rows.missing(METRICS[0], label, name, n, why)
        else:
            present = self._present(at)
            value, drawn = (self._together(present, each).log2_odds[..., self._compared] for each in (None, counts))
            rows.add(METRICS[0], label, name, correlation(value, self._log_odds), pearson(drawn, self._log_odds), n,
                     "the log odds of all pairs are equal")  # fmt: skip
        if not len(self._shown):
            why = f"no two enriched motifs within {REACH} bp stand in one way more often than by chance"
            rows.missing(METRICS[1], label, name, n, why)
            return
        own = self._features(at)
        seen = (own.sum(axis=0) > 0) | (self._spacing > 0)
        value = float(js_divergence(own.sum(axis=0, dtype=np.float64), self._spacing))
        drawn = js_divergence(sums(counts, own[:, seen]), self._spacing[seen])
        rows.add(METRICS[1], label, name, value, drawn, n, "the set has none of the pairs")

    def pair_table(self, scanners: Sequence[Scanner], at: np.ndarray, name: str, label: str) -> pd.DataFrame:
        """Co-occurrence, one row a pair of motifs."""
        together = self._together(self._present(at), None)
        p = together.p
        return pd.DataFrame(
            {
                "set": name,
                "label": label,
                **_named(scanners, self._top[self._two[:, 0]], self._top[self._two[:, 1]]),
                "first_rate": together.one / max(len(at), 1),
                "second_rate": together.other / max(len(at), 1),
                "both": together.both.astype(np.int64),
                "expected": together.expected,
                "log2_odds": together.log2_odds,
                "p_value": p,
                "q_value": stats.false_discovery_control(p, method="bh") if len(p) else p,
                "n": len(at),
                "compared": np.where(np.isin(np.arange(len(p)), self._compared), "yes", "no"),
            }
        )

    def spacing_table(self, scanners: Sequence[Scanner], at: np.ndarray, name: str, label: str) -> pd.DataFrame:
        """One row a pair shown, orientation and bin: how many were seen, and how many were to be expected."""
        count = self._features(at).sum(axis=0, dtype=np.float64).reshape(-1, 4, BINS)
        expected = [self._expected(low, high, at) for low, high in self._shown.tolist()]
        ways = [
            (number, kind, *((high, low) if kind == 1 else (low, high)))
            for number, (low, high) in enumerate(self._shown.tolist())
            for kind in range(4)
            if low != high or kind != 1
        ]
        first, second = (np.repeat([self._top[way[which]] for way in ways], BINS).astype(np.int64) for which in (2, 3))
        return pd.DataFrame(
            {
                "set": name,
                "label": label,
                **_named(scanners, first, second),
                "orientation": np.repeat([ORIENTATIONS[kind] for _, kind, *_ in ways], BINS).astype(str),
                "distance": np.tile(np.arange(BINS) * BIN, len(ways)),
                "count": np.array([count[number, kind] for number, kind, *_ in ways], dtype=np.int64).ravel(),
                "expected": np.array([expected[number][kind] for number, kind, *_ in ways]).ravel(),
                "n": len(at),
            }
        )

    def _expected(self, low: int, high: int, at: np.ndarray) -> np.ndarray:
        """Pairs by class and bin, (4, BINS), if each motif's sites stood where and how they stand in the set, but
        without regard to the other's: those of one sequence together with those of every other, over n."""
        row = rows_of(at, self._total)[self._sites.sequence]
        inside = row >= 0
        rank, strand = self._rank[self._sites.motif[inside]], self._sites.strand[inside]
        # Middles in half bp, so that they are whole numbers.
        twice = 2 * self._sites.start[inside] + self._sites.width[inside]
        reach, size = 2 * REACH, int(twice.max(initial=0)) + 1
        least = sum(int(self._sites.width[inside][rank == one].max(initial=0)) for one in (low, high))

        def places(which: int, turned: int) -> np.ndarray:
            return np.bincount(twice[(rank == which) & (strand == turned)], minlength=size).astype(np.float64)

        out = np.zeros((4, BINS))
        lags = np.arange(least, reach)
        for left, right in {(low, high), (high, low)}:
            for s in (-1, 0, 1):
                here = places(left, s)
                if not here.any():
                    continue
                for t in (-1, 0, 1):
                    there = np.concatenate([places(right, t), np.zeros(reach)])
                    along = np.lib.stride_tricks.sliding_window_view(there, size)[least:reach] @ here
                    kind = int(_orientation(*(np.array(x) for x in (left, right, s, t))))
                    out[kind] += np.bincount(lags // 2 // BIN, weights=along, minlength=BINS)
        return out / max(len(at), 1)


def _named(scanners: Sequence[Scanner], first: np.ndarray, second: np.ndarray) -> dict[str, list[str]]:
    one, other = ([scanners[row].motif for row in rows.tolist()] for rows in (first, second))
    return {
        "first": [motif.matrix_id for motif in one],
        "first_name": [motif.name for motif in one],
        "second": [motif.matrix_id for motif in other],
        "second_name": [motif.name for motif in other],
    }
