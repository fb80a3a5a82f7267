"""What predictors made elsewhere say of each set, held against what they say of real sequences."""

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.composition import distribution_distances
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.metrics.predictors import DISTANCE, MEAN, name_of
from diffusion_bert.evaluation.rows import REFERENCE, Rows, compared, groups


def evaluate_predictions(
    predictions: pd.DataFrame, *, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Mean and Wasserstein distance to the reference of each output of each predictor, set by set and label by label.

    predictions: PREDICTIONS frame of all predictors; the reference must be among its sets. Where a sequence has no
    score, the number is null and its note says how many have none: the others may not be a fair sample of the set.
    Details ``sequences``: the predictions. Cost: bootstrap x n a set, label and output.
    """
    rows, draws = Rows(), Resamples(bootstrap, seed)
    for (predictor, output), frame in predictions.groupby(["predictor", "output"], sort=False):
        mean, distance = (name_of(kind, predictor, output) for kind in (MEAN, DISTANCE))
        scores = frame["score"].to_numpy(np.float64)
        names = compared(frame)
        for label, members in groups(frame):
            theirs = scores[members[REFERENCE]]
            for name in names:
                own = scores[members[name]]
                n, why = len(own), _lacking(own)
                if why:
                    rows.missing(mean, label, name, n, why)
                    rows.missing(distance, label, name, n, why)
                    continue
                counts = draws(n, label)
                # Centred, since the sums run in single precision; and in units of the spread, whatever the scale.
                middle, spread = float(own.mean()), float(own.std()) or 1.0
                replicates = middle + spread * sums(counts, (own - middle) / spread) / n
                rows.add(mean, label, name, middle, replicates, n)
                why = _lacking(theirs)
                if why:
                    rows.missing(distance, label, name, n, f"of the training windows, {why}")
                    continue
                value = distribution_distances(own, theirs, np.ones((1, n)))[0]
                rows.add(distance, label, name, float(value[0]), distribution_distances(own, theirs, counts)[0], n)
    return rows.frame(), {"sequences": predictions}


def _lacking(scores: np.ndarray) -> str:
    """Why nothing can be said of them; nothing where all is well."""
    if not len(scores):
        return "there is no sequence"
    missing = int(np.isnan(scores).sum())
    return f"{missing} of {len(scores)} sequences have no score" if missing else ""
