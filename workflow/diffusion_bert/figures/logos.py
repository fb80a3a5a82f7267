"""Sequence logos."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from diffusion_bert.figures import style

Matrix = Mapping[str, Sequence[float]]


def draw_logo(ax: Axes, matrix: Matrix, left: int = 0) -> None:
    """A sequence logo in bits (Schneider and Stephens 1990, without the small-sample correction).

    matrix: counts or frequencies of A, C, G and T by position. left: where its first column stands, in columns.
    """
    counts = np.array([matrix[base] for base in "ACGT"], dtype=float)
    frequency = counts / counts.sum(axis=0)
    bits = 2.0 + (frequency * np.log2(np.clip(frequency, 1e-9, 1))).sum(axis=0)
    for column in range(frequency.shape[1]):
        floor = 0.0
        for base in np.argsort(frequency[:, column], kind="stable"):
            height = frequency[base, column] * bits[column]
            if height >= 0.02:
                ax.add_patch(_letter("ACGT"[base], left + column, floor, height))
            floor += height
    ax.set_xlim(left, left + max(frequency.shape[1], 8))
    ax.set_ylim(0, 2)
    ax.axis("off")


def turned(matrix: Matrix) -> dict[str, list[float]]:
    """The reverse complement."""
    return {base: list(matrix[other])[::-1] for base, other in zip("ACGT", "TGCA", strict=True)}


def _letter(base: str, left: float, floor: float, height: float) -> PathPatch:
    glyph = TextPath((0, 0), base, size=1, prop={"family": "DejaVu Sans", "weight": "bold"})
    box = glyph.get_extents()
    place = (
        Affine2D()
        .translate(-box.x0, -box.y0)
        .scale(0.94 / box.width, height / box.height)
        .translate(left + 0.03, floor)
    )
    return PathPatch(place.transform_path(glyph), color=style.BASES[base], linewidth=0)
