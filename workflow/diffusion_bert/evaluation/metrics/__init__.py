"""Every metric that the evaluation reports: what it is, where it comes from, and which way is better.

One statement for tables, report and comparison. ``better`` is ``lower`` or ``higher`` where the direction holds
without end, and ``as ceiling`` where a generator should do what held-out real sequences do, no less and no more
(a GC content, the identity to the nearest training sequence).

A floor made from the held-out windows themselves shares some of their properties by construction: a dinucleotide
shuffle has exactly the GC content of its window. It is no floor for the metrics of such a property (``kept_by``).
"""

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
QUESTIONS = tuple(_OF_QUESTION)

METRICS: dict[str, Metric] = {metric.name: metric for metrics in _OF_QUESTION.values() for metric in metrics}
