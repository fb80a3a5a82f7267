"""What predictors that the config names say of the sequences: two metrics for each of their outputs.

They are called ``kind:predictor``, or ``kind:predictor:output`` where a predictor has several outputs.
"""

from diffusion_bert.evaluation.metrics.metric import Metric

MEAN, DISTANCE = "predicted_mean", "predicted_wasserstein"
QUESTION = "predictors"


def name_of(kind: str, predictor: str, output: str) -> str:
    """The metric's name in the tables. kind: MEAN or DISTANCE. output: "" for one without a name."""
    return ":".join([kind, predictor, output] if output else [kind, predictor])


def metric(name: str) -> Metric | None:
    """What is said of such a metric; None for other names."""
    kind, _, rest = name.partition(":")
    predictor, _, output = rest.partition(":")
    if kind not in (MEAN, DISTANCE) or not predictor:
        return None
    who = f"{predictor}, {output}" if output else predictor
    said = f"what the predictor {predictor} says" + (f" (output {output})" if output else "")
    source = f"the config's evaluation.predictors.{predictor}"
    if kind == MEAN:
        return Metric(
            name, f"{who}: mean", f"Mean over sequences of {said}.", source, "its own", "as ceiling", QUESTION
        )
    return Metric(
        name,
        f"{who}: distance",
        f"Wasserstein-1 distance between {said} of the set's sequences and of training windows.",
        f"Vaserstein 1969, scipy.stats.wasserstein_distance; {source}",
        "that of the scores",
        "lower",
        QUESTION,
        (0, None),
    )
