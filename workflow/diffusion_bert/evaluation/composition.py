"""Composition: GC, CpG, runs, complexity, strand symmetry, and base composition along the window."""

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.kmers import js_divergence, kmer_counts
from diffusion_bert.evaluation.letters import OTHER, encode, lengths_of
from diffusion_bert.evaluation.rows import REFERENCE, Rows, compared, groups

POSITION_BINS = 20
LOWEST, FEWEST = 0.05, 20  # of the reference's sequences the simplest, and how many make that a number


def sequence_features(codes: np.ndarray) -> pd.DataFrame:
    """Per sequence: A, C, G, T, CpG (counts), gc, cpg_oe, longest_homopolymer (bp), entropy (bits, trinucleotides).

    codes: (n, longest) of letters.encode. gc, cpg_oe and entropy are NaN where they have no denominator.
    """
    counts = np.stack([(codes == base).sum(axis=1) for base in range(4)], axis=1)
    a, c, g, t = counts.T
    cpg = ((codes[:, :-1] == 1) & (codes[:, 1:] == 2)).sum(axis=1)
    length = counts.sum(axis=1)
    words = kmer_counts(codes, 3).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = words / words.sum(axis=1, keepdims=True)
        entropy = -np.where(share > 0, share * np.log2(share), 0).sum(axis=1)
        entropy[words.sum(axis=1) == 0] = np.nan
        out = {
            "gc": (c + g) / length,
            "cpg_oe": np.where(c * g > 0, cpg * length / (c * g), np.nan),
            "longest_homopolymer": longest_run(codes),
            "entropy": entropy,
        }
    return pd.DataFrame({"A": a, "C": c, "G": g, "T": t, "CpG": cpg, **out})


def longest_run(codes: np.ndarray) -> np.ndarray:
    """Length of the longest run of one base in each sequence (bp), shape (n,). Other letters end a run."""
    n, longest = codes.shape
    if longest == 0:
        return np.zeros(n, dtype=np.int64)
    starts = np.ones((n, longest), dtype=bool)
    starts[:, 1:] = codes[:, 1:] != codes[:, :-1]
    places = np.arange(longest)
    begun = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    return np.where(codes != OTHER, places - begun + 1, 0).max(axis=1)


def position_counts(codes: np.ndarray, lengths: np.ndarray, bins: int) -> np.ndarray:
    """A, C, G, T counts of each sequence in equal bins along its own length (bp): shape (n, bins, 4)."""
    n = len(codes)
    bin_of = np.arange(codes.shape[1]) * bins // np.maximum(lengths[:, None], 1)
    kept = codes != OTHER
    flat = ((np.arange(n)[:, None] * bins + np.minimum(bin_of, bins - 1)) * 4 + np.minimum(codes, 3))[kept]
    return np.bincount(flat, minlength=n * bins * 4).reshape(n, bins, 4)


