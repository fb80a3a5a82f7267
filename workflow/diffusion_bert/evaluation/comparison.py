"""All runs in one table, and where each of their metrics stands between the best floor and the ceiling."""

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.metrics import METRICS, Metric
from diffusion_bert.evaluation.rows import CEILING, GENERATED, REFERENCE
from diffusion_bert.tables import EVALUATION, Columns, check

COMPARISON: Columns = {"model": "text", "sampler": "text", **EVALUATION}

# separates: ``yes`` where the interval of the ceiling and that of the best floor have no value in common, and the
# ceiling is the better. position: 0 at the best floor, 1 at the ceiling, null where the metric does not separate;
# above 1 better than the ceiling, below 0 worse than the floor. worse_than_ceiling: ``yes`` where the interval of the
# generated sequences lies wholly on the worse side of the ceiling's (either side, for a metric that should be as the
# ceiling): an alarm that also holds for metrics that do not rank, such as copies of training sequences.
# lstm: the value of the LSTM's sequences, a peer and no floor. beats_lstm: ``yes`` or ``no`` where the intervals of
# generated and LSTM part (those of their distances to the ceiling, for a metric that should be as the ceiling), null
# where they do not, or where one of the two is the judge. rank: 1, and one more for each other run that is better by an
# interval that parts from this one's, so that runs which cannot be told apart share it. Null where there is one run
# alone, and where a model judges: each model is then its own judge.
VERDICT: Columns = {
    "model": "text",
    "sampler": "text",
    "metric": "text",
    "label": "text",
    "value": "float?",
    "ceiling": "float?",
    "best_floor": "float?",
    "floor_name": "text?",
    "separates": "text",
    "position": "float?",
    "worse_than_ceiling": "text",
    "lstm": "float?",
    "beats_lstm": "text?",
    "rank": "int?",
    "note": "text?",
}
# The set made by another learned generator: what a run is compared with, and neither floor nor ceiling.
PEER = "lstm"
_LOG = logging.getLogger(__name__)


