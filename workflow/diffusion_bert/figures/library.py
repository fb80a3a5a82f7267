"""A library to order: what was chosen from what, label by label, and how far apart the chosen are."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style
from diffusion_bert.figures.distributions import smooth_density

_CANDIDATES = "candidates"
# Of each part: words for readers, colour, line and width. Candidates and designs first, then controls.
_LOOK = {
    _CANDIDATES: ("candidates that pass the filters", "#8c8c8c", "-", 1.6),
    "design": ("designs", style.colour(style.GENERATED), "-", 2.0),
    "positive": ("held-out real", style.colour(style.CEILING), "-", 2.0),
    "shuffled": ("designs, shuffled", style.colour("dinucleotide_shuffle"), "--", 1.2),
    "background": ("held-out, shuffled", style.colour("markov"), "-.", 1.2),
}
# Choices of as many candidates: words, colour, marker.
_CHOICES = {
    "chosen": ("designs", style.colour(style.GENERATED), "o"),
    "most active": ("as many, the most active", "#1a1a1a", "^"),
    "random": ("as many at random", "#8c8c8c", "s"),
}
_FEW = 5  # values of which no density is drawn, but a line for each


@style.styled
def draw_library(candidates: pd.DataFrame, inserts: pd.DataFrame, diversity: pd.DataFrame, path: str | Path) -> None:
    """Activity of candidates, designs and controls; then activity against distance of three choices of as many.

    candidates: label, activity (nats; null where a filter dropped it). inserts: category, label, activity. diversity:
    label, choice, distance (to the nearest of the same choice; null for one sequence), activity.
    """
    labels = style.labels_shown(inserts["label"]) or ["all"]
    columns = min(len(labels), 3)
    rows = -(-len(labels) // columns)
    height = 2.4 * rows + 0.6 + 0.34 * len(labels) + 1.1
    heights = [2.4] * rows + [0.34 * len(labels) + 1.1]
    figure, axes = style.new_figure(rows + 1, columns, 9.6, height, gridspec_kw={"height_ratios": heights})
    for label, ax in zip(labels, axes[:rows].flat, strict=False):
        parts = {_CANDIDATES: candidates.loc[candidates["label"] == label, "activity"]}
        own = inserts[inserts["label"] == label]
        parts |= {name: own.loc[own["category"] == name, "activity"] for name in _LOOK if name != _CANDIDATES}
        _activity(ax, {name: values.dropna().to_numpy(float) for name, values in parts.items()})
        ax.set_title(label)
    for ax in axes[:rows].flat[len(labels) :]:
        ax.axis("off")
    grid = axes[rows, 0].get_gridspec()
    for ax in axes[rows]:
        ax.remove()
    inner = grid[rows, :].subgridspec(1, 2)
    means = diversity.groupby(["label", "choice"])[["distance", "activity"]].mean()
    for place, (column, words) in enumerate(
        (("distance", "5-mers not shared with the nearest other, mean share"), ("activity", "activity, mean"))
    ):
        ax = figure.add_subplot(inner[0, place])
        _choices(ax, means[column], labels, name_rows=place == 0)
        ax.set_xlabel(words)
    drawn = {_CANDIDATES, *inserts["category"]}
    handles = [
        style.plt.Line2D([], [], color=colour, linestyle=line, linewidth=width, label=words)
        for name, (words, colour, line, width) in _LOOK.items()
        if name in drawn
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=5, handlelength=2.2, columnspacing=1.4)
    handles = [
        style.plt.Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=5, label=words)
        for words, colour, marker in _CHOICES.values()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    style.save(figure, path)


def _activity(ax: Axes, parts: dict[str, np.ndarray]) -> None:
    values = np.concatenate(list(parts.values()))
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.5
    grid = np.linspace(low - margin, high + margin, 201)
    for name, own in parts.items():
        _, colour, line, width = _LOOK[name]
        look = {"color": colour, "linestyle": line, "linewidth": width, "zorder": 3 if name == "design" else 2}
        if len(own) < _FEW:
            for value in own:
                ax.axvline(value, ymax=0.25, **look)
            continue
        density = smooth_density(own, grid)
        ax.plot(grid, density, **look)
        if name == _CANDIDATES:
            ax.fill_between(grid, density, color=colour, alpha=0.15, linewidth=0)
    ax.axvline(0, color="#cccccc", linewidth=1, zorder=0)
    ax.set_xlim(grid[0], grid[-1])
    ax.set_ylim(bottom=0)
    ax.set_yticks([])
    ax.set_xlabel("log p(label) - log p(background)")


def _choices(ax: Axes, means: pd.Series, labels: list[str], *, name_rows: bool) -> None:
    """One line a label, a mark for each choice."""
    for level, label in enumerate(labels):
        ax.axhline(level, color="#eeeeee", linewidth=1, zorder=0)
        for choice, (_, colour, marker) in _CHOICES.items():
            ax.plot(
                means.get((label, choice), np.nan), level, marker=marker, color=colour, markersize=6, linestyle="none"
            )
    ax.set_yticks(range(len(labels)), labels if name_rows else [])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
