"""Function: what an oracle, which no generator has seen, makes of the sequences. Works on its table of judgements.

The reference in that table is training windows that the oracle has not learned from: those it has learned from it
knows better than any new sequence, however real.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.composition import distribution_distances
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.metrics import function
from diffusion_bert.evaluation.rows import ALL, REFERENCE, Rows, compared, groups
from diffusion_bert.seeds import derive_seed

# Subsets of these shares of both sets give the line that is extrapolated; below a half, a covariance of some dozen
# dimensions from a hundred sequences is no longer on the line.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SUBSETS = 10  # of each share
FEWEST_A_DIMENSION = 2  # sequences, so that the smallest subset still has a covariance of full rank
MOST_PAIRED = 1000  # sequences of each set in the MMD, as in KID, since its cost is quadratic


def moments(embeddings: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (draws, d) and covariances (draws, d, d) of weighted samples: embeddings (n, d), counts (draws, n).

    The covariance has n - 1 below it, as numpy.cov. Cost: draws x n x d**2, in one matrix product.
    """
    n, d = embeddings.shape
    size = counts.sum(axis=1)[:, None]
    middle = embeddings.mean(axis=0)
    centred = embeddings - middle
    mean = counts @ centred / size
    products = (centred[:, :, None] * centred[:, None, :]).reshape(n, d * d)
    second = (counts @ products / size).reshape(-1, d, d)
    covariance = (second - mean[:, :, None] * mean[:, None, :]) * (size / (size - 1))[..., None]
    return mean + middle, covariance


def frechet(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> np.ndarray:
    """Squared Fréchet (2-Wasserstein) distance of Gaussians, (draws,): means (draws, d), covariances (draws, d, d).

    |m1 - m2|**2 + tr(C1 + C2 - 2 (C2**(1/2) C1 C2**(1/2))**(1/2)), Dowson and Landau 1982.
    """
    values, vectors = np.linalg.eigh(other_covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    between = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance @ root), 0)).sum(axis=-1)
    traces = np.trace(covariance, axis1=-2, axis2=-1) + np.trace(other_covariance, axis1=-2, axis2=-1)
    return ((mean - other_mean) ** 2).sum(axis=-1) + traces - 2 * between


def frechet_at_infinity(ours: np.ndarray, theirs: np.ndarray, *, seed: int) -> tuple[float, float]:
    """The Fréchet distance of two samples (n, d), (m, d), extrapolated to samples without end; and the plain one.

    The plain one is too large by about a constant over n. It is computed on random subsets of both, of a half to all,
    and the line through these in 1 / n is read at 0 (Chong and Forsyth 2020, with uniform subsets in place of theirs).
    """
    generator = np.random.default_rng(seed)
    inverse, values = [], []
    for share in SHARES:
        parts = []
        for sample in (ours, theirs):
            n = len(sample)
            order = np.argsort(generator.random((SUBSETS if share < 1 else 1, n)), axis=1)
            parts += moments(sample, (order < round(share * n)).astype(np.float64))
        values.append(float(frechet(*parts).mean()))
        inverse.append(1 / share)
    _, at_zero = np.polyfit(inverse, values, 1)
    return float(at_zero), values[-1]


