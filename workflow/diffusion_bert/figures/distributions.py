"""Distributions over sequences: composition, likeness to training sequences, likelihood."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from diffusion_bert.figures import style


@style.styled
def draw_composition(sequences: pd.DataFrame, positions: pd.DataFrame, path: Path) -> None:
    """GC of each sequence by set, for each label, and G+C along the window.

    sequences: set, label, gc (share), one row a sequence. positions: set, label, position (bp), A, C, G, T (shares).
    """
    sequences = sequences.dropna(subset=["gc"])
    if sequences.empty:
        style.say_nothing_to_draw(path, "No sequence has an A, C, G or T.")
        return
    labels = style.labels_shown(sequences["label"])
    panels = ["all", *labels] if len(labels) > 1 else ["all"]
    columns = 4 if len(panels) in (4, 7, 8) or len(panels) > 9 else 3
    rows = -(-len(panels) // columns)
    figure, axes = style.new_figure(rows + 1, columns, 9.6, 2.3 * (rows + 1))
    sets = style.ordered(sequences["set"])
    for panel, ax in zip(panels, axes[:rows].flat, strict=False):
        frame = sequences if panel == "all" else sequences[sequences["label"] == panel]
        grid = np.linspace(0, 1, 201)
        for name in sets:
            values = frame.loc[frame["set"] == name, "gc"].to_numpy(float)
            if len(values):
                ax.plot(grid, smooth_density(values, grid), **_line(name))
        ax.set_title("all labels" if panel == "all" else panel)
        ax.set_xlim(*_range(frame["gc"]))
        ax.set_yticks([])
        ax.set_xlabel("GC of a sequence")
    for ax in axes[:rows].flat[len(panels) :]:
        ax.axis("off")
    # GC along the window: what a model that does not know positions gets wrong.
    grid = axes[rows, 0].get_gridspec()
    for ax in axes[rows]:
        ax.remove()
    ax = figure.add_subplot(grid[rows, :])
    for name in style.ordered(positions["set"]):
        frame = positions[positions["set"] == name]
        if (frame["label"] == "all").any():
            frame = frame[frame["label"] == "all"]
        profile = frame.groupby("position")[["C", "G"]].mean().sum(axis=1)
        smoothed = profile.rolling(9, center=True, min_periods=1).mean()
        ax.plot(smoothed.index, smoothed.to_numpy(), **_line(name))
    if positions.empty:
        ax.axis("off")
        ax.text(0, 0.5, "GC along the window is not drawn: the sequences differ in length.", color="#444444")
    else:
        ax.set_title("GC along the window, all labels (mean over 9 bp)")
        ax.set_xlabel("position in the window (bp)")
        ax.set_ylabel("GC")
    style.key(figure, sets)
    style.save(figure, path)


@style.styled
def draw_novelty(sequences: pd.DataFrame, path: Path) -> None:
    """How like its nearest training sequence each sequence is: identity, and longest shared substring.

    sequences: set, label, name, identity (fraction), longest_shared (bp).
    """
    figure, axes = style.new_figure(1, 2, 9.6, 3.2)
    sets = style.ordered(sequences["set"])
    left, right = axes[0]
    identity = sequences["identity"].to_numpy(float)
    low = np.floor(np.nanmin(identity, initial=1.0) * 20) / 20 if np.isfinite(identity).any() else 0.0
    _steps(left, sequences, "identity", np.linspace(min(low, 0.9), 1.0, 41), sets)
    left.set_title("identity with the nearest training sequence")
    left.set_xlabel("identity (1 = a copy)")
    longest = np.nanmax(sequences["longest_shared"].to_numpy(float), initial=10)
    # Real homologues reach far to the right; most of the mass is at the left, where it is compared.
    shown = max(20, np.nanquantile(sequences["longest_shared"].to_numpy(float), 0.995))
    edges = np.arange(0, shown + 2, max(1, round(shown / 40)))
    _steps(right, sequences, "longest_shared", edges, sets)
    right.set_title("longest substring shared with any training sequence")
    right.set_xlabel(f"bp (the longest of all: {longest:.0f})")
    for ax in (left, right):
        ax.set_ylabel("fraction of sequences")
    style.key(figure, sets)
    style.save(figure, path)


@style.styled
def draw_likelihood(sequences: pd.DataFrame, path: Path) -> None:
    """Bits a base that the model gives each sequence, by set.

    sequences: set, label, name, bits_per_base (an upper bound of -log2 p / length), standard_error.
    """
    frame = sequences.dropna(subset=["bits_per_base"])
    if frame.empty:
        style.say_nothing_to_draw(path, "No likelihood was computed.")
        return
    figure, axes = style.new_figure(1, 1, 9.6, 3.0)
    ax = axes[0, 0]
    low, high = _range(frame["bits_per_base"])
    grid = np.linspace(low, high, 301)
    sets = style.ordered(frame["set"])
    for name in sets:
        values = frame.loc[frame["set"] == name, "bits_per_base"].to_numpy(float)
        density = smooth_density(values, grid)
        ax.plot(grid, density, **_line(name))
        ax.plot(values.mean(), density.max() * 0.02, marker=style.marker(name), color=style.colour(name), markersize=6)
    ax.axvline(2.0, color="#888888", linestyle="--", linewidth=1)
    ax.text(2.0, 1, " 2.0: a uniform guess", transform=ax.get_xaxis_transform(), va="top", color="#555555", fontsize=8)
    ax.set_xlim(low, high)
    ax.set_yticks([])
    ax.set_xlabel("bits a base under the model (lower: more expected); markers at the means")
    style.key(figure, sets)
    style.save(figure, path)


def draw_densities(ax: Axes, frame: pd.DataFrame, column: str, sets: list[str]) -> None:
    """The density of the column's values, a curve a set, over where all but the outermost 2 in a thousand lie."""
    low, high = np.quantile(frame[column].to_numpy(float), [0.001, 0.999])
    margin = 0.08 * (high - low) or 0.5
    grid = np.linspace(low - margin, high + margin, 201)
    for name in sets:
        own = frame.loc[frame["set"] == name, column].to_numpy(float)
        if len(own):
            ax.plot(grid, smooth_density(own, grid), **_line(name))
    ax.set_xlim(grid[0], grid[-1])
    ax.set_ylim(bottom=0)
    ax.set_yticks([])


