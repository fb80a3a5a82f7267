"""Recovery of a planted grammar: does a sequence hold its label's module, and is it put together as it was planted?

A module is its label's sites in their order, each on its strand, with a gap of so many bp between neighbours; it may
lie on either strand of the sequence where the grammar says so. A site is a hit of its motif at p < 1e-3 a position, a
threshold loose enough that most planted sites pass it: what the scan misses is missed in the ceiling too, and what it
finds by chance is found in the floors.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.letters import lengths_of, reverse_complement
from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.evaluation.rows import REFERENCE, Rows, compared, groups
from diffusion_bert.evaluation.scan import Target, base_composition, make_scanner

SITE_P_VALUE = 1e-3
BEYOND = 20  # bp beyond the widest planted gap that spacings are still counted
METRIC_NAMES = (
    "grammar_recovery",
    "grammar_sites",
    "grammar_syntax",
    "grammar_specificity",
    "grammar_spacing_distance",
)

# Hits of one motif as a map: {"+": (n, longest) whether a site starts here on this strand, "-": ...}.
Starts = dict[str, np.ndarray]


def read_grammar(path: str | Path) -> dict[str, Any]:
    """The grammar of grammar.json: ``motifs`` (matrix id -> name, counts) and ``labels`` (sites, spacing, strand).

    Raises UserError, with the key, where it has another form.
    """
    remedy = "Remove the file so that the simulation runs again, or give one of the form that docs/output.md states."
    try:
        grammar = json.loads(Path(path).read_text())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.", remedy) from error
    try:
        for matrix_id, motif in grammar["motifs"].items():
            if len({len(motif["counts"][base]) for base in "ACGT"}) != 1:
                raise UserError(f"{path}: motifs.{matrix_id}: A, C, G and T differ in their number of columns.", remedy)
        for label, module in grammar["labels"].items():
            low, high = module["spacing"]
            if not 0 <= low <= high or not module["sites"] or module["module_strand"] not in ("+", "either"):
                raise UserError(f"{path}: labels.{label}: sites, spacing or module_strand is not valid.", remedy)
            for site in module["sites"]:
                if site["matrix_id"] not in grammar["motifs"] or site["strand"] not in ("+", "-", "either"):
                    raise UserError(f"{path}: labels.{label}: a site has an unknown motif or strand.", remedy)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: something is missing or of another form: {error}.", remedy) from error
    return grammar


def evaluate_grammar(
    sets: pd.DataFrame, grammar: Mapping[str, Any], *, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The grammar metrics of each set, label by label.

    sets: SETS frame. grammar: see read_grammar. Sequences of a label that the grammar lacks (a generator without
    labels) are judged by whichever module they hold most of, and have no specificity. Details: ``modules``, one row a
    sequence of every set (set, label, name, sites: share of the module's motifs present anywhere, complete: 0 or 1,
    others: number of other labels' modules that are complete); ``spacings`` (set, label, gap in bp, count).
    """
    names = compared(sets)
    sequences = sets["sequence"].tolist()
    reference = sets.loc[sets["set"] == REFERENCE, "sequence"].tolist()
    found = _Found(sequences, grammar, base_composition(reference))
    labels, own = sets["label"].to_numpy(), {}
    modules = list(grammar["labels"])
    site_share = np.stack([found.sites(label) for label in modules], axis=1)
    complete = np.stack([found.complete(label) for label in modules], axis=1)
    column = np.array([modules.index(label) if label in modules else -1 for label in labels])
    most = np.where(column >= 0, column, np.lexsort((site_share, complete), axis=1)[:, -1])
    rows_of = np.arange(len(sets))
    own["sites"] = site_share[rows_of, most]
    own["complete"] = complete[rows_of, most].astype(np.float64)
    own["others"] = complete.sum(axis=1) - own["complete"]
    gaps = found.gaps(most)
    known, others = column >= 0, max(len(modules) - 1, 1)
    rows, draws = Rows(), Resamples(bootstrap, seed)
    for label, members in groups(sets):
        theirs = gaps[members[REFERENCE]].sum(axis=0)
        for name in names:
            at = members[name]
            n = len(at)
            if n == 0:
                for metric in METRIC_NAMES:
                    rows.missing(metric, label, name, 0, "no sequence")
                continue
            counts = draws(n, label)
            full, share = own["complete"][at], own["sites"][at]
            rows.add("grammar_recovery", label, name, float(full.mean()), sums(counts, full) / n, n)
            rows.add("grammar_sites", label, name, float(share.mean()), sums(counts, share) / n, n)
            _add_syntax(rows, label, name, full, share >= 1 - 1e-9, counts)
            if len(modules) < 2 or not known[at].all():
                rows.missing("grammar_specificity", label, name, n, "the grammar has no other label to tell apart")
            else:
                excess = full - own["others"][at] / others
                rows.add("grammar_specificity", label, name, float(excess.mean()), sums(counts, excess) / n, n)
            _add_spacing(rows, label, name, gaps[at], theirs, counts)
    details = {
        "modules": sets[["set", "label", "name"]].reset_index(drop=True).assign(**own),
        "spacings": _spacing_table(sets, gaps),
    }
    return rows.frame(), details