def distribution_distances(
    values: np.ndarray, reference: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Wasserstein-1 and Kolmogorov-Smirnov distance of weighted samples from a reference.

    values: (n,). reference: (m,). counts: (draws, n) weights of the values. Returns two arrays (draws,).
    Cost: draws x n.
    """
    order = np.argsort(values, kind="stable")
    grid = np.unique(np.concatenate([values, reference]))
    below = np.searchsorted(values[order], grid, side="right")
    cumulative = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts[:, order], axis=1, dtype=np.float64)], 1)
    ours = cumulative[:, below] / cumulative[:, -1:]
    theirs = np.searchsorted(np.sort(reference), grid, side="right") / len(reference)
    difference = np.abs(ours - theirs)
    return (difference[:, :-1] * np.diff(grid)).sum(axis=1), difference.max(axis=1)


def evaluate_composition(
    sets: pd.DataFrame, *, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The composition metrics of each set, label by label, distances to the reference.

    sets: SETS frame. Details: ``sequences`` (set, label, gc, cpg_oe, longest_homopolymer, entropy), one row a sequence
    of every set with the reference; ``positions`` (set, label, position, A, C, G, T), shares at each position (bp from
    the start), where all sequences have one length.
    """
    names = compared(sets)
    rows, draws = Rows(), Resamples(bootstrap, seed)
    codes, lengths = encode(sets["sequence"].tolist()), lengths_of(sets["sequence"].tolist())
    features = sequence_features(codes)
    binned = position_counts(codes, lengths, POSITION_BINS).reshape(len(codes), -1)
    positions = []
    for label, members in groups(sets):
        reference = members[REFERENCE]
        for name in names:
            at = members[name]
            _add_features(rows, label, name, features.iloc[at], features.iloc[reference], draws(len(at), label))
            _add_positions(rows, label, name, binned[at], binned[reference], draws(len(at), label))
        positions += [_along(codes[at], lengths[at], name, label) for name, at in members.items()]
    sequences = features[["gc", "cpg_oe", "longest_homopolymer", "entropy"]]
    sequences = pd.concat([sets[["set", "label"]].reset_index(drop=True), sequences], axis=1)
    return rows.frame(), {"sequences": sequences, "positions": pd.concat(positions, ignore_index=True)}


def _add_features(
    rows: Rows, label: str, name: str, own: pd.DataFrame, reference: pd.DataFrame, counts: np.ndarray
) -> None:
    n = len(own)
    gc, theirs = own["gc"].to_numpy(), reference["gc"].to_numpy()
    kept = np.isfinite(gc)
    gc, theirs, weights = gc[kept], theirs[np.isfinite(theirs)], counts[:, kept]
    if len(gc) < 2 or len(theirs) < 2:
        for metric in ("gc_mean", "gc_sd", "gc_wasserstein", "gc_ks"):
            rows.missing(metric, label, name, n, "fewer than two sequences with A, C, G or T")
    else:
        size = np.maximum(weights.sum(axis=1, dtype=np.float64), 1)
        mean = sums(weights, gc) / size
        rows.add("gc_mean", label, name, gc.mean(), mean, n)
        spread = np.sqrt(np.maximum(sums(weights, (gc - gc.mean()) ** 2) / size - (mean - gc.mean()) ** 2, 0))
        rows.add("gc_sd", label, name, gc.std(), spread, n)
        one = distribution_distances(gc, theirs, np.ones((1, len(gc))))
        many = distribution_distances(gc, theirs, weights)
        rows.add("gc_wasserstein", label, name, float(one[0][0]), many[0], n)
        rows.add("gc_ks", label, name, float(one[1][0]), many[1], n)
    bases = own[["A", "C", "G", "T", "CpG"]].to_numpy(dtype=np.float64)
    totals, drawn = bases.sum(axis=0), sums(counts, bases)
    missing = "no C or no G in the set"
    rows.add("cpg_observed_expected", label, name, _cpg_ratio(totals), _cpg_ratio(drawn), n, _unless(totals, missing))
    rows.add("chargaff_skew", label, name, _skew(totals), _skew(drawn), n, "no A, C, G or T in the set")
    _add_mean(rows, "longest_homopolymer", label, name, own["longest_homopolymer"].to_numpy(np.float64), counts)
    _add_mean(rows, "trinucleotide_entropy", label, name, own["entropy"].to_numpy(), counts)
    entropy, theirs = own["entropy"].to_numpy(), reference["entropy"].dropna().to_numpy()
    if len(theirs) < FEWEST:
        rows.missing("low_complexity", label, name, n, f"fewer than {FEWEST} reference sequences of three bases")
    else:
        low = np.where(np.isfinite(entropy), entropy < np.quantile(theirs, LOWEST), np.nan)
        _add_mean(rows, "low_complexity", label, name, low, counts)


def _unless(totals: np.ndarray, note: str) -> str:
    return "" if totals[1] * totals[2] > 0 else note


def _add_mean(rows: Rows, metric: str, label: str, name: str, values: np.ndarray, counts: np.ndarray) -> None:
    kept = np.isfinite(values)
    if not kept.any():
        rows.missing(metric, label, name, len(values), "no sequence is long enough")
        return
    weights = counts[:, kept]
    replicates = sums(weights, values[kept]) / np.maximum(weights.sum(axis=1, dtype=np.float64), 1)
    rows.add(metric, label, name, values[kept].mean(), replicates, len(values))


def _add_positions(
    rows: Rows, label: str, name: str, own: np.ndarray, reference: np.ndarray, counts: np.ndarray
) -> None:
    shape = (-1, POSITION_BINS, 4)
    theirs = reference.sum(axis=0).reshape(shape)
    value = js_divergence(own.sum(axis=0).reshape(shape), theirs).mean(axis=-1)
    replicates = js_divergence(sums(counts, own).reshape(shape), theirs).mean(axis=-1)
    note = "" if np.isfinite(value[0]) else f"some of the {POSITION_BINS} bins along the window hold no base"
    rows.add("position_divergence", label, name, float(value[0]), replicates, len(own), note)


def _cpg_ratio(totals: np.ndarray) -> np.ndarray:
    c, g = totals[..., 1], totals[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[..., 4] * totals[..., :4].sum(axis=-1) / (c * g)


def _skew(totals: np.ndarray) -> np.ndarray:
    """NaN where there is no base."""
    a, c, g, t = (totals[..., base] for base in range(4))
    skew = np.abs(a - t) / np.maximum(a + t, 1) + np.abs(c - g) / np.maximum(c + g, 1)
    return np.where(a + c + g + t > 0, skew, np.nan)


def _along(codes: np.ndarray, lengths: np.ndarray, name: str, label: str) -> pd.DataFrame:
    """Shares of the bases at each position; no rows where the sequences differ in length."""
    columns = ["set", "label", "position", "A", "C", "G", "T"]
    one_length = int(lengths[0]) if len(set(lengths.tolist())) == 1 else 0
    counts = np.stack([(codes[:, :one_length] == base).sum(axis=0) for base in range(4)], axis=1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    frame = pd.DataFrame(shares, columns=list("ACGT"))
    return frame.assign(set=name, label=label, position=np.arange(len(frame)))[columns]
