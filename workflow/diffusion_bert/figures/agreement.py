"""Agreement of two rates, item by item: k-mers and motifs, generated against real; logos and places of motifs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style
from diffusion_bert.figures.logos import draw_logo

# Above this many points a panel is an image inside the SVG: thousands of vector marks make a page slow.
_MOST_VECTOR_POINTS = 400


@style.styled
def draw_kmers(spectrum: pd.DataFrame, path: Path) -> None:
    """Frequency of each k-mer in held-out, generated and floor sequences, against that in training ones.

    Of the longest k whose k-mers were seen often enough to compare.

    spectrum: set, k, kmer, frequency (a fraction of all k-mers of that set and k).
    """
    k = _longest_counted(spectrum)
    wide = spectrum[spectrum["k"] == k].pivot_table(index="kmer", columns="set", values="frequency").fillna(0.0)
    _panels(wide, path, f"frequency of a {k}-mer", {})


def _longest_counted(spectrum: pd.DataFrame, least: int = 20) -> int:
    """The longest k whose k-mers were seen ``least`` times on average; shorter where a picture would be all noise.

    How often is read off the rarest one of the generated set, which was seen about once.
    """
    sizes = sorted(spectrum["k"].unique())
    own = spectrum[(spectrum["set"] == style.GENERATED) & (spectrum["frequency"] > 0)]
    total = 1 / own["frequency"].min() if len(own) else 0.0
    return int(max((k for k in sizes if total / 4**k >= least), default=sizes[0]))


@style.styled
def draw_motifs(
    rates: pd.DataFrame,
    positions: pd.DataFrame,
    path: Path,
    matrices: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> None:
    """Motif rates against training ones, then the top motifs one by one: logo, rate by set, place in the window.

    rates: set, label, matrix_id, name, rate (share of sequences with a
    hit), n. positions: set, label, matrix_id, name, position
    (start of the bin, bp), rate. matrices: base counts or frequencies by position, for the logos of those given.
    """
    rates = _over_labels(rates, ["set", "matrix_id", "name"])
    # By matrix, as one factor may have several.
    wide = rates.pivot_table(index="matrix_id", columns="set", values="rate").fillna(0.0)
    names = rates.drop_duplicates("matrix_id").set_index("matrix_id")["name"].to_dict()
    positions = _over_labels(positions, ["set", "matrix_id", "name", "position"])
    chosen = positions.drop_duplicates("matrix_id")[["matrix_id", "name"]].head(8).to_numpy().tolist()
    fill = _motif_rows(chosen, rates, positions, matrices or {})
    _panels(wide, path, "share of sequences with a hit", names, below=len(chosen), fill=fill)


def _over_labels(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows of all labels together; where the table has none, the mean over labels."""
    if (frame["label"] == "all").any():
        return frame[frame["label"] == "all"].drop(columns="label")
    return frame.groupby(keys, sort=False, as_index=False)["rate"].mean()


def _motif_rows(chosen: list, rates: pd.DataFrame, positions: pd.DataFrame, matrices: Mapping):
    """How to fill the rows under the scatter panels: one row a motif."""

    def fill(figure, grid, first_row: int) -> None:
        for offset, (matrix_id, name) in enumerate(chosen):
            row = first_row + offset
            ax = figure.add_subplot(grid[row, 0])
            if matrix_id in matrices:
                draw_logo(ax, matrices[matrix_id])
                ax.set_title(f"{name} ({matrix_id})" if name != matrix_id else name)
            else:
                ax.axis("off")
                ax.text(0, 0.5, f"{name}\n{matrix_id}" if name != matrix_id else name, transform=ax.transAxes)
            ax = figure.add_subplot(grid[row, 1])
            own = rates[rates["matrix_id"] == matrix_id]
            for level, kind in enumerate(reversed(style.ordered(own["set"]))):
                value = own.loc[own["set"] == kind, "rate"].mean()
                ax.plot([0, value], [level, level], color=style.colour(kind), linewidth=1)
                ax.plot(value, level, marker=style.marker(kind), color=style.colour(kind), markersize=5)
            ax.set_yticks([])
            ax.set_ylim(-0.7, own["set"].nunique() - 0.3)
            ax.set_xlim(0, max(own["rate"].max() * 1.1, 1e-3))
            if offset == 0:
                ax.set_title("share with a hit")
            ax = figure.add_subplot(grid[row, 2])
            own = positions[positions["matrix_id"] == matrix_id]
            for kind in style.ordered(own["set"]):
                profile = own[own["set"] == kind].sort_values("position")
                strong = kind in (style.GENERATED, style.CEILING)
                ax.step(
                    profile["position"],
                    profile["rate"],
                    where="post",
                    color=style.colour(kind),
                    linestyle=style.line(kind),
                    linewidth=1.8 if strong else 0.9,
                )
            ax.set_ylim(bottom=0)
            ax.set_yticks([])
            if offset == 0:
                ax.set_title("where in the window (bp)")

    return fill


