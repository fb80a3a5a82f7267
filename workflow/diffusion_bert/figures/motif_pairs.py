"""Pairs of motifs: which go together, generated against real, and how far apart and how turned the nearest ones are."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffusion_bert.figures import style

MOST = 6  # pairs that get a row
_NAMED = 5  # pairs that a scatter panel names
# How a pair is written: the arrow after a motif's name is its direction along the sequence.
_WRITTEN = {"++": "{}→ {}→", "+-": "{}→ ←{}", "-+": "←{} {}→"}


@style.styled
def draw_motif_pairs(pairs: pd.DataFrame, spacings: pd.DataFrame, path: Path) -> None:
    """Log odds of each pair of enriched motifs against training ones; below, the spacing of the most frequent pairs.

    pairs: set, label, first, first_name, second, second_name, log2_odds, compared. spacings: set, label, first,
    first_name, second, second_name, orientation, distance (start of the bin, bp), count, expected, n. Of all labels
    together.
    """
    pairs = pairs[(pairs["label"] == "all") & style.is_yes(pairs["compared"])]
    spacings = spacings[spacings["label"] == "all"]
    if pairs.empty and spacings.empty:
        style.say_nothing_to_draw(path, "No two enriched motifs occur together often enough to compare.")
        return
    shown = _most_frequent(spacings)
    top = 3.3 if len(pairs) else 0
    figure, _ = style.new_figure(1, 1, 9.6, max(top + 1.15 * len(shown) + 0.9, 2))
    figure.clear()
    heights = ([top] if top else []) + [1.15] * len(shown)
    grid = figure.add_gridspec(len(heights), 12, height_ratios=heights)
    if len(pairs):
        _draw_odds(figure, grid, pairs)
    for row, pair in enumerate(shown, start=len(heights) - len(shown)):
        _draw_spacing(figure, grid, row, spacings[_key(spacings) == pair])
    style.key(figure, set(pairs["set"]) | set(spacings["set"]))
    style.save(figure, path)


def _most_frequent(spacings: pd.DataFrame) -> list[str]:
    """The pairs of motifs that training sequences hold most often."""
    own = spacings[spacings["set"] == style.REFERENCE]
    counts = own.groupby(_key(own), sort=False)["count"].sum() if len(own) else pd.Series(dtype=int)
    return counts.sort_values(ascending=False, kind="stable").index[:MOST].tolist()


def _key(spacings: pd.DataFrame) -> pd.Series:
    """A pair whichever of the two comes first."""
    return pd.Series(
        ["|".join(sorted(pair)) for pair in zip(spacings["first"], spacings["second"], strict=True)],
        index=spacings.index,
        dtype="str",
    )


def _draw_odds(figure: Figure, grid, pairs: pd.DataFrame) -> None:
    wide = pairs.pivot_table(index=["first", "second"], columns="set", values="log2_odds", sort=False)
    names = pairs.drop_duplicates(["first", "second"]).set_index(["first", "second"])
    reference = wide[style.REFERENCE]
    floors = [
        name
        for name in style.ordered(wide.columns)
        if name not in (style.CEILING, style.GENERATED, style.REFERENCE, style.PEER)
    ]
    closest = max(floors, key=lambda name: _correlation(reference, wide[name]), default=None)
    span = np.abs(wide.to_numpy()).max() * 1.12
    for column, name in enumerate(name for name in (style.CEILING, style.GENERATED, closest) if name in wide):
        ax = figure.add_subplot(grid[0, 4 * column : 4 * column + 4])
        ax.axhline(0, color="#dddddd", linewidth=0.8)
        ax.axvline(0, color="#dddddd", linewidth=0.8)
        ax.plot([-span, span], [-span, span], color="#999999", linewidth=0.8)
        ax.plot(reference, wide[name], style.marker(name), color=style.colour(name), markersize=4.5, alpha=0.75,
                markeredgewidth=0)  # fmt: skip
        ax.set(xlim=(-span, span), ylim=(-span, span), aspect="equal", xlabel="log2 odds of a pair, training")
        if column == 0:
            ax.set_ylabel("log2 odds of a pair")
        kind = "closest floor: " if name == closest else ""
        ax.set_title(f"{kind}{style.title(name)}", color=style.colour(name))
        ax.text(0.04, 0.95, f"r = {_correlation(reference, wide[name]):.3f}", transform=ax.transAxes, va="top")
        _name_outliers(ax, reference, wide[name], names)


def _correlation(x: pd.Series, y: pd.Series) -> float:
    """Pearson's r; 0 where either does not vary or there are fewer than three."""
    return float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and x.std() and y.std() else 0.0


def _name_outliers(ax: Axes, x: pd.Series, y: pd.Series, names: pd.DataFrame) -> None:
    """Name the pairs furthest from the diagonal, by at least one bit, where there is room."""
    off = (y - x).abs()
    span = ax.get_xlim()[1] - ax.get_xlim()[0]
    taken: list[tuple[float, float]] = []
    for pair in off[off >= 1].nlargest(2 * _NAMED).index:
        place = (x[pair], y[pair])
        near = any(abs(place[0] - p[0]) < 0.4 * span and abs(place[1] - p[1]) < 0.06 * span for p in taken)
        if near or len(taken) == _NAMED:
            continue
        taken.append(place)
        left = place[0] > ax.get_xlim()[0] + 0.5 * span
        ax.annotate(f"{names.loc[pair, 'first_name']}, {names.loc[pair, 'second_name']}", place, fontsize=7,
                    xytext=(-4, 3) if left else (4, 3), textcoords="offset points", ha="right" if left else "left",
                    color="#222222")  # fmt: skip


def _draw_spacing(figure: Figure, grid, row: int, own: pd.DataFrame) -> None:
    """One pair: a panel each way the two can stand to each other."""
    ways = list(dict.fromkeys(zip(own["first"], own["second"], own["orientation"], strict=True)))
    scale = 100 / own["n"]
    own = own.assign(rate=own["count"] * scale, chance=own["expected"] * scale)
    highest = max(own["rate"].max(), own["chance"].max()) * 1.08
    step = own["distance"].sort_values().unique()
    width = step[1] - step[0] if len(step) > 1 else 5
    for column, (first, second, orientation) in enumerate(ways):
        ax = figure.add_subplot(grid[row, 3 * column : 3 * column + 3])
        part = own[(own["first"] == first) & (own["second"] == second) & (own["orientation"] == orientation)]
        real = part[part["set"] == style.REFERENCE].sort_values("distance")
        ax.fill_between(np.append(real["distance"], real["distance"].max() + width),
                        np.append(real["chance"], real["chance"].iloc[-1:]), step="post", color="#e3e3e0",
                        linewidth=0)  # fmt: skip
        for kind in style.ordered(part["set"]):
            profile = part[part["set"] == kind].sort_values("distance")
            strong = kind in (style.GENERATED, style.CEILING)
            ax.step(np.append(profile["distance"], profile["distance"].max() + width),
                    np.append(profile["rate"], profile["rate"].iloc[-1:]), where="post", color=style.colour(kind),
                    linestyle=style.line(kind), linewidth=1.8 if strong else 0.9)  # fmt: skip
        ax.set_ylim(0, highest or 1)
        ax.locator_params(axis="y", nbins=3)
        ax.set_title(_WRITTEN[orientation].format(*part.iloc[0][["first_name", "second_name"]]), fontsize=8, pad=4)
        if column:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("in 100\nsequences", fontsize=8)
        if row == grid.nrows - 1:
            ax.set_xlabel("bp between the middles", fontsize=8.5)
