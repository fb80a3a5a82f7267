"""Which motifs a set of sequences holds in more than its own dinucleotide shuffles."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from diffusion_bert.evaluation.intervals import sums
from diffusion_bert.evaluation.motif_families import Families
from diffusion_bert.evaluation.motif_rates import of_families
from diffusion_bert.evaluation.rows import GENERATED, REFERENCE, Rows
from diffusion_bert.evaluation.scan import GRID, Scan, Scanner

FDR = 0.05
TOP = 25  # the most enriched motifs that excess, place and pairs rest on


@dataclass(frozen=True)
class Enrichment:
    """Of M motifs in n sequences and in as many shuffles of them.

    observed, shuffled: sequences and shuffles with a hit; p, q: p-values of Fisher's one-sided test and
    Benjamini-Hochberg false discovery rates, all (M,).
    """

    observed: np.ndarray
    shuffled: np.ndarray
    p: np.ndarray
    q: np.ndarray
    n: int

    @property
    def found(self) -> np.ndarray:
        """Whether a motif is enriched at a false discovery rate of 0.05, (M,)."""
        return self.q < FDR

    @property
    def order(self) -> np.ndarray:
        """Row numbers of the motifs, most enriched first."""
        return np.lexsort((self.shuffled - self.observed, self.p))


def enrichment(observed: np.ndarray, shuffled: np.ndarray, n: int) -> Enrichment:
    """Is a motif in more of n sequences than of their n shuffles?

    observed, shuffled: numbers of sequences with a hit, (M,).
    """
    p = fisher_greater(observed, shuffled, n)
    q = stats.false_discovery_control(p, method="bh") if len(p) else p
    return Enrichment(observed, shuffled, p, q, n)


def fisher_greater(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    """p-values of Fisher's exact test that a share is greater in a first n than in a second n (numbers of n each)."""
    return hypergeometric_tail(first, 2 * n, np.add(first, second), n)


