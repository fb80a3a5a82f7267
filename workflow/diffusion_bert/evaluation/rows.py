"""The tidy table of an evaluation, filled row by row; and the groups (set, label) that every question runs over."""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.intervals import interval, wilson
from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.tables import EVALUATION, check

GENERATED, CEILING, REFERENCE = "generated", "ceiling", "reference"
ALL = "all"
_LOG = logging.getLogger(__name__)


class Rows:
    """Collects EVALUATION rows; a number that is missing or not finite becomes null with a note that says why."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def add(
        self, metric: str, label: str, name: str, value: float, replicates: np.ndarray | None, n: int, reason: str = ""
    ) -> None:
        """One number of set ``name`` with the interval of its bootstrap replicates (None: without an interval).

        reason: why the number cannot be had, for the case that it is not finite.
        """
        if value is None or not np.isfinite(value):
            self.missing(metric, label, name, n, reason or "not defined for these sequences")
            return
        low, high = (None, None) if replicates is None else interval(value, replicates, METRICS[metric].bounds)
        self._rows.append((metric, label, name, value, low, high, n, None))

    def add_share(self, metric: str, label: str, name: str, hits: int, n: int) -> None:
        """A share, hits of n things, with Wilson's interval; for what a bootstrap would have to be made anew for."""
        self._rows.append((metric, label, name, hits / n, *wilson(hits, n), n, None))

    def missing(self, metric: str, label: str, name: str, n: int, why: str) -> None:
        """A number that cannot be had, and why."""
        if metric not in METRICS:
            raise KeyError(metric)
        self._rows.append((metric, label, name, None, None, None, n, why))

    def frame(self) -> pd.DataFrame:
        """The EVALUATION table, in the order in which the rows came."""
        for metric, label, name, value, *_, why in self._rows:
            if value is None:
                _LOG.info("%s of %s (%s) is not available: %s", metric, name, label, why)
        return check(pd.DataFrame(self._rows, columns=list(EVALUATION)), EVALUATION, "the evaluation")


def groups(sets: pd.DataFrame) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Label by label (``all`` first): the row numbers of each set, in the order of the table.

    A table whose one label is ``all`` gives that one group.
    """
    names = list(dict.fromkeys(sets["set"]))
    of_set, of_label = sets["set"].to_numpy(), sets["label"].to_numpy()
    members = {name: np.flatnonzero(of_set == name) for name in names}
    yield ALL, members
    for label in sorted(set(of_label) - {ALL}):
        yield label, {name: rows[of_label[rows] == label] for name, rows in members.items()}


def compared(sets: pd.DataFrame) -> list[str]:
    """The sets that get a number: all but the reference. Raises UserError where the reference is absent or empty."""
    names = list(dict.fromkeys(sets["set"]))
    if REFERENCE not in names:
        raise UserError(
            f"The matched sets hold {', '.join(names) or 'nothing'}, but no set named {REFERENCE} (training windows).",
            "Make the table of sets with match_sets, or add a reference set.",
        )
    return [name for name in names if name != REFERENCE]
