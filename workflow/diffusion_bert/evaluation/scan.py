"""Where motifs hit: lightmotif on both strands, at thresholds from each motif's exact score distribution.

Scores are log2 odds against a stated background, rounded to 1/256 bit. On that grid every sum is exact in single
precision, so the scanner's scores are exactly those whose distribution sets the threshold, and a hit is a hit.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import lightmotif
import numpy as np

from diffusion_bert.evaluation.letters import lengths_of
from diffusion_bert.evaluation.motif_library import Motif

GRID = 256
PSEUDOCOUNT = 0.8
LOOSEST = 1e-3
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scanner:
    """A motif made ready. scores: whole numbers of 1/GRID bit, shape (4, width). threshold: in the same unit.
    p_value: the exact chance that a random site of the background scores at least the threshold."""

    motif: Motif
    scores: np.ndarray
    threshold: int
    p_value: float


@dataclass(frozen=True)
class Hits:
    """Hits of one motif in order: row number of the sequence, start (bp), strand (+1 or -1), score (bits)."""

    sequence: np.ndarray
    start: np.ndarray
    strand: np.ndarray
    score: np.ndarray


def base_composition(sequences: Sequence[str]) -> np.ndarray:
    """Shares of A, C, G, T over both strands (so A = T and C = G), with one pseudo-base each: shape (4,)."""
    text = "".join(sequences)
    a, c = text.count("A") + text.count("T") + 2, text.count("C") + text.count("G") + 2
    return np.array([a, c, c, a]) / (2 * (a + c))


def log_odds(counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """log2 odds of a count matrix (4, width) against the background, a pseudocount of 0.8 a column shared out by it
    (Nishida, Frith and Nakai 2009), in whole numbers of 1/GRID bit."""
    spread = background[:, None]
    probability = (counts + PSEUDOCOUNT * spread) / (counts.sum(axis=0) + PSEUDOCOUNT)
    return np.rint(np.log2(probability / spread) * GRID).astype(np.int64)


def score_distribution(scores: np.ndarray, background: np.ndarray) -> tuple[int, np.ndarray]:
    """The exact distribution of the score of a random site: (lowest score, chance of each score from there on)."""
    lowest = scores.min(axis=0)
    above = scores - lowest
    chance = np.ones(1)
    for column in above.T:
        longer = np.zeros(len(chance) + column.max())
        for base, shift in enumerate(column):
            longer[shift : shift + len(chance)] += background[base] * chance
        chance = longer
    return int(lowest.sum()), chance


def make_scanner(motif: Motif, background: np.ndarray, p_value: float) -> Scanner | None:
    """The scanner with the lowest threshold whose exact p-value is at most ``p_value``.

    A motif too short to reach it takes its best site as the threshold, if that site has a p-value of at most 1e-3;
    None otherwise.
    """
    scores = log_odds(motif.counts, background)
    lowest, chance = score_distribution(scores, background)
    tail = np.cumsum(chance[::-1])[::-1]
    # Sums of chances carry rounding errors of 1e-16 or so: a tail that equals the p-value must count as reaching it.
    reached = np.flatnonzero((tail <= p_value * (1 + 1e-9)) & (chance > 0))
    at = int(reached[0]) if len(reached) else int(np.flatnonzero(chance)[-1])
    if tail[at] > max(p_value, LOOSEST) * (1 + 1e-9):
        return None
    return Scanner(motif, scores, lowest + at, float(tail[at]))


def make_scanners(library: Sequence[Motif], background: np.ndarray, p_value: float) -> list[Scanner]:
    """Scanners of all motifs long enough; the log says how many were left out or use their best site."""
    made = [make_scanner(motif, background, p_value) for motif in library]
    kept = [scanner for scanner in made if scanner is not None]
    loose = sum(scanner.p_value > p_value * (1 + 1e-9) for scanner in kept)
    if loose or len(kept) < len(made):
        _LOG.info(
            "%d of %d motifs are too short for p < %g: %d count their best site only, %d are left out",
            loose + len(made) - len(kept), len(made), p_value, loose, len(made) - len(kept),
        )  # fmt: skip
    return kept


class Target:
    """Sequences joined and striped once, to be scanned by many motifs. ``N`` and other letters are never in a hit."""

    def __init__(self, sequences: Sequence[str]):
        self.lengths = lengths_of(sequences)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths + 1)[:-1]]) if len(sequences) else np.zeros(0, int)
        text = "N".join(sequences)
        letters = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)
        other = ~np.isin(letters, np.frombuffer(b"ACGT", dtype=np.uint8))
        self._others = np.concatenate([[0], np.cumsum(other)])
        self._size = len(text)
        plain = np.where(other, ord("N"), letters).astype(np.uint8).tobytes().decode()
        self._striped = lightmotif.stripe(plain) if plain else None

    def scan(self, scanner: Scanner) -> Hits:
        """All hits of the motif on both strands; a palindrome's site is one hit a strand. Linear in the letters."""
        parts = [self._strand(scanner.scores, scanner.threshold)]
        parts.append(self._strand(scanner.scores[::-1, ::-1], scanner.threshold))
        start = np.concatenate([positions for positions, _ in parts])
        score = np.concatenate([scores for _, scores in parts])
        strand = np.repeat(np.array([1, -1]), [len(positions) for positions, _ in parts])
        sequence = np.searchsorted(self._starts, start, side="right") - 1
        order = np.lexsort((strand, start))
        start = start - self._starts[sequence] if len(start) else start
        return Hits(sequence[order], start[order], strand[order], score[order])

    def _strand(self, scores: np.ndarray, threshold: int) -> tuple[np.ndarray, np.ndarray]:
        width = scores.shape[1]
        if self._striped is None or self._size < width:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        bits = scores / GRID
        # lightmotif scores N as 0 unless told; the column's worst keeps its 8-bit prefilter sharp, and windows that
        # hold an N are removed below.
        rows = {base: bits[i].tolist() for i, base in enumerate("ACGT")} | {"N": bits.min(axis=0).tolist()}
        matrix = lightmotif.ScoringMatrix(rows)
        found = [
            (hit.position, hit.score) for hit in lightmotif.scan(matrix, self._striped, threshold=threshold / GRID)
        ]
        position = np.array([at for at, _ in found], dtype=np.int64)
        score = np.array([value for _, value in found])
        inside = position + width <= self._size
        position, score = position[inside], score[inside]
        clean = self._others[position + width] == self._others[position]
        return position[clean], score[clean]
