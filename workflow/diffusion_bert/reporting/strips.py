"""One metric as one line: where generated sequences lie between ceiling and floors, as a small SVG without text.

Positions are percentages, so that a strip fits any width; what it shows also stands beside it in numbers.
"""

from html import escape

import numpy as np
import pandas as pd

from diffusion_bert.figures import style
from diffusion_bert.reporting.verdict import number

_HEIGHT = 26


def strip(rows: pd.DataFrame, title: str) -> str:
    """The SVG of one metric (EVALUATION rows of one label); "" where no set has a value."""
    rows = rows.dropna(subset=["value"]).drop_duplicates("set").set_index("set")
    if rows.empty:
        return ""
    bounds = rows[["value", "ci_low", "ci_high"]].to_numpy(float)
    low, high = np.nanmin(bounds), np.nanmax(bounds)
    width = (high - low) or abs(high) or 1.0
    low, high = low - 0.06 * width, high + 0.06 * width

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low)

    middle = _HEIGHT / 2
    parts = [f'<line x1="0%" x2="100%" y1="{middle}" y2="{middle}" stroke="#d5d5d5"/>']
    # Generated is drawn last, on top.
    for name in sorted(style.ordered(rows.index), key=lambda name: name == style.GENERATED):
        row = rows.loc[name]
        colour = style.colour(name)
        if pd.notna(row["ci_low"]) and pd.notna(row["ci_high"]):
            parts.append(
                f'<line x1="{at(row["ci_low"]):.2f}%" x2="{at(row["ci_high"]):.2f}%" y1="{middle}" y2="{middle}" '
                f'stroke="{colour}" stroke-width="{5 if name in (style.GENERATED, style.CEILING) else 3}" '
                'stroke-opacity=".35"/>'
            )
        parts.append(mark(name, f"{at(row['value']):.2f}%", middle))
    said = ", ".join(f"{style.title(name)} {number(rows.loc[name, 'value'])}" for name in style.ordered(rows.index))
    return (
        f'<svg class="strip" width="100%" height="{_HEIGHT}" role="img" aria-label="{escape(title)}: {escape(said)}">'
        f"{''.join(parts)}</svg>"
    )


def mark(name: str, x: str, y: float) -> str:
    """A set's mark at x (with its unit) and y, as SVG: shape and colour as in the figures."""
    shapes = {
        "o": '<circle r="5.2"/>',
        "D": '<path d="M0-6.2 6.2 0 0 6.2-6.2 0Z"/>',
        "s": '<path d="M-4.2-4.2h8.4v8.4h-8.4Z"/>',
        "^": '<path d="M0-5.2 5.2 4.2h-10.4Z"/>',
        "v": '<path d="M0 5.2-5.2-4.2h10.4Z"/>',
    }
    shape = shapes.get(style.marker(name), '<path d="M-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4Z"/>')
    # A nested svg is the one element whose place may be a percentage while its shape stays in pixels.
    return (
        f'<svg x="{x}" y="{y}" overflow="visible"><g fill="{style.colour(name)}" stroke="#fff" stroke-width=".8">'
        f"{shape}</g></svg>"
    )


def legend(names: list[str]) -> str:
    """The marks and their names, as HTML."""
    items = "".join(
        f'<li><svg width="14" height="14" aria-hidden="true">{mark(name, "7", 7)}</svg>{escape(style.title(name))}</li>'
        for name in style.ordered(names)
    )
    return f'<ul class="legend">{items}</ul>'
