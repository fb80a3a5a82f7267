"""A collapse alarm: is what is drawn poorer than the training windows?

A sampler that is too sharp (low temperature, strong guidance, much refinement) makes simple or ever the same sequences,
and filters would hide it. So it is told of the first draw of each sequence, before any filter, as drawing goes on.
Sequences and windows are cut to a common length where they differ, since all of it depends on length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from diffusion_bert.tables import Columns, check, empty

# One measure of one label (or ``all``): its value for what was drawn and for training windows, the limit past which it
# is an alarm, and how many sequences were looked at. ``alarm`` is yes or no.
COLLAPSE: Columns = {
    "label": "text",
    "measure": "text",
    "drawn": "float",
    "training": "float",
    "limit": "float",
    "n": "int",
    "alarm": "text",
}

ALL = "all"
TELLS = {
    "low_complexity": "more of low trinucleotide entropy than of the training windows",
    "long_homopolymers": "more with a long homopolymer than of the training windows",
    "unique": "the same ones again and again",
    "strand_asymmetry": "A and T, or C and G, less alike in number than in the training windows",
    "kmer_entropy": "fewer different 5-mers than in the training windows",
}
_TAIL = 0.01  # of the training windows lies beyond what counts as low complexity or a long homopolymer
_SHARE = 0.05  # of the drawn sequences may
_SKEW = 0.05
_BITS = 0.25
_UNIQUE = 0.95
_CODES = np.full(256, 4, dtype=np.int64)
_CODES[[ord(base) for base in "ACGT"]] = range(4)


@dataclass
class _Features:
    """Of n sequences: trinucleotide ``entropy`` (bits), longest ``homopolymer`` (bp), ``bases`` (n, 4) and ``words``
    (n, 4 ** 5), counts."""

    entropy: np.ndarray
    homopolymer: np.ndarray
    bases: np.ndarray
    words: np.ndarray


def _features(sequences: Sequence[str]) -> _Features:
    lengths = np.array([len(sequence) for sequence in sequences])
    codes = np.full((len(sequences), int(lengths.max(initial=0))), 4)
    codes[np.arange(codes.shape[1]) < lengths[:, None]] = _CODES[np.frombuffer("".join(sequences).encode(), np.uint8)]
    triples = _words(codes, 3)
    share = triples / np.maximum(triples.sum(1, keepdims=True), 1)
    entropy = -np.where(share > 0, share * np.log2(np.where(share > 0, share, 1)), 0).sum(1)
    run, longest = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=np.int64)
    for place in range(codes.shape[1]):
        same = codes[:, place] == codes[:, place - 1] if place else np.zeros(len(codes), dtype=bool)
        run = np.where(codes[:, place] == 4, 0, np.where(same, run + 1, 1))
        longest = np.maximum(longest, run)
    bases = np.stack([(codes == base).sum(1) for base in range(4)], 1)
    return _Features(entropy, longest, bases, _words(codes, 5))


def _words(codes: np.ndarray, k: int) -> np.ndarray:
    """Counts of each k-mer of A, C, G, T: (n, 4 ** k)."""
    width = max(codes.shape[1] - k + 1, 0)
    word, known = np.zeros((len(codes), width), dtype=np.int64), np.ones((len(codes), width), dtype=bool)
    for place in range(k):
        part = codes[:, place : place + width]
        word, known = word * 4 + part % 4, known & (part < 4)
    flat = (np.arange(len(codes))[:, None] * 4**k + word)[known]
    return np.bincount(flat, minlength=len(codes) * 4**k).reshape(len(codes), 4**k)


def collapse(drawn: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """The COLLAPSE table, for ``all`` and each label that both have. drawn, training: columns ``label, sequence``.

    - low_complexity, long_homopolymers: the share of sequences beyond what 1 % of the training windows of their label
      are beyond. Alarm: over 5 % and 3 standard errors.
    - unique: different sequences among all. Alarm: under 95 % of that of the windows.
    - strand_asymmetry: |A - T| / (A + T) + |C - G| / (C + G) over all (Chargaff's second rule is 0). Alarm: over that
      of the windows by 0.05 and 3 standard errors.
    - kmer_entropy: bits, of the 5-mers of all, and of as many training windows. Alarm: under theirs by 0.25 bits.

    Cost: 4 ** 5 counts a sequence and window, of which at most as many as there are drawn sequences are taken a label.
    """
    if drawn.empty or training.empty:
        return empty(COLLAPSE)
    longest = min(int(frame["sequence"].str.len().max()) for frame in (drawn, training))
    rows, parts = [], []
    for label, ours in drawn.groupby("label", sort=True):
        theirs = training.loc[training["label"] == label, "sequence"]
        if theirs.empty:
            continue
        own = ours["sequence"].str[:longest].tolist()
        # Not the first ones, which may be neighbours in the genome; the whole of them where there are fewer.
        picked = np.linspace(0, len(theirs) - 1, min(len(theirs), max(len(own), 200))).astype(int)
        windows = theirs.iloc[np.unique(picked)].str[:longest].tolist()
        parts.append((own, windows, _features(own), _features(windows)))
        rows += _measures(label, parts[-1:])
    if parts:
        rows = _measures(ALL, parts) + rows
    return check(pd.DataFrame(rows, columns=list(COLLAPSE)), COLLAPSE, "the collapse alarm")


def _measures(label: str, parts: list[tuple[list[str], list[str], _Features, _Features]]) -> list[tuple]:
    own, windows = (sum((part[i] for part in parts), []) for i in (0, 1))
    n = len(own)
    shares = {"low_complexity": np.zeros(2), "long_homopolymers": np.zeros(2)}
    for _, _, ours, theirs in parts:
        low = np.quantile(theirs.entropy, _TAIL)
        high = np.quantile(theirs.homopolymer, 1 - _TAIL)
        shares["low_complexity"] += [(ours.entropy < low).sum() / n, (theirs.entropy < low).sum() / len(windows)]
        beyond = [(ours.homopolymer > high).sum() / n, (theirs.homopolymer > high).sum() / len(windows)]
        shares["long_homopolymers"] += beyond
    bound = _SHARE + 3 * np.sqrt(_SHARE * (1 - _SHARE) / n)
    rows = [(label, name, *values, bound, n, _yes(values[0] > bound)) for name, values in shares.items()]
    unique = [len(set(sequences)) / len(sequences) for sequences in (own, windows)]
    rows.append((label, "unique", *unique, _UNIQUE * unique[1], n, _yes(unique[0] < _UNIQUE * unique[1])))
    bases = [np.concatenate([part[i].bases for part in parts]) for i in (2, 3)]
    skew = [_skew(one.sum(0)) for one in bases]
    bound = skew[1] + _SKEW + 3 * _skew_error(bases[0])
    rows.append((label, "strand_asymmetry", *skew, bound, n, _yes(skew[0] > bound)))
    entropy = []
    for i in (2, 3):
        # As many windows as drawn sequences and as many drawn as windows, since the entropy of few is lower.
        counts = np.concatenate([part[i].words[: min(len(part[0]), len(part[1]))] for part in parts]).sum(0)
        share = counts[counts > 0] / max(counts.sum(), 1)
        entropy.append(-(share * np.log2(share)).sum())
    bound = entropy[1] - _BITS
    rows.append((label, "kmer_entropy", *entropy, bound, n, _yes(entropy[0] < bound)))
    return rows


def _skew(totals: np.ndarray) -> float:
    a, c, g, t = (int(total) for total in totals)
    return abs(a - t) / max(a + t, 1) + abs(c - g) / max(c + g, 1)


def _skew_error(bases: np.ndarray) -> float:
    """The standard error of ``_skew`` at most, from how sequences differ."""
    error = 0.0
    for one, other in ((0, 3), (1, 2)):
        difference, total = bases[:, one] - bases[:, other], bases[:, one] + bases[:, other]
        error += difference.std() / max(total.mean(), 1) / np.sqrt(len(bases))
    return error


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def warnings(table: pd.DataFrame) -> list[str]:
    """A sentence for each measure that is an alarm, with its labels."""
    alarms = table[table["alarm"] == "yes"]
    return [
        f"the drawn sequences may have collapsed, {TELLS[measure]} ("
        + "; ".join(
            f"{row.label}: {row.drawn:.3g}, training {row.training:.3g}, limit {row.limit:.3g}"
            for row in of.itertuples(index=False)
        )
        + ")"
        for measure, of in alarms.groupby("measure", sort=False)
    ]
