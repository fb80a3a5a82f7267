"""Known motifs: how often each occurs, which are enriched, where in the window they lie, and for which label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.kmers import js_divergence, pearson
from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.evaluation.rows import ALL, REFERENCE, Rows, compared, groups
from diffusion_bert.evaluation.scan import GRID, Scanner, Target, base_composition, make_scanners

TOP = 25  # the most enriched motifs that excess, place and centring rest on
SHOWN = 12  # of these, how many the table of positions holds
FDR = 0.05
BINS = 10
STEP = 10  # bp, of the table of positions
FEWEST = 10

RATE_METRICS = ("motif_rate_pearson", "motif_rate_spearman", "motif_rate_difference")
ENRICHED_METRICS = ("motif_excess", "motif_position_divergence", "motif_centring")


@dataclass(frozen=True)
class Scan:
    """What was found in N sequences by M motifs.

    any_hit: (N, M) whether a sequence has a hit. The hits, one entry each: motif and sequence (row numbers), middle
    (bp), and place, the middle as a share of the sequence's length.
    """

    any_hit: np.ndarray
    motif: np.ndarray
    sequence: np.ndarray
    middle: np.ndarray
    place: np.ndarray


def scan_all(sequences: Sequence[str], scanners: Sequence[Scanner]) -> Scan:
    """Every hit of every motif on both strands. Cost: letters x motifs."""
    target = Target(sequences)
    any_hit = np.zeros((len(sequences), len(scanners)), dtype=bool)
    found = []
    for number, scanner in enumerate(scanners):
        hits = target.scan(scanner)
        any_hit[hits.sequence, number] = True
        found.append((hits.sequence, hits.start + scanner.motif.width / 2))
    sequence = np.concatenate([one for one, _ in found]).astype(np.int64)
    middle = np.concatenate([one for _, one in found])
    motif = np.repeat(np.arange(len(scanners)), [len(one) for one, _ in found])
    return Scan(any_hit, motif, sequence, middle, middle / np.maximum(target.lengths[sequence], 1))


def enrichment(observed: np.ndarray, shuffled: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Is a motif in more of n sequences than of their n shuffles? One-sided Fisher test and false discovery rate.

    observed, shuffled: numbers of sequences with a hit, (M,). Returns p-values and Benjamini-Hochberg q-values, (M,).
    """
    p = stats.hypergeom.sf(observed - 1, 2 * n, observed + shuffled, n)
    return p, stats.false_discovery_control(np.clip(p, 0, 1), method="bh")


