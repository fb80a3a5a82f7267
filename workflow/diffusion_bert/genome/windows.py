"""Fixed-width windows around peaks, with filters that account for every peak they drop.

One chromosome at a time, over all tracks. No Python loop over peaks: windows are rows of one strided view of the
chromosome. Only windows that overlap another one are visited one by one, when the better of them is to be kept.

The filters, in the order in which they apply (each is a row of FUNNEL per track, dropped 0 where it has no effect):

    peaks                   all peaks of the track on the chromosome
    outside_chromosome      the window, after jitter, reaches over an end of the chromosome
    blacklist               the window shares a base with an excluded region
    ambiguous_bases         the share of letters other than A, C, G, T is above max_n
    soft_masked             the share of lower-case letters is above max_lower_case
    overlap_within_label    a better window of the same label shares at least ``fraction`` of the width
    overlap_between_labels  the same between labels: the better stays (``best``), both stay (``keep``), or go (``drop``)
    windows                 what is left
"""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from diffusion_bert.errors import UserError
from diffusion_bert.genome.fasta import read_chromosome
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import FUNNEL, WINDOWS, check

STAGES = (
    "peaks",
    "outside_chromosome",
    "blacklist",
    "ambiguous_bases",
    "soft_masked",
    "overlap_within_label",
    "overlap_between_labels",
    "windows",
)

_BLOCK = 1 << 13  # windows looked at together: bounds the memory that counting letters takes


def _letter_tables() -> tuple[np.ndarray, np.ndarray]:
    """Byte to upper-case A, C, G, T or N (all else is N), and to its complement."""
    letters = np.full(256, ord("N"), dtype=np.uint8)
    complements = letters.copy()
    for letter, partner in ("AT", "TA", "CG", "GC"):
        for case in (letter, letter.lower()):
            letters[ord(case)] = ord(letter)
            complements[ord(case)] = ord(partner)
    return letters, complements


_UPPER, _COMPLEMENT = _letter_tables()


