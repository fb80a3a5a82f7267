"""What all figures share: the look of each set, the names that readers see, and SVG and PDF files with stable bytes."""

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from diffusion_bert.tables import written_beside

GENERATED, CEILING, REFERENCE = "generated", "ceiling", "reference"
PEER = "lstm"  # made by another learned generator: no floor

# Okabe-Ito colours (safe for colour-blind readers); markers differ too, so that a grey print still reads.
COLOURS = {
    GENERATED: "#c04a00",
    CEILING: "#00795a",
    REFERENCE: "#1a1a1a",
    PEER: "#1f5fa8",
    "dinucleotide_shuffle": "#5d6b78",
    "markov": "#7b5ea7",
    "uniform": "#9a8f7d",
}
MARKERS = {
    GENERATED: "o",
    CEILING: "D",
    REFERENCE: "*",
    PEER: "P",
    "dinucleotide_shuffle": "s",
    "markov": "^",
    "uniform": "v",
}
TITLES = {
    GENERATED: "generated",
    CEILING: "held-out real",
    REFERENCE: "training",
    PEER: "LSTM",
    "dinucleotide_shuffle": "dinucleotide shuffle",
    "markov": "Markov chain",
    "uniform": "uniform random",
}
LINES = {
    GENERATED: "-",
    CEILING: "-",
    REFERENCE: ":",
    PEER: (0, (7, 1.5)),
    "dinucleotide_shuffle": "--",
    "markov": "-.",
    "uniform": ":",
}
BASES = {"A": "#00795a", "C": "#1f5fa8", "G": "#b07800", "T": "#b3261e"}
# For models and samplers, which have no fixed meaning.
SERIES = ("#1f5fa8", "#c04a00", "#00795a", "#7b5ea7", "#8a6d00", "#a8326f", "#4a4a4a", "#2a8fa0")

_ORDER = [CEILING, GENERATED, REFERENCE, PEER, "dinucleotide_shuffle", "markov", "uniform"]
_FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "diffusion_bert",
    "pdf.fonttype": 42,  # letters as letters, which publishers ask for and editors can edit
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
    "figure.dpi": 100,
    "savefig.dpi": 150,
}


def colour(name: str) -> str:
    return COLOURS.get(name, "#6b6b6b")


def marker(name: str) -> str:
    return MARKERS.get(name, "P")


def line(name: str) -> str | tuple[float, tuple[float, ...]]:
    return LINES.get(name, "--")


def is_yes(column: pd.Series) -> pd.Series:
    """Which rows of a yes-or-no column say yes, however it was written (yes, True, 1)."""
    return column.astype(str).str.lower().isin(["yes", "true", "1", "1.0"])


def title(name: str) -> str:
    """What readers call a set."""
    return TITLES.get(name, name.replace("_", " "))


def ordered(names: Iterable[str]) -> list[str]:
    """The distinct sets, ceiling and generated first, then the reference, the known floors, and others by name."""
    return sorted(set(names), key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def labels_shown(labels: Iterable[str], most: int = 9) -> list[str]:
    """The labels to give a panel each (sorted, without "all"), at most ``most``."""
    return sorted({str(label) for label in labels} - {"all"})[:most]


def styled(draw: Callable) -> Callable:
    """Decorates a drawing function: all it draws is in the common style, and nothing of that style stays behind."""

    @functools.wraps(draw)
    def inside(*arguments, **options):
        with matplotlib.rc_context(_SETTINGS):
            return draw(*arguments, **options)

    return inside


def new_figure(rows: int, columns: int, width: float, height: float, **options) -> tuple[Figure, object]:
    """A figure of rows x columns axes (always a 2-D array), width x height inches."""
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **options)


def key(figure: Figure, names: Iterable[str], columns: int = 6) -> None:
    """One legend for the whole figure, above its panels."""
    handles = [
        plt.Line2D([], [], color=colour(n), marker=marker(n), linestyle=line(n), markersize=5, label=title(n))
        for n in ordered(names)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.4)


def say_nothing_to_draw(path: str | Path, reason: str) -> None:
    """A figure that says why there is none, so that a reader of the folder is not left wondering."""
    figure, axes = new_figure(1, 1, 6, 0.8)
    axes[0, 0].axis("off")
    axes[0, 0].text(0, 0.5, reason, va="center", color="#444444")
    save(figure, path)


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure as SVG to ``path``, and as PDF beside it; then close it.

    Atomically, with bytes that depend on the drawing alone: no date, no name of a program.
    """
    path = Path(path)
    with written_beside(path) as part:
        figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        # Layout was computed with the font that comes with matplotlib; readers see their system's own.
        svg = re.sub(r"(font(?:-family)?: *[^;\"]*?)'DejaVu Sans'", rf"\1{_FONTS}", part.read_text())
        part.write_text(svg)
    with written_beside(path.with_suffix(".pdf")) as part:
        figure.savefig(part, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    plt.close(figure)
