"""Function: the judge's opinion of each set, which label it takes each for, and how far the judge can be trusted."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style
from diffusion_bert.figures.distributions import draw_densities

# What a label is told from: words for readers, a sign that looks as its mark, and its colour.
_AGAINST = {
    "background": ("its shuffles", "\N{BLACK CIRCLE}", "#1a1a1a"),
    "labels": ("other labels", "\N{BLACK DIAMOND}", "#7b5ea7"),
}
_MARKERS = {"background": "o", "labels": "D"}
_MOST_NUMBERS = 8  # labels with which the cells of a confusion matrix still hold a number


@style.styled
def draw_function(sequences: pd.DataFrame, confusion: pd.DataFrame, performance: pd.DataFrame, path: Path) -> None:
    """Predicted activity by set and label; confusion of labels, held-out and generated; the judge's own success.

    sequences: set, label, activity (nats), one row a sequence. confusion: set, label (requested), predicted, share.
    performance: ORACLE_PERFORMANCE of the judge.
    """
    sequences = sequences.dropna(subset=["activity"])
    if sequences.empty:
        style.say_nothing_to_draw(path, "The judge knows none of the labels: there are too few training windows.")
        return
    labels = style.labels_shown(sequences["label"])
    panels = ["all", *labels] if len(labels) > 1 else ["all"]
    columns = 4 if len(panels) in (4, 7, 8) or len(panels) > 9 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    names = sorted({*confusion["label"], *confusion["predicted"]} - {"all"})
    below = 1.7 + 0.26 * max(len(names), 3)
    heights = [2.1] * rows + [below]
    figure, axes = style.new_figure(rows + 1, columns, 9.6, sum(heights) + 0.3, gridspec_kw={"height_ratios": heights})
    sets = style.ordered(sequences["set"])
    for panel, ax in zip(panels, axes[:rows].flat, strict=False):
        frame = sequences if panel == "all" else sequences[sequences["label"] == panel]
        draw_densities(ax, frame, "activity", sets)
        ax.axvline(0, color="#cccccc", linewidth=1, zorder=0)
        ax.set_xlabel("log p(label) - log p(background)")
        ax.set_title("all labels" if panel == "all" else panel)
    for ax in axes[:rows].flat[len(panels) :]:
        ax.axis("off")
    grid = axes[rows, 0].get_gridspec()
    for ax in axes[rows]:
        ax.remove()
    inner = grid[rows, :].subgridspec(1, 3)
    shown = [kind for kind in (style.CEILING, style.GENERATED) if kind in set(confusion["set"])]
    for place, kind in enumerate(shown if len(names) > 1 else []):
        ax = figure.add_subplot(inner[0, place])
        _matrix(ax, confusion[confusion["set"] == kind], names, name_rows=place == 0)
        ax.set_title(f"taken for, {style.title(kind)}", color=style.colour(kind))
    _success(figure.add_subplot(inner[0, 2] if len(names) > 1 else inner[0, :]), performance)
    style.key(figure, sets)
    style.save(figure, path)


def _matrix(ax: Axes, confusion: pd.DataFrame, names: list[str], *, name_rows: bool) -> None:
    """A row a requested label, a column a predicted one; the shares of a row sum to 1."""
    wide = confusion.pivot_table(index="label", columns="predicted", values="share").reindex(index=names, columns=names)
    asked = wide.notna().any(axis=1).to_numpy()
    shares = wide.fillna(0).to_numpy()
    ax.imshow(np.where(asked[:, None], shares, np.nan), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    if len(names) <= _MOST_NUMBERS:
        for row, column in np.ndindex(shares.shape):
            if asked[row]:
                share = shares[row, column]
                ax.text(
                    column,
                    row,
                    f"{share:.2f}",
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color="white" if share > 0.5 else "#222222",
                )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.set_yticks(range(len(names)), names if name_rows else [])
    if name_rows:
        ax.set_ylabel("asked for")
    ax.tick_params(length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _success(ax: Axes, performance: pd.DataFrame) -> None:
    """The judge's area under the ROC curve on test windows: one line a label, a mark for what it is told from."""
    frame = performance[performance["metric"] == "auroc"].dropna(subset=["value"])
    ax.set_title("the judge on test windows")
    if frame.empty:
        ax.axis("off")
        ax.text(0, 0.5, "There are no test windows to tell.", transform=ax.transAxes, color="#444444")
        return
    labels = ["all", *sorted(set(frame["label"]) - {"all"})]
    for level, label in enumerate(labels):
        ax.axhline(level, color="#eeeeee", linewidth=1, zorder=0)
        for offset, (against, (_, _, colour)) in zip((-0.12, 0.12), _AGAINST.items(), strict=True):
            for row in frame[(frame["label"] == label) & (frame["against"] == against)].itertuples(index=False):
                ax.plot([row.ci_low, row.ci_high], [level + offset] * 2, color=colour, linewidth=1.4)
                ax.plot(row.value, level + offset, marker=_MARKERS[against], color=colour, markersize=4.5)
    ax.set_yticks(range(len(labels)), ["all labels" if label == "all" else label for label in labels])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(min(0.45, frame["ci_low"].min() - 0.02), 1.02)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    told = [
        f"{words} ({sign})" for against, (words, sign, _) in _AGAINST.items() if (frame["against"] == against).any()
    ]
    ax.set_xlabel(f"area under the ROC curve, against\n{' and '.join(told)}")