def _panels(
    wide: pd.DataFrame, path: Path, quantity: str, names: Mapping[str, str], *, below: int = 0, fill=None
) -> None:
    """Three panels with the same axes: held-out, generated and the closest floor, each against training.

    wide: one row an item, one column a set. names: what readers call items, where not as in the index.
    below: how many rows ``fill(figure, grid, first_row)`` adds.
    """
    others = (style.CEILING, style.GENERATED, style.REFERENCE, style.PEER)
    floors = [name for name in style.ordered(wide.columns) if name not in others]
    reference = wide[style.REFERENCE]
    closest = max(floors, key=lambda name: _correlation(reference, wide[name]), default=None)
    shown = [name for name in (style.CEILING, style.GENERATED, closest) if name in wide]
    top = 4.2 if below else 3.5
    height = top + 0.95 * below
    figure, _ = style.new_figure(1, 1, 9.6, height)
    figure.clear()
    grid = figure.add_gridspec(1 + below, 3, height_ratios=[top] + [0.95] * below)
    positive = wide.to_numpy()[wide.to_numpy() > 0]
    smallest = positive.min() if len(positive) else 1e-6
    # Zero has no logarithm: such items lie on the edge of the panel.
    floor = smallest * 0.6
    limits = (floor * 0.8, max(wide.to_numpy().max() * 1.4, floor * 10))
    for column, name in enumerate(shown):
        ax = figure.add_subplot(grid[0, column])
        x, y = np.maximum(reference, floor), np.maximum(wide[name], floor)
        ax.plot(limits, limits, color="#999999", linewidth=0.8)
        ax.plot(
            x,
            y,
            ".",
            color=style.colour(name),
            markersize=3.5 if len(wide) > _MOST_VECTOR_POINTS else 6,
            alpha=0.5,
            markeredgewidth=0,
            rasterized=len(wide) > _MOST_VECTOR_POINTS,
        )
        ax.set(xscale="log", yscale="log", xlim=limits, ylim=limits, xlabel=f"{quantity}, training", aspect="equal")
        if column == 0:
            ax.set_ylabel(quantity)
        kind = "closest floor: " if name == closest else ""
        ax.set_title(f"{kind}{style.title(name)}", color=style.colour(name))
        ax.text(0.04, 0.95, f"r = {_correlation(reference, wide[name]):.3f}", transform=ax.transAxes, va="top")
        _name_outliers(ax, x, y, names)
    if fill is not None and below:
        fill(figure, grid, 1)
        style.key(figure, wide.columns)
    style.save(figure, path)


def _correlation(x: pd.Series, y: pd.Series) -> float:
    """Pearson's r; 0 where either does not vary."""
    return float(np.corrcoef(x, y)[0, 1]) if x.std() and y.std() else 0.0


def _name_outliers(ax: Axes, x: pd.Series, y: pd.Series, names: Mapping[str, str], most: int = 6) -> None:
    """Name the items whose two rates differ most, weighing the ratio by how common the item is."""
    ratio = np.log(y / x)
    weight = np.abs(ratio) * np.sqrt(np.maximum(x, y))
    chosen = weight[np.abs(ratio) > np.log(1.25)].nlargest(most).index
    span = np.log(ax.get_ylim()[1] / ax.get_ylim()[0])
    taken: list[tuple[float, float]] = []
    for name in chosen:
        place = (np.log(x[name]), np.log(y[name]))
        if any(abs(place[0] - p[0]) < span * 0.22 and abs(place[1] - p[1]) < span * 0.05 for p in taken):
            continue
        taken.append(place)
        above = ratio[name] > 0
        ax.annotate(
            names.get(name, name),
            (x[name], y[name]),
            xytext=(-3, 3) if above else (3, -3),
            textcoords="offset points",
            ha="right" if above and place[0] > np.log(ax.get_xlim()[0]) + 0.3 * span else "left",
            va="bottom" if above else "top",
            fontsize=7.5,
            color="#222222",
        )