def extract_windows(
    fasta: str | Path,
    peaks: pd.DataFrame,
    chrom: str,
    *,
    width: int,
    centre: str = "summit",
    jitter: int = 0,
    seed: int = 1,
    max_n: float = 0.0,
    max_lower_case: float = 1.0,
    blacklist: pd.DataFrame | None = None,
    overlap: Mapping[str, float | str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The windows of one chromosome's peaks as a WINDOWS table, and what became of each track's peaks as a FUNNEL.

    fasta: plain FASTA with its .fai beside. peaks: PEAKS of all tracks; rows of other chromosomes are passed over.
    width: bp; the window of a centre c is [c - width // 2, c - width // 2 + width).
    centre: ``summit`` (the midpoint where a peak has none, counted in the log) or ``midpoint``, (start + end) // 2.
    jitter: each centre moves by a whole number of bp drawn evenly from [-jitter, jitter]. The draw depends on seed,
    chromosome, track, start and end of the peak only, so neither order nor the other peaks change it.
    max_n, max_lower_case: highest share allowed (0 to 1) of letters other than ACGT, and of lower-case letters.
    blacklist: table with chrom, start, end (bp, 0-based half-open).
    overlap: ``fraction`` (of the width), ``within_label`` (best, keep), ``between_labels`` (best, keep, drop). Within
    a label the higher score wins, between labels the higher rank of the score within its track on this chromosome;
    ties go to the lower position, then to the track that comes first by name.

    Sequences are upper case, 5' to 3' on the window's strand (reverse complement for -); IUPAC codes other than ACGT
    become N, and N stays N where max_n lets it pass. Rows are sorted by start, end and track, and depend on the order
    of neither peaks nor tracks. The table's summit is the peak's own (before jitter; null where it has none).
    Raises UserError for a width above the chromosome's length and for settings without meaning.
    """
    _check_settings(centre, jitter, overlap)
    letters = read_chromosome(fasta, chrom)
    if not 1 <= width <= len(letters):
        raise UserError(
            f"The window width {width} does not fit chromosome {chrom}, which is {len(letters)} bp long.",
            "Set windows: width to at least 1 and at most the shortest chromosome's length, or leave that one out.",
        )
    rows = _Peaks(peaks[(peaks["chrom"] == chrom).to_numpy()], chrom, width, centre, jitter, seed, len(letters))
    view = np.lib.stride_tricks.sliding_window_view(letters, width)
    funnel = _Funnel(rows)
    funnel.keep("outside_chromosome", (rows.start >= 0) & (rows.start + width <= len(letters)))
    funnel.keep("blacklist", ~_touches(rows.start[funnel.left], width, chrom, blacklist))
    if max_n < 1:
        funnel.keep("ambiguous_bases", _share(view, rows.start[funnel.left], _ambiguous) <= max_n)
    if max_lower_case < 1:
        funnel.keep("soft_masked", _share(view, rows.start[funnel.left], _lower_case) <= max_lower_case)
    reach = _reach(width, float(overlap["fraction"]))
    if overlap["within_label"] == "best":
        left = funnel.left
        funnel.keep("overlap_within_label", _best_within(rows.start[left], rows.label[left], rows.score[left], reach))
    left = funnel.left
    if overlap["between_labels"] == "best":
        kept = _best_between(rows.start[left], rows.label[left], rows.rank[left], reach)
        funnel.keep("overlap_between_labels", kept)
    elif overlap["between_labels"] == "drop":
        funnel.keep("overlap_between_labels", ~_contested_between(rows.start[left], rows.label[left], reach))
    left = funnel.left
    frame = rows.frame.iloc[rows.order[left]].reset_index(drop=True)
    windows = {
        "chrom": frame["chrom"],
        "start": rows.start[left],
        "end": rows.start[left] + width,
        "strand": frame["strand"],
        "summit": frame["summit"],
        "track": frame["track"],
        "label": frame["label"],
        "score": frame["score"],
        "sequence": _sequences(view, rows.start[left], (frame["strand"] == "-").to_numpy()),
    }
    return check(pd.DataFrame(windows), WINDOWS, f"windows of {chrom}"), funnel.table()


class _Peaks:
    """One chromosome's peaks as arrays, in an order that does not depend on how they came.

    order: rows of ``frame``, by window start, window's track, and all else that tells two peaks apart.
    start: window start (bp), may lie outside the chromosome. label, track: codes. rank: of the score, see _rank.
    """

    def __init__(self, frame, chrom: str, width: int, centre: str, jitter: int, seed: int, length: int):
        self.frame, self.chrom = frame, chrom
        first, last = frame["start"].to_numpy(), frame["end"].to_numpy()
        track, self.tracks = pd.factorize(frame["track"], sort=True)
        label, self.labels = pd.factorize(frame["label"], sort=True)
        score, middle = frame["score"].to_numpy(), (first + last) // 2
        summit = frame["summit"].to_numpy(dtype="int64", na_value=-1)
        if centre == "summit":
            if without := int((summit < 0).sum()):
                logging.info("%s: %d of %d peaks have no summit; their midpoint is used.", chrom, without, len(frame))
            middle = np.where(summit < 0, middle, summit)
        if beyond := int((last > length).sum()):
            logging.warning(
                "%s: %d of %d peaks end beyond the chromosome (%d bp): are tracks and genome of one assembly?",
                chrom, beyond, len(frame), length,
            )  # fmt: skip
        start = middle - width // 2
        if jitter:
            start = start + _jitter(seed, chrom, self.tracks, track, first, last, jitter)
        strand = pd.factorize(frame["strand"], sort=True)[0]
        self.order = _sorted(start, track, (label, first, last, summit, strand, score))
        self.start, self.score = start[self.order], score[self.order]
        self.label, self.track = label[self.order], track[self.order]
        self.rank = _rank(score, track)[self.order]


def _sorted(start: np.ndarray, track: np.ndarray, further: tuple[np.ndarray, ...]) -> np.ndarray:
    """Order by start, track and the further keys, which only the few rows that tie are sorted by."""
    order = np.lexsort((track, start))
    tie = (np.diff(start[order]) == 0) & (np.diff(track[order]) == 0)
    tied = np.append(tie, False) | np.insert(tie, 0, False) if len(order) else np.zeros(0, dtype=bool)
    rows = order[tied]
    order[tied] = rows[np.lexsort([key[rows] for key in (*reversed(further), track, start)])]
    return order


class _Funnel:
    """Which peaks are left, and how many each stage kept and dropped of each track."""

    def __init__(self, rows: _Peaks):
        self.rows, self.left = rows, np.arange(len(rows.start))
        self.groups, group = np.unique(rows.track * len(rows.labels) + rows.label, return_inverse=True)
        self.group = group.reshape(-1)
        self.counts = {"peaks": self._count()}

    def keep(self, stage: str, kept: np.ndarray) -> None:
        self.left = self.left[kept]
        self.counts[stage] = self._count()

    def _count(self) -> np.ndarray:
        return np.bincount(self.group[self.left], minlength=len(self.groups))

    def table(self) -> pd.DataFrame:
        labels = len(self.rows.labels)
        kept = []
        for stage in STAGES:
            kept.append(self.counts.get(stage, kept[-1] if kept else None))
        kept = np.array(kept).reshape(len(STAGES), len(self.groups))
        dropped = -np.diff(kept, axis=0, prepend=kept[:1])
        track, label = np.divmod(self.groups, max(labels, 1))
        frame = pd.DataFrame(
            {
                "chrom": self.rows.chrom,
                "track": np.repeat(self.rows.tracks.to_numpy(dtype=object)[track], len(STAGES)),
                "label": np.repeat(self.rows.labels.to_numpy(dtype=object)[label], len(STAGES)),
                "stage": np.tile(np.array(STAGES, dtype=object), len(self.groups)),
                "kept": kept.T.reshape(-1),
                "dropped": dropped.T.reshape(-1),
            }
        )
        return check(frame, FUNNEL, f"funnel of {self.rows.chrom}")


def _check_settings(centre: str, jitter: int, overlap: Mapping[str, float | str]) -> None:
    for name, value, allowed in (
        ("centre", centre, ("summit", "midpoint")),
        ("overlap: within_label", overlap["within_label"], ("best", "keep")),
        ("overlap: between_labels", overlap["between_labels"], ("keep", "best", "drop")),
    ):
        if value not in allowed:
            raise UserError(f"windows: {name} is {value!r}.", f"Use one of {', '.join(allowed)}.")
    if jitter < 0:
        raise UserError(f"windows: jitter is {jitter}.", "Give 0 or more bp.")
    if not 0 < overlap["fraction"] <= 1:
        raise UserError(
            f"windows: overlap: fraction is {overlap['fraction']}.", "Give a share of the width above 0 and up to 1."
        )


def _jitter(seed, chrom, tracks, track, start, end, jitter) -> np.ndarray:
    """A shift a peak, by hashing what identifies the peak (SplitMix64, Steele et al. 2014): no order, no state."""
    seeds = np.array([derive_seed(seed, "jitter", chrom, name) for name in tracks], dtype=np.uint64)
    state = seeds[track] if len(seeds) else np.zeros(0, dtype=np.uint64)
    for part in (start, end):
        state = (state ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state % np.uint64(2 * jitter + 1)).astype(np.int64) - jitter


def _rank(score: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Share of the track's peaks on this chromosome that score no higher: comparable between tracks of any scale."""
    order = np.lexsort((score, track))
    size = np.bincount(track, minlength=1)
    offset = np.cumsum(size) - size
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(score[order]) != 0) | (np.diff(track[order]) != 0)
    ends = np.append(np.flatnonzero(new)[1:], len(order))
    last = ends[np.cumsum(new) - 1] if len(order) else ends[:0]
    rank = np.empty(len(order))
    rank[order] = (last - offset[track[order]]) / size[track[order]]
    return rank


def _touches(start: np.ndarray, width: int, chrom: str, regions: pd.DataFrame | None) -> np.ndarray:
    """Whether each window shares a base with a region."""
    if regions is None:
        return np.zeros(len(start), dtype=bool)
    here = regions[(regions["chrom"] == chrom).to_numpy()].sort_values("start")
    low, high = here["start"].to_numpy(), np.maximum.accumulate(here["end"].to_numpy())
    before = np.searchsorted(low, start + width, side="left")  # regions that begin before the window's end
    return (before > 0) & (np.append(high, -1)[before - 1] > start)


def _share(view: np.ndarray, start: np.ndarray, flag: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Share of each window's letters that ``flag`` marks: letters (n, width) uint8 -> 0 or 1, of the same shape."""
    share = np.empty(len(start))
    for low in range(0, len(start), _BLOCK):
        share[low : low + _BLOCK] = _row_sums(flag(view[start[low : low + _BLOCK]]))
    return share / view.shape[1]


def _ambiguous(letters: np.ndarray) -> np.ndarray:
    return (_translate(letters, _UPPER) == ord("N")).view(np.uint8)


def _lower_case(letters: np.ndarray) -> np.ndarray:
    return (letters >> 5) & 1  # the bit by which ASCII's lower-case letters differ from upper case


def _translate(letters: np.ndarray, table: np.ndarray) -> np.ndarray:
    """table[letters]; several times as fast as indexing."""
    return np.frombuffer(letters.tobytes().translate(table.tobytes()), dtype=np.uint8).reshape(letters.shape)


def _row_sums(flags: np.ndarray) -> np.ndarray:
    """Sum of each row of zeros and ones, eight columns an addition: a word's bytes cannot overflow in 255 words."""
    whole = flags.shape[1] // 8 * 8
    sums = flags[:, whole:].sum(axis=1, dtype=np.int64)
    for low in range(0, whole, 8 * 255):
        words = np.ascontiguousarray(flags[:, low : min(whole, low + 8 * 255)]).view(np.uint64)
        sums += words.sum(axis=1).view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)
    return sums


def _reach(width: int, fraction: float) -> int:
    """Windows whose starts differ by no more than this share at least ``fraction`` of the width (and at least 1 bp)."""
    return width - max(1, math.ceil(round(fraction * width, 6)))


def _within_reach(start: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """For sorted starts, the range of rows that lie in reach of each row (itself among them)."""
    return np.searchsorted(start, start - reach, "left"), np.searchsorted(start, start + reach, "right")


def _best_within(start: np.ndarray, label: np.ndarray, score: np.ndarray, reach: int) -> np.ndarray:
    """Greedy choice within labels: best first, each kept window puts out those of its label in reach.

    Kept windows of a label are more than ``reach`` apart, so a window is put out at most twice: linear after sorting.
    """
    # Labels one behind the other on one axis, too far apart to reach each other.
    place = start + label * (int(start.max(initial=0)) + reach + 1)
    by_place = np.argsort(place, kind="stable")
    low, high = _within_reach(place[by_place], reach)
    contested = np.flatnonzero(high - low > 1)
    order = contested[np.lexsort((by_place[contested], -score[by_place][contested]))]
    out = bytearray(len(start))
    kept = np.ones(len(start), dtype=bool)
    for i, first, last in zip(order.tolist(), low[order].tolist(), high[order].tolist(), strict=True):
        if out[i]:
            kept[by_place[i]] = False
        else:
            out[first:last] = b"\1" * (last - first)
    return kept


def _contested_between(start: np.ndarray, label: np.ndarray, reach: int) -> np.ndarray:
    """Whether a window of another label lies in reach. Starts are sorted."""
    low, high = _within_reach(start, reach)
    same = np.zeros(len(start), dtype=np.int64)
    for code in np.unique(label):
        at = np.flatnonzero(label == code)
        first, last = _within_reach(start[at], reach)
        same[at] = last - first
    return high - low > same


def _best_between(start: np.ndarray, label: np.ndarray, rank: np.ndarray, reach: int) -> np.ndarray:
    """Greedy choice between labels: best first, each kept window puts out those of other labels in reach."""
    low, high = _within_reach(start, reach)
    contested = np.flatnonzero(_contested_between(start, label, reach))
    order = contested[np.lexsort((contested, -rank[contested]))]
    out = bytearray(len(start))
    labels = label.tolist()
    for i, first, last in zip(order.tolist(), low[order].tolist(), high[order].tolist(), strict=True):
        if not out[i]:
            for other in range(first, last):
                if labels[other] != labels[i]:
                    out[other] = 1
    return np.frombuffer(out, dtype=np.uint8) == 0


def _sequences(view: np.ndarray, start: np.ndarray, reverse: np.ndarray) -> pd.Series:
    """Each window's letters, upper case, on its strand; one buffer, no Python string."""
    width = view.shape[1]
    text = np.empty((len(start), width), dtype=np.uint8)
    for low in range(0, len(start), _BLOCK):
        block = slice(low, low + _BLOCK)
        raw = view[start[block]]
        text[block] = _translate(raw, _UPPER)
        text[block][reverse[block]] = _translate(raw[reverse[block]][:, ::-1], _COMPLEMENT)
    offsets = np.arange(len(start) + 1, dtype=np.int64) * width
    return pa.LargeStringArray.from_buffers(len(start), pa.py_buffer(offsets), pa.py_buffer(text)).to_pandas()