def frechet_replicates(
    ours: np.ndarray, theirs: np.ndarray, counts: np.ndarray, other_counts: np.ndarray
) -> np.ndarray:
    """Plain Fréchet distances of bootstrap samples of both, (draws,).

    Their spread stands for that of the extrapolated distance, to which they are shifted: over samples of Gaussians it
    was equal to or above it (up to half as much again, where the two are the same).
    """
    drawn, other = counts.astype(np.float64), other_counts.astype(np.float64)
    return frechet(*moments(ours, drawn), *moments(theirs, other))


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x·y / d + 1)**3 for each pair of rows, (n, m), as KID (Binkowski et al. 2018)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd(ours: np.ndarray, theirs: np.ndarray, counts: np.ndarray, other_counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, lemma 6) of (n, d) and (m, d); and replicates.

    In a replicate a sequence that was drawn twice makes no pair with itself, as in the sample. Quadratic in n and m.
    """
    within, beside = polynomial_kernel(ours, ours), polynomial_kernel(theirs, theirs)
    across = polynomial_kernel(ours, theirs)
    np.fill_diagonal(within, 0)
    np.fill_diagonal(beside, 0)

    def estimate(w: np.ndarray, v: np.ndarray) -> np.ndarray:
        a, b = w.sum(axis=1), v.sum(axis=1)
        pairs, others = a**2 - (w**2).sum(axis=1), b**2 - (v**2).sum(axis=1)
        own = ((w @ within) * w).sum(axis=1) / pairs + ((v @ beside) * v).sum(axis=1) / others
        return own - 2 * ((w @ across) * v).sum(axis=1) / (a * b)

    value = float(estimate(np.ones((1, len(ours))), np.ones((1, len(theirs))))[0])
    with np.errstate(invalid="ignore", divide="ignore"):  # a sample of one sequence, over and over
        return value, estimate(counts.astype(np.float64), other_counts.astype(np.float64))


def evaluate_function(
    judgements: pd.DataFrame, *, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The function metrics of each set, label by label.

    judgements: JUDGEMENTS frame. Sequences of a label that the judge does not know are left out, and where none is left
    the number is null. Details ``sequences``: set, label, name, predicted, activity, the reference too. ``confusion``:
    set, label (requested), predicted, number, share (of the sequences of that set and label). Cost: bootstrap x n x
    d**2 for the Fréchet distance of embeddings of d numbers; the MMD takes at most 1,000 sequences of each set.
    """
    rows, draws = Rows(), Resamples(bootstrap, seed)
    known = judgements["activity"].notna().to_numpy()
    embeddings = _stacked(judgements["embedding"], known, (judgements["set"] == REFERENCE).to_numpy())
    labels_known = max((len(p) for p in judgements.loc[known, "probabilities"]), default=1) - 1
    values = judgements["activity"].to_numpy(dtype=np.float64)
    right = (judgements["predicted"] == judgements["label"]).to_numpy()
    unlabelled = (judgements["label"] == ALL).to_numpy()
    for label, members in groups(judgements):
        reference = members.get(REFERENCE, np.zeros(0, dtype=int))
        reference = reference[known[reference]]
        for name in compared(judgements):
            at = members[name]
            usable = at[known[at]]
            n = len(usable)
            if not n:
                for metric in function.METRICS:
                    rows.missing(metric.name, label, name, len(at), _why_none(len(at)))
                continue
            counts = draws(n, label, name)
            if labels_known < 2 or unlabelled[usable].any():
                why = "the judge knows one label alone" if labels_known < 2 else "the sequences have no labels"
                rows.missing("label_fidelity", label, name, n, why)
            else:
                own = right[usable].astype(np.float64)
                rows.add("label_fidelity", label, name, float(own.mean()), sums(counts, own) / n, n)
            own = values[usable]
            # Centred, since the sums run in single precision.
            replicates = own.mean() + sums(counts, own - own.mean()) / n
            rows.add("oracle_activity", label, name, float(own.mean()), replicates, n)
            if not len(reference):
                for metric in ("oracle_activity_wasserstein", "frechet_distance", "mmd"):
                    rows.missing(metric, label, name, n, "no training window that the judge has not learned from")
                continue
            value = distribution_distances(own, values[reference], np.ones((1, n)))[0]
            drawn = distribution_distances(own, values[reference], counts)[0]
            rows.add("oracle_activity_wasserstein", label, name, float(value[0]), drawn, n)
            _add_distances(rows, label, name, embeddings[usable], embeddings[reference], draws, seed)
    return rows.frame(), {
        "sequences": judgements[["set", "label", "name", "predicted", "activity"]],
        "confusion": confusion(judgements),
    }


def _stacked(vectors: Sequence[np.ndarray], known: np.ndarray, of_reference: np.ndarray) -> np.ndarray:
    """The embeddings of all rows, (n, d) float64, in units of the reference's root mean square; zeros where the judge
    does not know the label."""
    width = max((len(vector) for vector in vectors), default=0)
    out = np.zeros((len(vectors), width))
    for row in np.flatnonzero(known):
        out[row] = vectors[row]
    # One scale for all numbers of the embedding, which training leaves open and the kernel's power would blow up.
    size = float(np.sqrt((out[known & of_reference] ** 2).mean())) if (known & of_reference).any() else 0.0
    return out / (size or 1.0)


def _why_none(n: int) -> str:
    return "the judge does not know the label: too few training windows" if n else "no sequence"


def _add_distances(
    rows: Rows, label: str, name: str, ours: np.ndarray, theirs: np.ndarray, draws: Resamples, seed: int
) -> None:
    n, m, d = len(ours), len(theirs), ours.shape[1]
    if min(n, m) < FEWEST_A_DIMENSION * d:
        why = f"fewer than {FEWEST_A_DIMENSION * d} sequences, too few for a covariance of {d} dimensions"
        rows.missing("frechet_distance", label, name, n, why)
    else:
        value, _ = frechet_at_infinity(ours, theirs, seed=derive_seed(seed, "subsets", label, name))
        replicates = frechet_replicates(ours, theirs, draws(n, label, name), draws(m, label, REFERENCE))
        rows.add("frechet_distance", label, name, value, replicates, n)
    if min(n, m) < 2:
        rows.missing("mmd", label, name, n, "fewer than two sequences")
        return
    generator = np.random.default_rng(derive_seed(seed, "mmd", label, name))
    ours = ours[np.sort(generator.permutation(n)[:MOST_PAIRED])]
    theirs = theirs[np.sort(generator.permutation(m)[:MOST_PAIRED])]
    value, replicates = mmd(
        ours, theirs, draws(len(ours), label, name, "mmd"), draws(len(theirs), label, REFERENCE, "mmd")
    )
    rows.add("mmd", label, name, value, replicates, len(ours))


def confusion(judgements: pd.DataFrame) -> pd.DataFrame:
    """set, label (requested), predicted, number, share of the sequences of that set and label; no row for none."""
    judged = judgements.dropna(subset="predicted")
    counted = judged.groupby(["set", "label", "predicted"], sort=False).size().rename("number").reset_index()
    total = counted.groupby(["set", "label"])["number"].transform("sum")
    order = {name: place for place, name in enumerate(dict.fromkeys(judgements["set"]))}
    counted = counted.assign(share=counted["number"] / total)
    return counted.sort_values(["set", "label", "predicted"], key=lambda c: c.map(order) if c.name == "set" else c)
