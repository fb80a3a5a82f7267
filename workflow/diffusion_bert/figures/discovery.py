"""Motifs discovered de novo: generated, real, and the known motif most like them, side by side."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style
from diffusion_bert.figures.logos import Matrix, draw_logo, turned

_MOST = 14  # rows
_ALIKE = 0.05  # q-value


@style.styled
def draw_discovery(discovered: pd.DataFrame, known: Mapping[str, Matrix], path: Path) -> None:
    """A row a motif, of all labels together: logos of the generated and of the training sequences' motif, with their
    shares, and of the known motif most like it.

    Those of the training sequences first, in order of their p-values, with the generated set's motif that is matched to
    each; then those that the generated set alone has. Logos of one row are aligned, on one strand.

    discovered: set, label, rank, consensus, share, share_shuffled, p_value, match_id, match_name, match_q_value,
    match_offset, match_strand, reference_rank, reference_offset, reference_strand, matrix (JSON). known: base counts of
    the known motifs by position.
    """
    rows = _rows(discovered[discovered["label"] == "all"])
    if not rows:
        style.say_nothing_to_draw(path, "No motif was discovered in the generated or in the training sequences.")
        return
    shown = rows[:_MOST]
    figure, axes = style.new_figure(len(shown), 3, 9.6, 0.6 + 1.05 * len(shown))
    heads = {0: style.GENERATED, 1: style.REFERENCE}
    for column in range(3):
        name = heads.get(column)
        figure_title = style.title(name) if name else "known motif most like it"
        axes[0, column].annotate(
            figure_title,
            (0, 1),
            xytext=(0, 22),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=11,
            fontweight="bold",
            color=style.colour(name) if name else "#222222",
        )
    for line, (generated, real, held) in zip(axes, shown, strict=True):
        anchor = generated if real is None else real
        placed = [(None, 0)] * 3
        if generated is not None:
            moved = (0, "+") if real is None else (generated["reference_offset"], generated["reference_strand"])
            placed[0] = _placed(json.loads(generated["matrix"]), *moved)
        if real is not None:
            placed[1] = _placed(json.loads(real["matrix"]), 0, "+")
        alike = pd.notna(anchor["match_q_value"]) and anchor["match_q_value"] < _ALIKE and anchor["match_id"] in known
        if alike:
            placed[2] = _placed(known[anchor["match_id"]], anchor["match_offset"], anchor["match_strand"])
        texts = [
            "not discovered" if generated is None else f"{_percent(generated['share'])}, {_chance(generated)}",
            "not discovered" if real is None else _real(real, held),
            _named(anchor) if alike else "none is like it (q < 0.05)",
        ]
        for ax, (matrix, left), text in zip(line, placed, texts, strict=True):
            _draw(ax, matrix, left, text)
        own = [(left, left + len(matrix["A"])) for matrix, left in placed if matrix is not None]
        low, high = min(low for low, _ in own), max(high for _, high in own)
        for ax in line:
            ax.set_xlim(low, max(high, low + 12))
    style.save(figure, path)


def _rows(own: pd.DataFrame) -> list[tuple[dict | None, dict | None, dict | None]]:
    """Generated, training and held-out motif of each row; None where the set has none."""
    by_set = {name: part.sort_values("rank").to_dict("records") for name, part in own.groupby("set")}
    partner = {
        name: {one["reference_rank"]: one for one in by_set.get(name, []) if pd.notna(one["reference_rank"])}
        for name in (style.GENERATED, style.CEILING)
    }
    rows = [
        (partner[style.GENERATED].get(one["rank"]), one, partner[style.CEILING].get(one["rank"]))
        for one in by_set.get(style.REFERENCE, [])
    ]
    rest = [one for one in by_set.get(style.GENERATED, []) if pd.isna(one["reference_rank"])]
    return rows + [(one, None, None) for one in rest]


def _placed(matrix: Matrix, offset: float, strand: str) -> tuple[Matrix, int]:
    return (matrix if strand == "+" else turned(matrix)), int(offset)


def _draw(ax: Axes, matrix: Matrix | None, left: int, text: str) -> None:
    if matrix is None:
        ax.axis("off")
    else:
        draw_logo(ax, matrix, left)
    ax.set_title(text, fontsize=8.5, color="#222222" if matrix is not None else "#666666", pad=2)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _chance(row: Mapping) -> str:
    return f"{_percent(row['share_shuffled'])} of shuffles, p = {row['p_value']:.0e}"


def _real(real: Mapping, held: Mapping | None) -> str:
    also = "not in held-out" if held is None else f"{_percent(held['share'])} of held-out"
    return f"{_percent(real['share'])}, {also}, p = {real['p_value']:.0e}"


def _named(row: Mapping) -> str:
    name = row["match_name"] if row["match_name"] == row["match_id"] else f"{row['match_name']} ({row['match_id']})"
    return f"{name}, q = {row['match_q_value']:.0e}"
