"""Every metric that the evaluation reports: what it is, where it comes from, and which way is better.

One statement for tables, report and comparison. ``better`` is ``lower`` or ``higher`` where the direction holds
without end, and ``as ceiling`` where a generator should do what held-out real sequences do, no less and no more
(a GC content, the identity to the nearest training sequence).

A floor made from the held-out windows themselves shares some of their properties by construction: a dinucleotide
shuffle has exactly the GC content of its window. It is no floor for the metrics of such a property (``kept_by``).
"""

from collections.abc import Iterable, Iterator, Mapping

from diffusion_bert.evaluation.metrics import (
    composition,
    discovery,
    discrimination,
    function,
    grammar,
    kmers,
    likelihood,
    motifs,
    novelty,
    predictors,
)
from diffusion_bert.evaluation.metrics.metric import Metric

_OF_QUESTION = {
    "composition": composition.METRICS,
    "kmers": kmers.METRICS,
    "motifs": motifs.METRICS,
    "discovery": discovery.METRICS,
    "novelty": novelty.METRICS,
    "discrimination": discrimination.METRICS,
    "function": function.METRICS,
    "likelihood": likelihood.METRICS,
    "grammar": grammar.METRICS,
}
QUESTIONS = (*_OF_QUESTION, predictors.QUESTION)


class Metrics(Mapping[str, Metric]):
    """Name -> Metric. Goes through the metrics that every run has; those of a predictor, whose name is the user's, are
    known too when asked for."""

    def __init__(self, metrics: Iterable[Metric]):
        self._stated = {metric.name: metric for metric in metrics}

    def __getitem__(self, name: str) -> Metric:
        found = self._stated.get(name) or predictors.metric(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._stated)

    def __len__(self) -> int:
        return len(self._stated)

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are metrics, each once: in the order stated here, then predictors' as they come."""
        known = [name for name in dict.fromkeys(names) if name in self]
        place = {name: number for number, name in enumerate(self._stated)}
        return sorted(known, key=lambda name: place.get(name, len(place)))


METRICS = Metrics(metric for metrics in _OF_QUESTION.values() for metric in metrics)
