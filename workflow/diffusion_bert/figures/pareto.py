"""Activity against naturalness: what a generator gives up of the one to gain the other."""

from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.figures import style

ACTIVITY, NATURALNESS = "oracle_activity", "discrimination_gapped_auroc"


@style.styled
def draw_pareto(comparison: pd.DataFrame, path: str | Path) -> None:
    """Every run, and what it is held against, by predicted activity and by how hard it is to tell from real sequences.

    comparison: COMPARISON frame; the rows of all labels of ``oracle_activity`` (up: more active) and
    ``discrimination_gapped_auroc`` (drawn right to left: 0.5 cannot be told from real). A line joins the runs that no
    other run beats in both. Held-out sequences, floors and LSTM are those of the first run.
    """
    rows = comparison[(comparison["label"] == "all") & comparison["metric"].isin([ACTIVITY, NATURALNESS])]
    rows = rows.dropna(subset=["value"])
    points = {
        key: part.set_index("metric")
        for key, part in rows.groupby(["model", "sampler", "set"], sort=False)
        if set(part["metric"]) == {ACTIVITY, NATURALNESS}
    }
    made = [key for key in points if key[2] == style.GENERATED]
    if not made:
        style.say_nothing_to_draw(path, "No run has both a predicted activity and a discriminability.")
        return
    figure, axes = style.new_figure(1, 1, 6.4, 4.6)
    ax = axes[0, 0]
    for name in style.ordered(key[2] for key in points if key[:2] == made[0][:2] and key[2] != style.GENERATED):
        _point(ax, points[(*made[0][:2], name)], style.colour(name), style.marker(name), style.title(name))
    front = pareto_front([(points[key].loc[NATURALNESS, "value"], -points[key].loc[ACTIVITY, "value"]) for key in made])
    if len(front) > 1:
        line = [points[made[i]] for i in front]
        ax.plot([p.loc[NATURALNESS, "value"] for p in line], [p.loc[ACTIVITY, "value"] for p in line], "-",
                color="#888888", linewidth=1, zorder=0)  # fmt: skip
    for number, key in enumerate(made):
        alone = len(made) == 1
        colour = style.colour(style.GENERATED) if alone else style.SERIES[number % len(style.SERIES)]
        _point(ax, points[key], colour, "o" if alone else "oD^sv<>p"[number % 8], f"{key[0]} / {key[1]}", 7)
    ax.invert_xaxis()
    ax.set_xlabel("told from real by gapped k-mers, AUROC  (right: like real sequences)")
    ax.set_ylabel("predicted activity, nats  (up: more active)")
    figure.legend(loc="outside upper left", ncols=3)
    style.save(figure, path)


def pareto_front(points: list[tuple[float, float]]) -> list[int]:
    """The numbers of the points that no other one beats: both coordinates are better when lower.

    In the order of the first coordinate. A point that equals another in both is beaten by neither.
    """
    array = np.array(points, dtype=float).reshape(-1, 2)
    beaten = [(np.all(array <= own, axis=1) & np.any(array < own, axis=1)).any() for own in array]
    return sorted((i for i, lost in enumerate(beaten) if not lost), key=lambda i: tuple(array[i]))


def _point(ax, point: pd.DataFrame, colour: str, marker: str, label: str, size: float = 6) -> None:
    x, y = point.loc[NATURALNESS], point.loc[ACTIVITY]
    ax.plot([x["ci_low"], x["ci_high"]], [y["value"]] * 2, color=colour, linewidth=1, alpha=0.7)
    ax.plot([x["value"]] * 2, [y["ci_low"], y["ci_high"]], color=colour, linewidth=1, alpha=0.7)
    ax.plot(x["value"], y["value"], marker=marker, markersize=size, color=colour, linestyle="none", label=label)