class _Found:
    """The sites of every motif of the grammar in the sequences and in their reverse complements."""

    def __init__(self, sequences: Sequence[str], grammar: Mapping[str, Any], background: np.ndarray):
        self._grammar = grammar
        self._n = len(sequences)
        self._longest = int(lengths_of(sequences).max(initial=0))
        targets = (Target(sequences), Target([reverse_complement(sequence) for sequence in sequences]))
        self._widths: dict[str, int] = {}
        self._starts: dict[str, tuple[Starts, Starts]] = {}
        for matrix_id, motif in grammar["motifs"].items():
            counts = np.array([motif["counts"][base] for base in "ACGT"], dtype=np.float64)
            scanner = make_scanner(Motif(matrix_id, motif["name"], counts), background, SITE_P_VALUE)
            if scanner is None:
                raise UserError(
                    f"The grammar's motif {matrix_id} is too short to be found at p < {SITE_P_VALUE:g}.",
                    "Plant motifs of five informative bases or more.",
                )
            self._widths[matrix_id] = counts.shape[1]
            self._starts[matrix_id] = tuple(self._map(target, scanner) for target in targets)

    def sites(self, label: str) -> np.ndarray:
        """Share of the label's motifs that a sequence holds anywhere, on either strand: (n,)."""
        present = [self._anywhere(site["matrix_id"]) for site in self._grammar["labels"][label]["sites"]]
        return np.mean(present, axis=0)

    def complete(self, label: str) -> np.ndarray:
        """Whether a sequence holds the whole module: bool (n,)."""
        module = self._grammar["labels"][label]
        low, high = module["spacing"]
        out = np.zeros(self._n, dtype=bool)
        for strand in self._strands(module):
            chain = None
            for site in reversed(module["sites"]):
                here = self._at(site, strand)
                if chain is not None:
                    width = self._widths[site["matrix_id"]]
                    here = here & np.any([_shifted(chain, width + gap) for gap in range(low, high + 1)], axis=0)
                chain = here
            out |= chain.any(axis=1)
        return out

    def gaps(self, module_of: np.ndarray) -> np.ndarray:
        """How often each gap (column: bp) lies between neighbouring sites of a sequence's module, in the planted order
        and on the planted strands; of each site the nearest follower counts. module_of: (n,) number of the label."""
        widest = max((module["spacing"][1] for module in self._grammar["labels"].values()), default=0) + BEYOND
        out = np.zeros((self._n, widest + 1))
        for number, module in enumerate(self._grammar["labels"].values()):
            mine = module_of == number
            for strand in self._strands(module):
                for site, following in zip(module["sites"], module["sites"][1:], strict=False):
                    left = self._at(site, strand) & mine[:, None]
                    right = self._at(following, strand)
                    for gap in range(module["spacing"][1] + BEYOND + 1):
                        met = left & _shifted(right, self._widths[site["matrix_id"]] + gap)
                        out[:, gap] += met.sum(axis=1)
                        left = left & ~met
        return out

    def _strands(self, module: Mapping[str, Any]) -> tuple[int, ...]:
        return (0, 1) if module["module_strand"] == "either" else (0,)

    def _at(self, site: Mapping[str, Any], strand: int) -> np.ndarray:
        starts = self._starts[site["matrix_id"]][strand]
        return starts["+"] | starts["-"] if site["strand"] == "either" else starts[site["strand"]]

    def _anywhere(self, matrix_id: str) -> np.ndarray:
        starts = self._starts[matrix_id][0]
        return (starts["+"] | starts["-"]).any(axis=1)

    def _map(self, target: Target, scanner: Any) -> Starts:
        hits = target.scan(scanner)
        out = {}
        for strand, sign in (("+", 1), ("-", -1)):
            starts = np.zeros((self._n, self._longest), dtype=bool)
            kept = hits.strand == sign
            starts[hits.sequence[kept], hits.start[kept]] = True
            out[strand] = starts
        return out


def _shifted(starts: np.ndarray, by: int) -> np.ndarray:
    """starts[:, i + by] at column i; False beyond the end."""
    out = np.zeros_like(starts)
    if by < starts.shape[1]:
        out[:, : starts.shape[1] - by] = starts[:, by:]
    return out


def _add_syntax(rows: Rows, label: str, name: str, full: np.ndarray, present: np.ndarray, counts: np.ndarray) -> None:
    if not present.any():
        rows.missing("grammar_syntax", label, name, len(full), "no sequence holds all motifs of its module")
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = sums(counts, full * present) / sums(counts, present)
    rows.add("grammar_syntax", label, name, float(full[present].mean()), replicates, int(present.sum()))


def _add_spacing(rows: Rows, label: str, name: str, gaps: np.ndarray, theirs: np.ndarray, counts: np.ndarray) -> None:
    """Wasserstein-1 on a grid of 1 bp: the summed difference of the distribution functions."""
    total = gaps.sum(axis=0)
    if total.sum() == 0 or theirs.sum() == 0:
        which = "set" if total.sum() == 0 else "reference"
        rows.missing("grammar_spacing_distance", label, name, len(gaps), f"no neighbouring sites in the {which}")
        return
    reference = np.cumsum(theirs) / theirs.sum()
    drawn = np.cumsum(sums(counts, gaps), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = np.abs(drawn / drawn[:, -1:] - reference).sum(axis=1)
    value = float(np.abs(np.cumsum(total) / total.sum() - reference).sum())
    rows.add("grammar_spacing_distance", label, name, value, replicates, len(gaps))


def _spacing_table(sets: pd.DataFrame, gaps: np.ndarray) -> pd.DataFrame:
    frames = []
    for label, members in groups(sets):
        for name, at in members.items():
            total = gaps[at].sum(axis=0).astype(np.int64)
            frames.append(pd.DataFrame({"set": name, "label": label, "gap": np.arange(len(total)), "count": total}))
    return pd.concat(frames, ignore_index=True)
