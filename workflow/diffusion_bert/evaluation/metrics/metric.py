"""What is said of a metric."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """name: as in the tables. title: a few words for headings and axes. definition: one plain sentence. source: paper
    or format. unit: of the value. better: ``lower``, ``higher`` or ``as ceiling``. question: the table that holds it.
    bounds: the values that are possible at all (None: unbounded). kept_by: floors that have the property of the
    held-out windows by construction. judges: the generators whose own opinion it is (``model``, ``lstm``). No judge
    compares its own sequences with another's; and where two are asked, the metric says how the two stand to each other,
    and ranks no sequences."""

    name: str
    title: str
    definition: str
    source: str
    unit: str
    better: str
    question: str
    bounds: tuple[float | None, float | None] = (None, None)
    kept_by: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()


# Floors made by shuffling the held-out windows.
SHUFFLE = ("dinucleotide_shuffle",)
