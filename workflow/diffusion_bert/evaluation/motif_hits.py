"""Motif hits as a BED file, for genome browsers and bedtools."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.scan import GRID, Scanner, Sites
from diffusion_bert.tables import written_beside


def hits_table(sites: Sites, scanners: Sequence[Scanner], names: Sequence[str]) -> pd.DataFrame:
    """The hits as BED6 (https://samtools.github.io/hts-specs/BEDv1.pdf), sorted by sequence, start and motif.

    chrom: the sequence's name. start, end: bp, 0-based half-open. name: ``matrix_id:name``. score: how far the hit
    lies above the motif's threshold, 0, towards its best possible site, 1000, in bits; 1000 for a motif whose
    threshold is its best site. names: of all sequences that the sites' row numbers refer to.
    """
    order = np.lexsort((sites.strand, sites.motif, sites.start, sites.sequence))
    sites = sites.where(order)
    least = np.array([scanner.threshold / GRID for scanner in scanners])
    best = np.array([scanner.scores.max(axis=0).sum() / GRID for scanner in scanners])
    called = np.array(["_".join(f"{scanner.motif.matrix_id}:{scanner.motif.name}".split()) for scanner in scanners])
    span = (best - least)[sites.motif]
    share = np.where(span > 0, (sites.score - least[sites.motif]) / np.where(span > 0, span, 1), 1)
    return pd.DataFrame(
        {
            "chrom": np.asarray(names, dtype=object)[sites.sequence],
            "start": sites.start,
            "end": sites.start + sites.width,
            "name": called[sites.motif],
            "score": np.rint(1000 * np.clip(share, 0, 1)).astype(np.int64),
            "strand": np.where(sites.strand > 0, "+", "-"),
        }
    )


def write_hits(hits: pd.DataFrame, path: str | Path) -> None:
    """Write BED6, atomically: tab-separated, without a header."""
    with written_beside(path) as part:
        hits.to_csv(part, sep="\t", index=False, header=False)
