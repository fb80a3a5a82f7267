"""Where generated sequences stand between floors and ceiling."""

from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.figures import style

# Positions beyond these are drawn at the edge: how far beyond says nothing more.
_LOWEST, _HIGHEST = -0.25, 1.25


@style.styled
def draw_comparison(verdict: pd.DataFrame, path: Path) -> None:
    """Each metric's position between its best floor (0) and its ceiling (1), one mark a run.

    verdict: model, sampler, metric, label, value, ceiling, best_floor, floor_name, separates, position. Only the rows
    of all labels are drawn, and of those the metrics that separate floors from ceiling.
    """
    frame = verdict[(verdict["label"] == "all") & style.is_yes(verdict["separates"])].dropna(subset=["position"])
    metrics = [name for name in METRICS.among(frame["metric"]) if not repeats(name)]
    if not metrics:
        style.say_nothing_to_draw(path, "No metric separates the floors from the ceiling on these sequences.")
        return
    runs = list(dict.fromkeys(zip(frame["model"], frame["sampler"], strict=True)))
    # Half a line between questions, so that an eye finds them.
    questions = [METRICS[name].question for name in metrics]
    places = np.arange(len(metrics)) + 0.5 * np.cumsum(
        [0, *(a != b for a, b in zip(questions, questions[1:], strict=False))]
    )
    place = dict(zip(metrics, places, strict=True))
    figure, axes = style.new_figure(1, 1, 7.2, 1.0 + 0.26 * (places[-1] + 1) + 0.22 * -(-len(runs) // 4))
    ax = axes[0, 0]
    ax.axvspan(0.9, _HIGHEST, color=style.colour(style.CEILING), alpha=0.09, linewidth=0)
    ax.axvspan(_LOWEST, 0.1, color="#5d6b78", alpha=0.10, linewidth=0)
    ax.axvline(0, color="#5d6b78", linewidth=1)
    ax.axvline(1, color=style.colour(style.CEILING), linewidth=1)
    for number, (model, sampler) in enumerate(runs):
        own = frame[(frame["model"] == model) & (frame["sampler"] == sampler)].set_index("metric")["position"]
        own = own[[name in place for name in own.index] & ~own.index.duplicated()]
        # Marks of several runs on one line are set a little apart.
        offset = (number - (len(runs) - 1) / 2) * min(0.16, 0.6 / len(runs))
        ax.plot(
            np.clip(own, _LOWEST + 0.02, _HIGHEST - 0.02),
            [place[name] + offset for name in own.index],
            linestyle="none",
            marker="oD^sv<>p"[number % 8],
            markersize=6.5 if len(runs) == 1 else 5.5,
            color=style.SERIES[number % len(style.SERIES)] if len(runs) > 1 else style.colour(style.GENERATED),
            label=f"{model} / {sampler}",
        )
    ax.set_yticks(places, [metric_title(name) for name in metrics])
    ax.set_ylim(places[-1] + 0.6, -0.6)
    ax.set_xlim(_LOWEST, _HIGHEST)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["best floor", "25 %", "50 %", "75 %", "real"])
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    if len(runs) > 1:
        figure.legend(loc="outside upper left", ncols=4)
    style.save(figure, path)


def metric_title(name: str) -> str:
    """A metric's few words for readers."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def repeats(name: str) -> bool:
    """Whether the picture can do without: k-mer metrics at other k, and the distance, say nearly the same thing."""
    return name.startswith("kmer_") and name not in ("kmer_js_divergence_3", "kmer_js_divergence_6", "kmer_pearson_6")


@style.styled
def draw_grammar(evaluation: pd.DataFrame, path: Path) -> None:
    """How much of the planted grammar each set carries: one panel a metric, one line a label.

    evaluation: the EVALUATION rows of the question "grammar".
    """
    frame = evaluation.dropna(subset=["value"])
    if frame.empty:
        style.say_nothing_to_draw(path, "There is no number about the planted grammar.")
        return
    metrics = list(dict.fromkeys(frame["metric"]))
    labels = ["all", *style.labels_shown(frame["label"])]
    labels = [label for label in labels if label in set(frame["label"])]
    columns = 2 if len(metrics) > 1 else 1
    rows = -(-len(metrics) // columns)
    figure, axes = style.new_figure(rows, columns, 9.6, (0.85 + 0.34 * len(labels)) * rows + 0.3)
    sets = style.ordered(frame["set"])
    for ax, metric in zip(axes.flat, metrics, strict=False):
        own = frame[frame["metric"] == metric]
        for level, label in enumerate(labels):
            ax.axhline(level, color="#eeeeee", linewidth=1, zorder=0)
            for number, kind in enumerate(reversed(sets)):
                row = own[(own["label"] == label) & (own["set"] == kind)]
                if row.empty:
                    continue
                value = row.iloc[0]
                height = level + (number - (len(sets) - 1) / 2) * 0.09
                options = {"color": style.colour(kind), "zorder": 2 + number}
                ax.plot([value["ci_low"], value["ci_high"]], [height, height], linewidth=1.4, **options)
                ax.plot(value["value"], height, marker=style.marker(kind), markersize=5, **options)
        ax.set_yticks(range(len(labels)), ["all labels" if label == "all" else label for label in labels])
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.locator_params(axis="x", nbins=5)
        ax.set_title(metric_title(metric))
    for ax in axes.flat[len(metrics) :]:
        ax.axis("off")
    style.key(figure, sets)
    style.save(figure, path)
