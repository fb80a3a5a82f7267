"""How often each motif and each family of motifs occurs, and for which label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from diffusion_bert.evaluation.intervals import sums
from diffusion_bert.evaluation.kmers import pearson
from diffusion_bert.evaluation.motif_families import Families
from diffusion_bert.evaluation.rows import Rows
from diffusion_bert.evaluation.scan import Scanner

METRICS = ("motif_rate_pearson", "motif_rate_spearman", "motif_rate_difference", "family_rate_pearson")


def of_families(hit: np.ndarray, families: Families) -> np.ndarray:
    """Whether any motif of each family is hit: bool (..., M) -> (..., F)."""
    order = np.argsort(families.of_motif, kind="stable")
    starts = np.searchsorted(families.of_motif[order], np.arange(len(families)))
    return np.logical_or.reduceat(hit[..., order], starts, axis=-1)


def add_rates(rows: Rows, label: str, name: str, hit: np.ndarray, theirs: np.ndarray, drawn: np.ndarray) -> None:
    """The metrics of single motifs.

    hit: (n, M). theirs: the reference's rates, (M,). drawn: numbers of sequences with a hit in each bootstrap sample,
    (draws, M).
    """
    n = len(hit)
    rate, replicates = hit.mean(axis=0), drawn / n
    note = "fewer than three motifs, or all rates are equal"
    rows.add("motif_rate_pearson", label, name, correlation(rate, theirs), pearson(replicates, theirs), n, note)
    ranks, of_draws = stats.rankdata(rate), stats.rankdata(replicates, axis=1)
    value = correlation(ranks, stats.rankdata(theirs))
    rows.add("motif_rate_spearman", label, name, value, pearson(of_draws, stats.rankdata(theirs)), n, note)
    difference = float(np.abs(rate - theirs).mean())
    rows.add("motif_rate_difference", label, name, difference, np.abs(replicates - theirs).mean(axis=1), n)


def add_family_rates(
    rows: Rows, label: str, name: str, hit: np.ndarray, theirs: np.ndarray, counts: np.ndarray
) -> None:
    """family_rate_pearson. hit: (n, F). theirs: the reference's rates, (F,). counts: bootstrap counts, (draws, n)."""
    n = len(hit)
    note = "fewer than three families of motifs, or all rates are equal"
    value = correlation(hit.mean(axis=0), theirs)
    rows.add("family_rate_pearson", label, name, value, pearson(sums(counts, hit) / n, theirs), n, note)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's; NaN of fewer than three numbers."""
    return float(pearson(x, y)) if len(x) >= 3 else float("nan")


def contrast(rates: np.ndarray) -> np.ndarray:
    """Rates (labels, ..., motifs) minus the mean rate of the other labels."""
    others = (rates.sum(axis=0, keepdims=True) - rates) / (len(rates) - 1)
    return rates - others


def named(scanners: Sequence[Scanner], families: Families) -> dict[str, list[str]]:
    """The columns that name a motif and its family, the family by its representative."""
    motifs = [scanner.motif for scanner in scanners]
    of_motif = [motifs[families.representative[family]] for family in families.of_motif]
    return {
        "matrix_id": [motif.matrix_id for motif in motifs],
        "name": [motif.name for motif in motifs],
        "family": [motif.matrix_id for motif in of_motif],
        "family_name": [motif.name for motif in of_motif],
    }


def rate_table(names: dict[str, list[str]], hit: np.ndarray, name: str, label: str) -> pd.DataFrame:
    """One row a motif. hit: (n, M)."""
    return pd.DataFrame({"set": name, "label": label, **names, "rate": hit.mean(axis=0), "n": len(hit)})


def family_table(
    scanners: Sequence[Scanner], families: Families, hit: np.ndarray, name: str, label: str
) -> pd.DataFrame:
    """One row a family. hit: (n, F)."""
    motifs = [scanners[row].motif for row in families.representative]
    return pd.DataFrame(
        {
            "set": name,
            "label": label,
            "family": [motif.matrix_id for motif in motifs],
            "family_name": [motif.name for motif in motifs],
            "members": np.bincount(families.of_motif, minlength=len(families)),
            "rate": hit.mean(axis=0),
            "n": len(hit),
        }
    )
