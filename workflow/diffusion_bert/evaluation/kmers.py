"""k-mer spectra, k = 1 to 6, and how far apart two of them are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.letters import OTHER, encode
from diffusion_bert.evaluation.metrics.kmers import KMER_SIZES
from diffusion_bert.evaluation.rows import REFERENCE, Rows, compared, groups


def kmer_index(codes: np.ndarray, k: int) -> np.ndarray:
    """The number of the k-mer that starts at each position, A < C < G < T: int64, shape (n, longest - k + 1).

    codes: (n, longest) of letters.encode. -1 where the k-mer holds another letter or padding. k shifted additions,
    no loop over positions.
    """
    n, longest = codes.shape
    places = max(longest - k + 1, 0)
    index = np.zeros((n, places), dtype=np.int64)
    valid = np.ones((n, places), dtype=bool)
    for shift in range(k):
        part = codes[:, shift : shift + places]
        index *= 4
        index += part
        valid &= part != OTHER
    index[~valid] = -1
    return index


def kmer_counts(codes: np.ndarray, k: int) -> np.ndarray:
    """Overlapping k-mers of each sequence as written (one strand): float32, shape (n, 4**k)."""
    index = kmer_index(codes, k)
    rows = np.broadcast_to(np.arange(len(codes))[:, None], index.shape)
    kept = index >= 0
    flat = np.bincount(rows[kept] * 4**k + index[kept], minlength=len(codes) * 4**k)
    return flat.reshape(len(codes), 4**k).astype(np.float32)


def kmer_names(k: int) -> list[str]:
    """All k-mers in the order of kmer_index."""
    names = [""]
    for _ in range(k):
        names = [name + base for name in names for base in "ACGT"]
    return names


def js_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits along the last axis (Lin 1991): 0 for equal, 1 for disjoint distributions.

    p, q: non-negative weights that broadcast, normalised here. Finite where a category is absent from either; NaN
    where a distribution has no weight at all.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p = p / p.sum(axis=-1, keepdims=True)
        q = q / q.sum(axis=-1, keepdims=True)
        middle = (p + q) / 2
        terms = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)
        empty = np.isnan(p).any(axis=-1) | np.isnan(q).any(axis=-1)
    return np.where(empty, np.nan, np.maximum(terms.sum(axis=-1) / 2, 0))


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis of arrays that broadcast; NaN where either does not vary."""
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    norm = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 1e-300, (x * y).sum(axis=-1) / norm, np.nan)


def evaluate_kmers(
    sets: pd.DataFrame, *, bootstrap: int, seed: int, sizes: Sequence[int] = KMER_SIZES
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Divergence, distance and correlation of the k-mer spectra of each set and the reference, label by label.

    sets: SETS frame. Details ``spectrum``: set, k, kmer, frequency (all labels together). Cost: bootstrap x n x 4**k
    multiplications a set, in one matrix product; memory n x 4**k x 4 bytes.
    """
    rows, spectra = Rows(), []
    names = compared(sets)
    codes = encode(sets["sequence"].tolist())
    offset = {name: np.flatnonzero((sets["set"] == name).to_numpy()) for name in [*names, REFERENCE]}
    draws = Resamples(bootstrap, seed)
    for k in sizes:
        of_set = {name: kmer_counts(codes[at], k) for name, at in offset.items()}
        for name, counts in of_set.items():
            total = counts.sum(axis=0, dtype=np.float64)
            spectra.append(
                pd.DataFrame({"set": name, "k": k, "kmer": kmer_names(k), "frequency": total / max(total.sum(), 1)})
            )
        for label, members in groups(sets):
            inside = {name: np.searchsorted(offset[name], members[name]) for name in of_set}
            reference = of_set[REFERENCE][inside[REFERENCE]].sum(axis=0, dtype=np.float64)
            for name in names:
                counts = of_set[name][inside[name]]
                _add(rows, k, label, name, counts, reference, draws(len(counts), label))
    return rows.frame(), {"spectrum": pd.concat(spectra, ignore_index=True)}


def _add(
    rows: Rows, k: int, label: str, name: str, counts: np.ndarray, reference: np.ndarray, drawn: np.ndarray
) -> None:
    n, total = len(counts), counts.sum(axis=0, dtype=np.float64)
    metrics = [f"kmer_js_divergence_{k}", f"kmer_js_distance_{k}", f"kmer_pearson_{k}"]
    if total.sum() == 0 or reference.sum() == 0:
        for metric in metrics:
            rows.missing(metric, label, name, n, f"no {k}-mer of A, C, G and T in the set or in the reference")
        return
    replicates = sums(drawn, counts)
    divergence, divergences = float(js_divergence(total, reference)), js_divergence(replicates, reference)
    rows.add(metrics[0], label, name, divergence, divergences, n)
    rows.add(metrics[1], label, name, divergence**0.5, np.sqrt(divergences), n)
    with np.errstate(invalid="ignore", divide="ignore"):
        frequencies = replicates / replicates.sum(axis=1, keepdims=True)
    correlation = float(pearson(total / total.sum(), reference / reference.sum()))
    note = "" if np.isfinite(correlation) else "all frequencies are equal"
    rows.add(metrics[2], label, name, correlation, pearson(frequencies, reference / reference.sum()), n, note)
