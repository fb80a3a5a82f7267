"""What predictors made elsewhere say of each set."""

from pathlib import Path

import pandas as pd

from diffusion_bert.figures import style
from diffusion_bert.figures.distributions import draw_densities

_MOST = 24  # panels


@style.styled
def draw_predictors(sequences: pd.DataFrame, path: str | Path) -> None:
    """Distribution of scores by set: a panel an output of a predictor; of one output alone, label by label too.

    sequences: set, label, predictor, output (null where a predictor has one without a name), score; the reference too.
    """
    sequences = sequences.dropna(subset=["score"])
    if sequences.empty:
        style.say_nothing_to_draw(path, "No predictor has a score for any sequence.")
        return
    sequences = sequences.assign(output=sequences["output"].fillna(""))
    outputs = list(sequences.groupby(["predictor", "output"], sort=False))
    if len(outputs) == 1:
        (_, frame), labels = outputs[0], style.labels_shown(sequences["label"])
        panels = [("all labels", frame)]
        panels += [(label, frame[frame["label"] == label]) for label in (labels if len(labels) > 1 else [])]
        unit = f"score of {outputs[0][0][0]}"
    else:
        panels = [(f"{predictor}, {output}" if output else predictor, frame) for (predictor, output), frame in outputs]
        unit = "score"
    shown = panels[:_MOST]
    columns = 4 if len(shown) in (4, 7, 8) or len(shown) > 9 else min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure, axes = style.new_figure(rows, columns, 9.6, 2.1 * rows + 0.5)
    sets = style.ordered(sequences["set"])
    for (title, frame), ax in zip(shown, axes.flat, strict=False):
        draw_densities(ax, frame, "score", sets)
        ax.set_title(title)
        ax.set_xlabel(unit)
    for ax in axes.flat[len(shown) :]:
        ax.axis("off")
    if len(panels) > len(shown):
        figure.supxlabel(f"and {len(panels) - len(shown)} more outputs, in the table", fontsize=9.5, color="#444444")
    style.key(figure, sets)
    style.save(figure, path)