def hypergeometric_tail(k: np.ndarray, size: np.ndarray, marked: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The chance that at least k of ``drawn`` balls are marked, drawn from ``size`` balls of which ``marked`` are.

    Whole numbers that broadcast; scipy's hypergeom.sf(k - 1, size, marked, drawn) takes one at a time, in ``drawn``
    steps. Here all go together, from k outwards as far as a term can be seen: about ten standard deviations, so the
    cost of a number grows with the root of its sample.
    """
    k, size, marked, drawn = np.broadcast_arrays(*(np.asarray(one, dtype=np.int64) for one in (k, size, marked, drawn)))
    upper = k * size > marked * drawn
    # Below the mean, the chance of the unmarked ones is summed instead: each sum runs away from the mean.
    least = np.where(upper, k, drawn - k + 1)
    marked = np.where(upper, marked, size - marked)
    lowest, highest = np.maximum(drawn + marked - size, 0), np.minimum(drawn, marked)
    at = np.clip(least, lowest, highest)
    log_chance = (_log_choose(marked, at) + _log_choose(size - marked, drawn - at) - _log_choose(size, drawn)).ravel()
    term = np.where((least > highest).ravel(), 0.0, np.exp(log_chance))
    tail = term.copy()
    at, size, marked, drawn = (one.ravel().astype(np.float64) for one in (at, size, marked, drawn))
    live = np.flatnonzero(term > 0)
    while len(live):
        i, of, among = at[live], marked[live], drawn[live]
        term[live] *= (of - i) * (among - i) / ((i + 1) * (size[live] - of - among + i + 1))
        at[live] += 1
        tail[live] += term[live]
        live = live[term[live] > 1e-17 * tail[live]]
    tail = tail.reshape(k.shape)
    return np.clip(np.where(upper, tail, 1 - tail), 0, 1)


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def enriched_in_resamples(whole: Enrichment, observed: np.ndarray, shuffled: np.ndarray) -> np.ndarray:
    """Which motifs are enriched in each bootstrap sample, at the p-value that was Benjamini and Hochberg's limit in the
    whole set.

    observed, shuffled: sequences and shuffles with a hit in each sample, whole numbers, (draws, M). Returns bool of
    the same shape. The limit is kept, so that the test is a number to reach, which is worked out once for every sum.
    """
    limit = FDR * max(int(whole.found.sum()), 1) / max(len(whole.p), 1)
    observed, both = observed.astype(np.int64), (observed + shuffled).astype(np.int64)
    sums, place = np.unique(both, return_inverse=True)
    return observed >= _least_enriched(sums, whole.n, limit)[place.reshape(both.shape)]


def _least_enriched(both: np.ndarray, n: int, limit: float) -> np.ndarray:
    """For each sum the least number of sequences with a hit whose p-value is at most the limit; one more than can be
    where none is. By bisection."""
    low, high = np.maximum(both - n, 0), np.minimum(both, n) + 1
    while (low < high).any():
        middle = (low + high) // 2
        reached = fisher_greater(middle, both - middle, n) <= limit
        high = np.where((low < high) & reached, middle, high)
        low = np.where((low < high) & ~reached, middle + 1, low)
    return low


def most_enriched(found: Enrichment, families: Families, scan: Scan, at: np.ndarray, most: int = TOP) -> np.ndarray:
    """The enriched motifs that are not the same one again, most enriched first: row numbers, at most ``most``.

    One a family, its most enriched member; and none of whose hits in the sequences ``at`` more than half are those of
    motifs before it (the middle of either lies within the other): a half site, a dimer, a part of a longer motif.
    """
    lengths = scan.lengths[at]
    offset = np.full(len(scan.lengths), -1)
    offset[at] = np.cumsum(lengths) - lengths
    covered, middles = (np.zeros(int(lengths.sum()) + 1, dtype=bool) for _ in range(2))
    passed: set[int] = set()
    chosen: list[int] = []
    for motif in found.order[found.found[found.order]].tolist():
        family = int(families.of_motif[motif])
        if family in passed:
            continue
        passed.add(family)
        sites = scan.sites([motif])
        sites = sites.where(offset[sites.sequence] >= 0)
        bases = (offset[sites.sequence] + sites.start)[:, None] + np.arange(sites.width[0])
        middle = bases[:, bases.shape[1] // 2]
        if (covered[middle] | middles[bases].any(axis=1)).mean() > 0.5:
            continue
        covered[bases], middles[middle] = True, True
        chosen.append(motif)
        if len(chosen) == most:
            break
    return np.array(chosen, dtype=np.int64)


def add_overlap(
    rows: Rows,
    label: str,
    name: str,
    own: Enrichment,
    reference: Enrichment,
    families: Families,
    observed: np.ndarray,
    shuffled: np.ndarray,
) -> None:
    """enriched_overlap: of the families with an enriched motif in set or reference, the share with one in both.

    observed, shuffled: sequences and shuffles with a hit in each bootstrap sample, (draws, M).
    """
    theirs = of_families(reference.found, families)
    samples = of_families(enriched_in_resamples(own, observed, shuffled), families)
    note = "no motif is enriched over shuffles, neither in the set nor in the reference"
    value = float(_jaccard(of_families(own.found, families), theirs))
    rows.add("enriched_overlap", label, name, value, _jaccard(samples, theirs), own.n, note)


def _jaccard(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (x & y).sum(axis=-1) / (x | y).sum(axis=-1)


def add_excess(
    rows: Rows, label: str, name: str, own: np.ndarray, reference: float, by_chance: float, counts: np.ndarray
) -> None:
    """motif_excess. own: how many of the enriched families each sequence holds, (n,). reference, by_chance: the means
    of the same in the reference and in its shuffles. counts: bootstrap counts, (draws, n)."""
    n, full = len(own), reference - by_chance
    rows.add("motif_excess", label, name, float((own.mean() - by_chance) / full),
             (sums(counts, own) / n - by_chance) / full, n)  # fmt: skip


def enrichment_table(
    names: Mapping[str, list[str]], scanners: list[Scanner], of_set: Mapping[str, Enrichment], label: str
) -> pd.DataFrame:
    """One row a motif, the most enriched in the reference first: its enrichment there and in the generated set."""
    columns = {
        "label": label,
        **names,
        "width": [scanner.motif.width for scanner in scanners],
        "threshold_bits": [scanner.threshold / GRID for scanner in scanners],
        "site_p_value": [scanner.p_value for scanner in scanners],
    }
    for name in (REFERENCE, GENERATED):
        found = of_set.get(name)
        columns |= {
            f"rate_{name}": None if found is None else found.observed / max(found.n, 1),
            f"rate_{name}_shuffled": None if found is None else found.shuffled / max(found.n, 1),
            f"p_value_{name}": None if found is None else found.p,
            f"q_value_{name}": None if found is None else found.q,
            f"n_{name}": None if found is None else found.n,
        }
    return pd.DataFrame(columns).iloc[of_set[REFERENCE].order]
