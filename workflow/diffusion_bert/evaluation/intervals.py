"""Bootstrap intervals from per-sequence features.

A bootstrap sample of n sequences is a row of multinomial counts, so the replicates of every statistic that is a
function of sums over sequences are one matrix product: counts (draws, n) by features (n, f). Nothing is recomputed
in a Python loop.
"""

from statistics import NormalDist

import numpy as np

from diffusion_bert.seeds import derive_seed

LEVEL = 0.95


def resamples(n: int, draws: int, seed: int, *names: object) -> np.ndarray:
    """How often each of n sequences is in each bootstrap sample: float32, shape (draws, n), rows sum to n.

    The same seed and names give the same counts. Memory and time are draws x n.
    """
    generator = np.random.default_rng(derive_seed(seed, "bootstrap", n, draws, *names))
    picks = generator.integers(0, n, size=(draws, n)) if n else np.zeros((draws, 0), dtype=np.int64)
    flat = (picks + n * np.arange(draws)[:, None]).ravel()
    return np.bincount(flat, minlength=draws * n).reshape(draws, n).astype(np.float32)


class Resamples:
    """Bootstrap counts on demand, each drawn once: call with n and names, as resamples.

    Sets of the same size get the same counts under one name, so their intervals share the draw. Holds draws x n
    numbers for each (n, names) that was asked for.
    """

    def __init__(self, draws: int, seed: int):
        self._draws, self._seed = draws, seed
        self._drawn: dict[tuple, np.ndarray] = {}

    def __call__(self, n: int, *names: object) -> np.ndarray:
        key = (n, *names)
        if key not in self._drawn:
            self._drawn[key] = resamples(n, self._draws, self._seed, *names)
        return self._drawn[key]


def sums(counts: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Sums of the features over each bootstrap sample: (draws, n) by (n, f) or (n,) -> (draws, f) or (draws,), float64.

    The product runs in single precision, which is exact for counts (whole numbers below 2**24).
    """
    return (counts @ np.ascontiguousarray(features, dtype=np.float32)).astype(np.float64)


def interval(
    value: float, replicates: np.ndarray, bounds: tuple[float | None, float | None] = (None, None)
) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of bootstrap replicates, shifted so that their mean is the value; clipped to bounds.

    The shift takes out the bootstrap's bias (Efron and Tibshirani 1993, chapter 10). It matters for divergences and
    correlations: resampling adds noise, so that every replicate lies farther from the reference than the sample did,
    and a plain percentile interval would not even hold the value. Replicates that are not finite are left out;
    (None, None) where fewer than half are left.
    """
    kept = replicates[np.isfinite(replicates)]
    if kept.size == 0 or kept.size < replicates.size / 2:
        return None, None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(kept, [tail, 1 - tail]) - kept.mean() + value
    lowest, highest = bounds
    clip = [-np.inf if lowest is None else lowest, np.inf if highest is None else highest]
    return float(np.clip(min(low, value), *clip)), float(np.clip(max(high, value), *clip))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share, hits of n, after Wilson 1927: for few things that are costly to draw again.

    Raises ValueError where n is 0 or hits are more than n.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share")
    z, share = NormalDist().inv_cdf((1 + LEVEL) / 2), hits / n
    middle = share + z**2 / (2 * n)
    half = z * (share * (1 - share) / n + (z / (2 * n)) ** 2) ** 0.5
    low, high = ((middle + side * half) / (1 + z**2 / n) for side in (-1, 1))
    # Where the ends are exactly 0 and 1 rounding would miss them.
    return (0.0 if hits == 0 else low), (1.0 if hits == n else high)
