"""How far an oracle can be trusted: curves, calibration, and their intervals. numpy on scores."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.intervals import interval, resamples
from diffusion_bert.oracle.network import log_softmax
from diffusion_bert.tables import ORACLE_PERFORMANCE, check

BINS = 15  # of confidence, as in Guo et al. 2017
ALL, LABELS, BACKGROUND = "all", "labels", "background"
_CELLS = 4_000_000  # of a block of bootstrap counts: bounds memory
_STEPS = 60  # of the bisection for the temperature


def auroc(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half; (draws,).

    scores: (n,). positive: (n,) bool. counts: (draws, n), how often each is in each sample. NaN where a sample lacks
    one of the two. One sort, then linear in draws x n.
    """
    ours, theirs = _by_score(scores, positive, counts)
    below = np.cumsum(theirs, axis=1) - theirs / 2
    with np.errstate(invalid="ignore"):
        return (ours * below).sum(axis=1) / (ours.sum(axis=1) * theirs.sum(axis=1))


def average_precision(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve by steps, as scikit-learn's average_precision_score; arguments as auroc."""
    ours, theirs = (part[:, ::-1] for part in _by_score(scores, positive, counts))
    right = np.cumsum(ours, axis=1)
    with np.errstate(invalid="ignore"):
        precision = np.where(right > 0, right / (right + np.cumsum(theirs, axis=1)), 0)
        total = ours.sum(axis=1)
        return np.where(theirs.sum(axis=1) > 0, (ours * precision).sum(axis=1) / total, np.nan)


def _by_score(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives at each distinct score, from low to high: (draws, distinct) each."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = counts[:, order].astype(np.float64)
    both = np.add.reduceat(counts, starts, axis=1)
    ours = np.add.reduceat(counts * positive[order], starts, axis=1)
    return ours, both - ours


def calibration_error(probabilities: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Expected calibration error (Guo et al. 2017): |share right - mean confidence| in 15 equal bins of confidence,
    averaged with the weight of each bin; (draws,).

    probabilities: (n, classes). classes: (n,). counts: (draws, n) weights; they need not be whole numbers.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == classes) - confidence
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    of_bin = np.where(place[:, None] == np.arange(BINS), gap[:, None], 0)
    return np.abs(counts @ of_bin).sum(axis=1) / counts.sum(axis=1)


def temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """What the logits are to be divided by, so that their probabilities fit the classes best (Guo et al. 2017).

    The least cross entropy, every class counting the same; convex in 1 / temperature, so bisection of its slope finds
    it. Within 0.05 and 20: sets that are told apart without a mistake have no best one.
    """
    logits = logits.astype(np.float64)
    weights = np.zeros(len(classes))
    for number in np.unique(classes):
        weights[classes == number] = 1 / (classes == number).sum()
    own = logits[np.arange(len(classes)), classes]

    def slope(inverse: float) -> float:
        expected = (np.exp(log_softmax(logits * inverse)) * logits).sum(axis=1)
        return float(weights @ (expected - own))

    low, high = 0.05, 20.0
    for _ in range(_STEPS):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(1 / np.sqrt(low * high))


def performance(
    log_p: np.ndarray,
    of_shuffles: np.ndarray,
    labels: Sequence[str],
    known: Sequence[str],
    *,
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """ORACLE_PERFORMANCE on windows and their shuffles.

    log_p, of_shuffles: (n, len(known) + 1) log-probabilities of the windows and of the shuffle of each; the last class
    is the background. labels: of the windows; known: those that the oracle tells apart, in order. The bootstrap draws
    windows, each with its shuffle. Rows: every known label against the other labels (windows alone) and against the
    background (with the shuffles of the same windows), ``all`` against the background, and the calibration error with
    every class counting the same. Cost: bootstrap x n for each.
    """
    rows = []
    labels = np.array(labels, dtype=object)
    usable = np.isin(labels, list(known))
    log_p, of_shuffles, labels = log_p[usable], of_shuffles[usable], labels[usable]
    n = len(labels)
    counts = resamples(n, bootstrap, seed, "windows")
    names = list(known)
    if not n:
        why = f"no test window has one of the oracle's labels ({', '.join(names) or 'none'})"
        return check(
            pd.DataFrame([("auroc", ALL, BACKGROUND, None, None, None, 0, 0, why)], columns=list(ORACLE_PERFORMANCE)),
            ORACLE_PERFORMANCE,
            "the performance",
        )

    def add(metric: str, label: str, against: str, of: Callable, counts: np.ndarray, n: int, positives: int) -> None:
        value = float(of(np.ones((1, counts.shape[1])))[0])
        if not np.isfinite(value):
            why = f"the test windows hold {positives} of {label} and {n - positives} of what it is told from"
            rows.append((metric, label, against, None, None, None, n, positives, why))
            return
        parts = np.array_split(counts, max(1, counts.size // _CELLS))
        low, high = interval(value, np.concatenate([of(part) for part in parts]), (0, 1))
        rows.append((metric, label, against, value, low, high, n, positives, None))

    for name in names if len(names) > 1 else []:
        positive = labels == name
        score = log_p[:, names.index(name)] - _log_sum(np.delete(log_p[:, :-1], names.index(name), axis=1))
        for metric, curve in (("auroc", auroc), ("auprc", average_precision)):
            of = _of(curve, score, positive)
            add(metric, name, LABELS, of, counts, n, int(positive.sum()))
    for name in [*names, ALL]:
        at = np.arange(n) if name == ALL else np.flatnonzero(labels == name)
        column = slice(None, -1) if name == ALL else [names.index(name)]
        score = np.concatenate([_log_sum(part[at][:, column]) - part[at, -1] for part in (log_p, of_shuffles)])
        positive = np.arange(2 * len(at)) < len(at)
        for metric, curve in (("auroc", auroc), ("auprc", average_precision)):
            of = _of(curve, score, positive)
            add(metric, name, BACKGROUND, of, np.tile(counts[:, at], 2), len(positive), len(at))
    classes = np.concatenate([np.array([names.index(label) for label in labels]), np.full(n, len(names))])
    probabilities = np.exp(np.concatenate([log_p, of_shuffles]))
    weight = 1 / np.bincount(classes, minlength=len(names) + 1)[classes]

    def error(drawn: np.ndarray) -> np.ndarray:
        return calibration_error(probabilities, classes, drawn * weight)

    add("calibration_error", ALL, "all classes", error, np.tile(counts, 2), 2 * n, n)
    return check(pd.DataFrame(rows, columns=list(ORACLE_PERFORMANCE)), ORACLE_PERFORMANCE, "the performance")


def _of(curve: Callable, score: np.ndarray, positive: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda counts: curve(score, positive, counts)


def _log_sum(log_p: np.ndarray) -> np.ndarray:
    """log of the sum of exponentials along the last axis."""
    largest = log_p.max(axis=-1, keepdims=True)
    return (largest + np.log(np.exp(log_p - largest).sum(axis=-1, keepdims=True)))[..., 0]
