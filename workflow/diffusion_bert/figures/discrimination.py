"""Discriminability: how well each set is told from training, and the words that give the generated one away."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style
from diffusion_bert.figures.standing import metric_title

_WORDS = 12
_MODELS = {"kmer": "k-mers that give the generated away", "gapped": "gapped k-mers that do (N: any letter)"}


@style.styled
def draw_discrimination(evaluation: pd.DataFrame, giveaways: pd.DataFrame, path: Path) -> None:
    """Area under the ROC curve by set and label, a panel a classifier; then the words of most weight.

    evaluation: the EVALUATION rows of the question "discrimination". giveaways: set, label, model, kmer, weight, share,
    share_reference (of sequences with the word).
    """
    frame = evaluation.dropna(subset=["value"])
    if frame.empty:
        style.say_nothing_to_draw(path, "No classifier could be trained: there are too few sequences.")
        return
    metrics = list(dict.fromkeys(frame["metric"]))
    labels = [label for label in ("all", *style.labels_shown(frame["label"])) if label in set(frame["label"])]
    words = giveaways[(giveaways["set"] == style.GENERATED) & (giveaways["label"] == "all")]
    models = [model for model in _MODELS if model in set(words["model"])]
    columns = max(len(metrics), len(models))
    heights = [0.85 + 0.34 * len(labels), *([0.85 + 0.2 * _WORDS] if models else [])]
    figure, axes = style.new_figure(
        len(heights), columns, 9.6, sum(heights) + 0.3, gridspec_kw={"height_ratios": heights}
    )
    sets = style.ordered(frame["set"])
    for ax, metric in zip(axes[0], metrics, strict=False):
        _areas(ax, frame[frame["metric"] == metric], labels, sets)
        ax.set_title(metric_title(metric))
    for ax, model in zip(axes[1] if models else [], models, strict=False):
        _words(ax, words[words["model"] == model].nlargest(_WORDS, "weight"))
        ax.set_title(_MODELS[model])
    for row, used in zip(axes, (len(metrics), len(models)), strict=False):
        for ax in row[used:]:
            ax.axis("off")
    style.key(figure, [*sets, *([style.REFERENCE] if models else [])])
    style.save(figure, path)


def _areas(ax: Axes, frame: pd.DataFrame, labels: list[str], sets: list[str]) -> None:
    """One line a label, one mark a set with its interval."""
    ax.axvline(0.5, color="#888888", linestyle="--", linewidth=1, zorder=0)
    for level, label in enumerate(labels):
        ax.axhline(level, color="#eeeeee", linewidth=1, zorder=0)
        for number, kind in enumerate(reversed(sets)):
            for row in frame[(frame["label"] == label) & (frame["set"] == kind)].itertuples(index=False):
                height = level + (number - (len(sets) - 1) / 2) * 0.09
                options = {"color": style.colour(kind), "zorder": 2 + number}
                ax.plot([row.ci_low, row.ci_high], [height, height], linewidth=1.4, **options)
                ax.plot(row.value, height, marker=style.marker(kind), markersize=5, **options)
    ax.set_yticks(range(len(labels)), ["all labels" if label == "all" else label for label in labels])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(min(0.45, frame["ci_low"].min() - 0.02), 1.01)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("area under the ROC curve (0.5: a coin)")


def _words(ax: Axes, words: pd.DataFrame) -> None:
    """A line a word, from its share in training to that in the generated set; what is lacking comes first."""
    words = words.assign(more=words["share"] - words["share_reference"]).sort_values("more", kind="stable")
    for level, row in enumerate(words.itertuples(index=False)):
        ax.axhline(level, color="#eeeeee", linewidth=1, zorder=0)
        ax.plot([row.share_reference, row.share], [level, level], color="#bbbbbb", linewidth=1.4, zorder=1)
        for kind, share in ((style.REFERENCE, row.share_reference), (style.GENERATED, row.share)):
            ax.plot(share, level, marker=style.marker(kind), color=style.colour(kind), markersize=6, zorder=2)
    ax.set_yticks(range(len(words)), words["kmer"], family="monospace")
    ax.set_ylim(len(words) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("share of sequences that hold it, on either strand")
