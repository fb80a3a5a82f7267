"""How different sequences are, and a choice of some that are as different as can be had cheaply."""

from collections.abc import Sequence

import numpy as np

from diffusion_bert.evaluation.kmers import kmer_counts
from diffusion_bert.evaluation.letters import encode, reverse_complement

K = 5


def kmer_profiles(sequences: Sequence[str], k: int = K) -> np.ndarray:
    """The share of each k-mer among those of a sequence and its reverse complement: (n, 4**k) float32.

    Both strands have the same profile. Rows sum to 1, or to 0 where a sequence is shorter than k.
    """
    counts = kmer_counts(encode(list(sequences)), k)
    counts += kmer_counts(encode([reverse_complement(sequence) for sequence in sequences]), k)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def distances(profiles: np.ndarray, one: np.ndarray) -> np.ndarray:
    """The share of k-mers that are not shared with one profile, (n,): 0 for the same, 1 where none is shared.

    Half the sum of absolute differences (total variation), which is a metric.
    """
    return np.abs(profiles - one).sum(axis=1, dtype=np.float64) / 2


def farthest_first(profiles: np.ndarray, number: int) -> list[int]:
    """Rows chosen one by one, the first row first, then ever the one whose nearest chosen one is farthest.

    So no two of them are nearer than half of what the best choice of so many reaches (Gonzalez 1985; Ravi et al. 1994).
    Of several as far the first is taken. ``number`` x n x 4**k operations. Raises ValueError where there are fewer rows
    than asked for.
    """
    if number > len(profiles):
        raise ValueError(f"{number} of {len(profiles)} rows cannot be chosen")
    chosen: list[int] = []
    nearest = np.full(len(profiles), np.inf)
    for _ in range(number):
        row = int(nearest.argmax())
        chosen.append(row)
        nearest = np.minimum(nearest, distances(profiles, profiles[row]))
        nearest[chosen] = -1  # equal sequences: each row once
    return chosen


def to_nearest(profiles: np.ndarray) -> np.ndarray:
    """Each row's distance to the nearest other one, (n,); NaN where there is no other. n x n x 4**k operations."""
    out = np.full(len(profiles), np.nan)
    for row in range(len(profiles) if len(profiles) > 1 else 0):
        others = distances(profiles, profiles[row])
        others[row] = np.inf
        out[row] = others.min()
    return out
