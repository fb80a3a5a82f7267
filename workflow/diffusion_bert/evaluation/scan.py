"""Where motifs hit: lightmotif on both strands, at thresholds from each motif's exact score distribution.

Scores are log2 odds against a stated background, rounded to 1/256 bit. On that grid every sum is exact in single
precision, so the scanner's scores are exactly those whose distribution sets the threshold, and a hit is a hit.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields

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


@dataclass(frozen=True)
class Sites:
    """Hits of several motifs, one entry each: motif and sequence (row numbers), start and width (bp), strand (+1 or
    -1), score (bits), and length, that of the sequence (bp)."""

    motif: np.ndarray
    sequence: np.ndarray
    start: np.ndarray
    width: np.ndarray
    strand: np.ndarray
    score: np.ndarray
    length: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Half bp where the width is odd."""
        return self.start + self.width / 2

    @property
    def place(self) -> np.ndarray:
        """The middle as a share of the sequence's length."""
        return self.middle / self.length

    def where(self, chosen: np.ndarray) -> "Sites":
        """These of the hits: a mask or row numbers."""
        return Sites(*(getattr(self, field.name)[chosen] for field in fields(self)))


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


class Scan:
    """What was found in N sequences by M motifs. any_hit: whether a sequence has a hit, (N, M). lengths: bp, (N,)."""

    def __init__(self, sequences: Sequence[str], scanners: Sequence[Scanner]):
        """Every hit on both strands. Cost: letters x motifs; memory 16 bytes a hit."""
        target = Target(sequences)
        self.lengths, self._widths = target.lengths, np.array([scanner.motif.width for scanner in scanners])
        self.any_hit = np.zeros((len(sequences), len(scanners)), dtype=bool)
        self._found = []
        for number, scanner in enumerate(scanners):
            hits = target.scan(scanner)
            self.any_hit[hits.sequence, number] = True
            self._found.append(
                Hits(
                    hits.sequence.astype(np.int32),
                    hits.start.astype(np.int32),
                    hits.strand.astype(np.int8),
                    hits.score.astype(np.float32),
                )
            )

    def sites(self, motifs: Sequence[int]) -> Sites:
        """The hits of these motifs, motif by motif, each in the order of sequences and starts."""
        found = [self._found[motif] for motif in motifs]

        def joined(field: str, kind: type) -> np.ndarray:
            return np.concatenate([np.zeros(0, dtype=kind), *(getattr(hits, field) for hits in found)]).astype(kind)

        motif = np.repeat(np.asarray(motifs, dtype=np.int64), [len(hits.sequence) for hits in found])
        sequence = joined("sequence", np.int64)
        return Sites(
            motif=motif,
            sequence=sequence,
            start=joined("start", np.int64),
            width=self._widths[motif],
            strand=joined("strand", np.int64),
            score=joined("score", np.float64),
            length=self.lengths[sequence],
        )