def compare(frames: Mapping[tuple[str, str], pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The COMPARISON table of all runs, and the VERDICT: one row a run, metric and label.

    frames: (model, sampler) -> EVALUATION rows of all its questions. A metric that its ``better`` calls ``lower`` or
    ``higher`` has the best value among the floors as its best floor; for one that should be ``as ceiling`` it is the
    floor closest to the ceiling, and position is 1 - |value - ceiling| / |floor - ceiling|, which is at most 1.
    Floors that keep a metric's property by construction (``kept_by``) are none for it, and the LSTM's sequences are no
    floor at all: a peer has no part in what separates, nor in position.
    Rows of metrics that METRICS does not know, of another version, are left out with a line in the log.
    """
    parts, verdicts = [], []
    for (model, sampler), frame in frames.items():
        unknown = sorted(name for name in set(frame["metric"]) if name not in METRICS)
        if unknown:
            _LOG.info("%s, %s: unknown metrics are left out: %s", model, sampler, ", ".join(unknown))
        frame = frame[~frame["metric"].isin(unknown)]
        parts.append(frame.assign(model=model, sampler=sampler))
        for (metric, label), rows in frame.groupby(["metric", "label"], sort=False):
            verdicts.append({"model": model, "sampler": sampler, **_stand(METRICS[metric], label, rows)})
    for row, rank in zip(verdicts, _ranks(verdicts, frames), strict=True):
        row["rank"] = rank
    comparison = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COMPARISON))
    verdict = pd.DataFrame(verdicts, columns=list(VERDICT))
    return (
        check(comparison[list(COMPARISON)], COMPARISON, "the comparison"),
        check(verdict, VERDICT, "the verdict"),
    )


def _stand(metric: Metric, label: str, rows: pd.DataFrame) -> dict:
    """The VERDICT of one run, metric and label, without model and sampler."""
    of_set = {row.set: row for row in rows.itertuples(index=False)}
    value, ceiling, peer = (_value(of_set.get(name)) for name in (GENERATED, CEILING, PEER))
    floors = {
        name: row
        for name, row in of_set.items()
        if name not in (GENERATED, CEILING, REFERENCE, PEER, *metric.kept_by) and _value(row) is not None
    }
    out = {
        "metric": metric.name,
        "label": label,
        "value": value,
        "ceiling": ceiling,
        "best_floor": None,
        "floor_name": None,
        "separates": "no",
        "position": None,
        "worse_than_ceiling": "no",
        "lstm": peer,
        "beats_lstm": None,
        "note": None,
    }
    if value is not None and peer is not None and not metric.judges:
        out["beats_lstm"] = _beats(metric, of_set[GENERATED], of_set[PEER], ceiling)
    if value is None:
        out["note"] = f"not available for the generated sequences: {_note(of_set.get(GENERATED))}"
    if ceiling is None:
        return out | {"note": out["note"] or f"not available for held-out sequences: {_note(of_set.get(CEILING))}"}
    if len(metric.judges) > 1:
        return out | {"note": out["note"] or "it compares two models and ranks no sequences"}
    if value is not None and _worse(metric, of_set[GENERATED], of_set[CEILING]):
        out["worse_than_ceiling"] = "yes"
    if not floors:
        return out | {"note": out["note"] or "not available for any floor"}
    best = min(floors, key=lambda name: (_badness(metric, floors[name].value, ceiling), name))
    out |= {"best_floor": float(floors[best].value), "floor_name": best}
    if not _worse(metric, floors[best], of_set[CEILING]):
        return out | {"note": out["note"] or "the ceiling does not part from the best floor"}
    out["separates"] = "yes"
    if value is not None:
        gap = out["best_floor"] - ceiling
        if metric.better == "as ceiling":
            out["position"] = 1 - abs(value - ceiling) / abs(gap)
        else:
            out["position"] = (out["best_floor"] - value) / gap + 0.0  # no minus zero
    return out


def _ranks(verdicts: list[dict], frames: Mapping[tuple[str, str], pd.DataFrame]) -> list[int | None]:
    """The rank of each row of the verdict among the runs that have the metric and label too."""
    made = {
        (*run, row.metric, row.label): row
        for run, frame in frames.items()
        for row in frame[frame["set"] == GENERATED].itertuples(index=False)
        if _value(row) is not None
    }
    ranks: list[int | None] = []
    for verdict in verdicts:
        metric, label = METRICS[verdict["metric"]], verdict["label"]
        own = made.get((verdict["model"], verdict["sampler"], metric.name, label))
        others = [made.get((*run, metric.name, label)) for run in frames]
        others = [row for row in others if row is not None and row is not own]
        if own is None or metric.judges or not others:
            ranks.append(None)
            continue
        ranks.append(1 + sum(_beats(metric, row, own, verdict["ceiling"]) == "yes" for row in others))
    return ranks


def _badness(metric: Metric, value: float, ceiling: float) -> float:
    """Lower is better."""
    if metric.better == "as ceiling":
        return abs(value - ceiling)
    return value if metric.better == "lower" else -value


def _worse(metric: Metric, row: tuple, ceiling: tuple) -> bool:
    """Whether the interval has no value in common with the ceiling's and lies on its worse side."""
    (low, high), (ceiling_low, ceiling_high) = _span(row), _span(ceiling)
    if ceiling_high < low:
        return metric.better in ("lower", "as ceiling")
    if high < ceiling_low:
        return metric.better in ("higher", "as ceiling")
    return False


def _beats(metric: Metric, row: tuple, peer: tuple, ceiling: float | None) -> str | None:
    """``yes`` where the row is better than the peer and their intervals part, ``no`` where it is worse and they do."""
    if any(pd.isna(one.ci_low) or pd.isna(one.ci_high) for one in (row, peer)):
        return None
    own, other = _span(row), _span(peer)
    if metric.better == "as ceiling":
        if ceiling is None:
            return None
        own, other = _distances(*own, ceiling), _distances(*other, ceiling)
    elif metric.better == "higher":
        own, other = other, own
    return "yes" if own[1] < other[0] else "no" if other[1] < own[0] else None


def _distances(low: float, high: float, target: float) -> tuple[float, float]:
    """The smallest and the largest distance to the target of what lies between low and high."""
    return max(low - target, target - high, 0.0), max(high - target, target - low)


def _span(row: tuple) -> tuple[float, float]:
    """The interval; the value itself where there is none."""
    low = row.value if row.ci_low is None or np.isnan(row.ci_low) else row.ci_low
    high = row.value if row.ci_high is None or np.isnan(row.ci_high) else row.ci_high
    return float(low), float(high)


def _value(row: tuple | None) -> float | None:
    return None if row is None or row.value is None or np.isnan(row.value) else float(row.value)


def _note(row: tuple | None) -> str:
    return "it was not evaluated" if row is None else (row.note if isinstance(row.note, str) else "no reason given")