def evaluate_motifs(
    sets: pd.DataFrame,
    library: Sequence[Motif],
    *,
    p_value: float = 1e-4,
    background: str = "reference",
    bootstrap: int,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The motif metrics of each set, label by label.

    sets: SETS frame. library: motifs of motif_library. p_value: threshold of a hit at one site, exact under the
    ``background``: ``reference`` (base composition of the reference set, both strands) or ``uniform``.
    Details: ``rates`` (set, label, matrix_id, name, rate, n), rate being the share of sequences with a hit;
    ``positions`` (set, label, matrix_id, name, position, rate), hits a sequence whose middle lies in
    [position, position + 10) bp, of the most enriched motifs; ``enrichment``, one row a label and motif.
    Raises UserError where no motif is long enough, or the background is another word.
    """
    names = compared(sets)
    sequences = sets["sequence"].tolist()
    reference = [sequences[row] for row in np.flatnonzero((sets["set"] == REFERENCE).to_numpy())]
    if background not in ("reference", "uniform"):
        raise UserError(f"The motif background is {background!r}.", "Write reference or uniform.")
    shares = base_composition(reference) if background == "reference" else np.full(4, 0.25)
    scanners = make_scanners(library, shares, p_value)
    if not scanners:
        raise UserError(
            f"None of the {len(library)} motifs can reach p < {p_value:g} at one site: they are empty or too short.",
            "Give longer motifs or a larger p-value.",
        )
    shuffles = dinucleotide_shuffle(reference, seed=seed)
    scan = scan_all([*sequences, *shuffles], scanners)
    of_reference = {row: i for i, row in enumerate(np.flatnonzero((sets["set"] == REFERENCE).to_numpy()).tolist())}
    rows, draws = Rows(), Resamples(bootstrap, seed)
    details: dict[str, list] = {"rates": [], "positions": [], "enrichment": []}
    for label, members in groups(sets):
        theirs = members[REFERENCE]
        shuffled = np.array([len(sequences) + of_reference[row] for row in theirs.tolist()], dtype=np.int64)
        table, top = _enriched(scan, scanners, theirs, shuffled, label)
        details["enrichment"].append(table)
        for name, at in members.items():
            if len(at):
                details["rates"].append(_rates(scan, scanners, at, name, label))
                details["positions"].append(_positions(scan, scanners, at, top[:SHOWN], name, label))
        for name in names:
            at = members[name]
            if min(len(at), len(theirs)) < FEWEST:
                for metric in (*RATE_METRICS, *ENRICHED_METRICS):
                    rows.missing(metric, label, name, len(at), f"fewer than {FEWEST} sequences")
                continue
            counts = draws(len(at), label)
            _add_rates(rows, label, name, scan.any_hit[at], scan.any_hit[theirs].mean(axis=0), counts)
            _add_enriched(rows, label, name, scan, at, theirs, shuffled, top, counts)
    _add_contrasts(rows, sets, names, scan, draws)
    return rows.frame(), {key: pd.concat(parts, ignore_index=True) for key, parts in details.items()}


def _add_rates(rows: Rows, label: str, name: str, hit: np.ndarray, theirs: np.ndarray, counts: np.ndarray) -> None:
    n = len(hit)
    rate, replicates = hit.mean(axis=0), sums(counts, hit) / n
    note = "fewer than three motifs, or all rates are equal"
    rows.add("motif_rate_pearson", label, name, _correlation(rate, theirs), pearson(replicates, theirs), n, note)
    ranks, drawn = stats.rankdata(rate), stats.rankdata(replicates, axis=1)
    value = _correlation(ranks, stats.rankdata(theirs))
    rows.add("motif_rate_spearman", label, name, value, pearson(drawn, stats.rankdata(theirs)), n, note)
    difference = float(np.abs(rate - theirs).mean())
    rows.add("motif_rate_difference", label, name, difference, np.abs(replicates - theirs).mean(axis=1), n)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(pearson(x, y)) if len(x) >= 3 else float("nan")


def _add_enriched(
    rows: Rows,
    label: str,
    name: str,
    scan: Scan,
    at: np.ndarray,
    theirs: np.ndarray,
    shuffled: np.ndarray,
    top: np.ndarray,
    counts: np.ndarray,
) -> None:
    n = len(at)
    if len(top) == 0:
        for metric in ENRICHED_METRICS:
            rows.missing(metric, label, name, n, "no motif is enriched in the reference over its shuffles")
        return
    hits = [scan.any_hit[where][:, top].sum(axis=1).astype(np.float64) for where in (at, theirs, shuffled)]
    base, full = hits[2].mean(), hits[1].mean()
    replicates = (sums(counts, hits[0]) / n - base) / (full - base)
    rows.add("motif_excess", label, name, float((hits[0].mean() - base) / (full - base)), replicates, n)
    own, reference = _binned(scan, at, top), _binned(scan, theirs, top)
    total, drawn = own.sum(axis=0), sums(counts, own)
    note = "the set has no hit of the enriched motifs"
    value = float(js_divergence(total, reference.sum(axis=0)))
    divergences = js_divergence(drawn, reference.sum(axis=0))
    rows.add("motif_position_divergence", label, name, value, divergences, n, note)
    middle = slice(BINS // 2 - 1, BINS // 2 + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = total[middle].sum() / total.sum()
        replicates = drawn[:, middle].sum(axis=1) / drawn.sum(axis=1)
    rows.add("motif_centring", label, name, float(centred), replicates, n, note)


def _add_contrasts(rows: Rows, sets: pd.DataFrame, names: list[str], scan: Scan, draws: Resamples) -> None:
    """motif_contrast_pearson: of each label, and of all labels together (bootstrap within labels)."""
    metric = "motif_contrast_pearson"
    parts = list(groups(sets))
    labels = [label for label, members in parts[1:] if min(map(len, members.values())) >= FEWEST]
    members = dict(parts)
    if len(labels) < 2:
        for name in names:
            n = len(members[ALL][name])
            rows.missing(metric, ALL, name, n, f"fewer than two labels with {FEWEST} sequences")
        return
    theirs = _contrast(np.stack([scan.any_hit[members[label][REFERENCE]].mean(axis=0) for label in labels]))
    for name in names:
        hit = [scan.any_hit[members[label][name]] for label in labels]
        own = _contrast(np.stack([one.mean(axis=0) for one in hit]))
        drawn = [sums(draws(len(one), label), one) / len(one) for one, label in zip(hit, labels, strict=True)]
        drawn = _contrast(np.stack(drawn))
        note = "the rates do not differ between labels"
        rows.add(metric, ALL, name, _correlation(own.ravel(), theirs.ravel()),
                 pearson(np.moveaxis(drawn, 0, 1).reshape(drawn.shape[1], -1), theirs.ravel()),
                 sum(map(len, hit)), note)  # fmt: skip
        for i, label in enumerate(labels):
            value = _correlation(own[i], theirs[i])
            rows.add(metric, label, name, value, pearson(drawn[i], theirs[i]), len(hit[i]), note)


def _contrast(rates: np.ndarray) -> np.ndarray:
    """Rates (labels, ..., motifs) minus the mean rate of the other labels."""
    others = (rates.sum(axis=0, keepdims=True) - rates) / (len(rates) - 1)
    return rates - others


def _enriched(
    scan: Scan, scanners: Sequence[Scanner], reference: np.ndarray, shuffled: np.ndarray, label: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of enrichment, most enriched first, and the row numbers of the (at most TOP) enriched motifs."""
    n = len(reference)
    observed, by_chance = scan.any_hit[reference].sum(axis=0), scan.any_hit[shuffled].sum(axis=0)
    p, q = enrichment(observed, by_chance, n) if n else (np.ones(len(scanners)), np.ones(len(scanners)))
    order = np.lexsort((by_chance - observed, p))
    table = pd.DataFrame(
        {
            "label": label,
            "matrix_id": [scanner.motif.matrix_id for scanner in scanners],
            "name": [scanner.motif.name for scanner in scanners],
            "width": [scanner.motif.width for scanner in scanners],
            "threshold_bits": [scanner.threshold / GRID for scanner in scanners],
            "site_p_value": [scanner.p_value for scanner in scanners],
            "rate_reference": observed / max(n, 1),
            "rate_shuffled": by_chance / max(n, 1),
            "p_value": p,
            "q_value": q,
            "n": n,
        }
    )
    top = [number for number in order if q[number] < FDR and observed[number] > by_chance[number]]
    return table.iloc[order], np.array(top[:TOP], dtype=np.int64)


def _binned(scan: Scan, at: np.ndarray, motifs: np.ndarray) -> np.ndarray:
    """Hits of these motifs in each sequence by tenths of its length: (len(at), BINS)."""
    row_of = np.full(len(scan.any_hit), -1)
    row_of[at] = np.arange(len(at))
    kept = (row_of[scan.sequence] >= 0) & np.isin(scan.motif, motifs)
    tenth = np.minimum((scan.place[kept] * BINS).astype(np.int64), BINS - 1)
    return np.bincount(row_of[scan.sequence[kept]] * BINS + tenth, minlength=len(at) * BINS).reshape(len(at), BINS)


def _rates(scan: Scan, scanners: Sequence[Scanner], at: np.ndarray, name: str, label: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "set": name,
            "label": label,
            "matrix_id": [scanner.motif.matrix_id for scanner in scanners],
            "name": [scanner.motif.name for scanner in scanners],
            "rate": scan.any_hit[at].mean(axis=0),
            "n": len(at),
        }
    )


def _positions(
    scan: Scan, scanners: Sequence[Scanner], at: np.ndarray, motifs: np.ndarray, name: str, label: str
) -> pd.DataFrame:
    inside = np.isin(scan.sequence, at)
    longest = scan.middle.max(initial=0)
    edges = np.arange(0, int(longest) // STEP + 1) * STEP
    frames = []
    for number in motifs:
        middle = scan.middle[inside & (scan.motif == number)]
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