def smooth_density(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A Gaussian kernel density of the values on the grid, with Silverman's rule for the width.

    Values are (n,), the grid is (m,); at most 4,000 values are used, evenly through the sorted ones, to bound memory.
    """
    values = np.sort(values[np.isfinite(values)])
    if len(values) > 4000:
        values = values[np.linspace(0, len(values) - 1, 4000).round().astype(int)]
    spread = min(values.std(), (np.quantile(values, 0.75) - np.quantile(values, 0.25)) / 1.34) or values.std()
    width = max(0.9 * spread * len(values) ** -0.2, (grid[-1] - grid[0]) / len(grid))
    kernel = np.exp(-0.5 * ((grid[:, None] - values[None, :]) / width) ** 2)
    return kernel.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def _steps(ax, frame: pd.DataFrame, column: str, edges: np.ndarray, sets: list[str]) -> None:
    """Outlined histograms as fractions; what lies beyond the edges is counted in the outermost bins."""
    for name in sets:
        values = frame.loc[frame["set"] == name, column].dropna().to_numpy(float)
        if len(values):
            counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
            options = {**_line(name), "linestyle": "-" if name in (style.GENERATED, style.CEILING) else "--"}
            ax.stairs(counts / len(values), edges, **options)


def _line(name: str) -> dict:
    strong = name in (style.GENERATED, style.CEILING)
    return {
        "color": style.colour(name),
        "linestyle": style.line(name),
        "linewidth": 2.0 if strong else 1.1,
        "zorder": 3 if strong else 2,
    }


def _range(values: pd.Series) -> tuple[float, float]:
    """Where all but the outermost 2 in a thousand values lie, with a margin."""
    low, high = np.nanquantile(values.to_numpy(float), [0.001, 0.999])
    margin = 0.08 * (high - low) or 0.05
    return float(low - margin), float(high + margin)
