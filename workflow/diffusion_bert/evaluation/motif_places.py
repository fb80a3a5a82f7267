"""Where in the window the enriched motifs lie."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.intervals import sums
from diffusion_bert.evaluation.kmers import js_divergence
from diffusion_bert.evaluation.rows import Rows
from diffusion_bert.evaluation.scan import Scanner, Sites

METRICS = ("motif_position_divergence", "motif_centring")
BINS = 10
STEP = 10  # bp, of the table


def rows_of(at: np.ndarray, total: int) -> np.ndarray:
    """Of each of ``total`` sequences its place in ``at``, -1 where it is not there."""
    row_of = np.full(total, -1)
    row_of[at] = np.arange(len(at))
    return row_of


def binned(sites: Sites, at: np.ndarray, total: int) -> np.ndarray:
    """Hits in each of the sequences ``at`` by tenths of its length: (len(at), BINS)."""
    row = rows_of(at, total)[sites.sequence]
    tenth = np.minimum((sites.place * BINS).astype(np.int64), BINS - 1)
    flat = np.bincount((row * BINS + tenth)[row >= 0], minlength=len(at) * BINS)
    return flat.reshape(len(at), BINS)


def add_places(rows: Rows, label: str, name: str, own: np.ndarray, reference: np.ndarray, counts: np.ndarray) -> None:
    """own: hits by tenths, (n, BINS). reference: the same, summed over its sequences. counts: (draws, n)."""
    n, total, drawn = len(own), own.sum(axis=0), sums(counts, own)
    note = "the set has no hit of the enriched motifs"
    value = float(js_divergence(total, reference))
    rows.add("motif_position_divergence", label, name, value, js_divergence(drawn, reference), n, note)
    middle = slice(BINS // 2 - 1, BINS // 2 + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = total[middle].sum() / total.sum()
        replicates = drawn[:, middle].sum(axis=1) / drawn.sum(axis=1)
    rows.add("motif_centring", label, name, float(centred), replicates, n, note)


def place_table(
    sites: Sites, scanners: Sequence[Scanner], motifs: np.ndarray, at: np.ndarray, total: int, name: str, label: str
) -> pd.DataFrame:
    """One row a motif and position: hits a sequence whose middle lies in [position, position + 10) bp."""
    edges = np.arange(0, max(int(sites.length.max(initial=1)), 1), STEP)
    inside = rows_of(at, total)[sites.sequence] >= 0
    frames = []
    for number in motifs:
        middle = sites.middle[inside & (sites.motif == number)]
        hits = np.bincount((middle // STEP).astype(np.int64), minlength=len(edges))
        motif = scanners[number].motif
        frames.append(
            pd.DataFrame(
                {
                    "set": name,
                    "label": label,
                    "matrix_id": motif.matrix_id,
                    "name": motif.name,
                    "position": edges,
                    "rate": hits / len(at),
                }
            )
        )
    columns = ["set", "label", "matrix_id", "name", "position", "rate"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
