"""Known motifs: how often each occurs, which are enriched, where they lie, which go together, and for which label.

The parts have files of their own: motif_rates, motif_enrichment, motif_places, motif_pairs; motif_families says which
matrices are one motif, scan finds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation import motif_enrichment, motif_pairs, motif_places, motif_rates
from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.kmers import pearson
from diffusion_bert.evaluation.motif_enrichment import Enrichment, enrichment
from diffusion_bert.evaluation.motif_families import Families, find_families
from diffusion_bert.evaluation.motif_hits import hits_table
from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.evaluation.motif_pairs import PairQuestion
from diffusion_bert.evaluation.rows import ALL, GENERATED, REFERENCE, Rows, compared, groups
from diffusion_bert.evaluation.scan import Scan, Scanner, base_composition, make_scanners
from diffusion_bert.seeds import derive_seed

SHOWN = 12  # of the most enriched motifs, how many the table of positions holds
FEWEST = 10

OF_TOP = ("motif_excess", *motif_places.METRICS)
METRICS = (*motif_rates.METRICS, "enriched_overlap", *OF_TOP, *motif_pairs.METRICS)


def motif_background(sets: pd.DataFrame, background: str = "reference") -> np.ndarray:
    """Shares of A, C, G, T, (4,): ``reference`` (base composition of the reference set, both strands) or ``uniform``.

    Raises UserError where it is another word.
    """
    if background not in ("reference", "uniform"):
        raise UserError(f"The motif background is {background!r}.", "Write reference or uniform.")
    reference = sets.loc[sets["set"] == REFERENCE, "sequence"].tolist()
    return base_composition(reference) if background == "reference" else np.full(4, 0.25)


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
    ``background`` (see motif_background). Every set is compared with the reference, and with its own dinucleotide
    shuffles for what is enriched in it. Excess, places and pairs rest on the reference's most enriched motifs, one a
    family (see most_enriched). Details, one row each:

    ``rates``: a set, label and motif, with its family: the share of sequences with a hit. ``families``: the same of
    families, a hit of any member. ``enrichment``: a label and motif, in the reference and in the generated set, over
    the shuffles of each. ``positions``: a set, label, enriched motif and position, hits a sequence whose middle lies
    in [position, position + 10) bp. ``pairs``: a set, label and pair of enriched motifs, how many sequences hold
    both. ``spacings``: a set, label, pair that keeps a distance, orientation and distance, how many were seen.
    ``hits``: BED6, the hits in the generated sequences of all motifs enriched there or in the reference, for whichever
    label.

    Cost: letters x motifs, twice (the shuffles), and bootstrap x sequences x motifs multiplications a set and label.
    Raises UserError where no motif is long enough, or the background is another word.
    """
    names = compared(sets)
    scanners = make_scanners(library, motif_background(sets, background), p_value)
    if not scanners:
        raise UserError(
            f"None of the {len(library)} motifs can reach p < {p_value:g} at one site: they are empty or too short.",
            "Give longer motifs or a larger p-value.",
        )
    search = _search(sets, scanners, seed)
    rows, draws = Rows(), Resamples(bootstrap, seed)
    details: dict[str, list] = {
        key: [] for key in ("rates", "families", "enrichment", "positions", "pairs", "spacings")
    }
    shown: set[int] = set()
    for label, members in groups(sets):
        theirs = members[REFERENCE]
        found = {name: search.enrichment(at) for name, at in members.items()}
        for name in (REFERENCE, GENERATED):
            shown.update(np.flatnonzero(found[name].found).tolist() if name in found else [])
        top = motif_enrichment.most_enriched(found[REFERENCE], search.families, search.scan, theirs)
        sites = search.scan.sites(top)
        pairs = PairQuestion(
            sites.where(np.isin(sites.sequence, np.concatenate(list(members.values())))), top, theirs, len(sets)
        )
        details["enrichment"].append(motif_enrichment.enrichment_table(search.names, scanners, found, label))
        for name, at in members.items():
            if len(at):
                details["rates"].append(motif_rates.rate_table(search.names, search.hit[at], name, label))
                details["families"].append(
                    motif_rates.family_table(scanners, search.families, search.of_family[at], name, label)
                )
                details["positions"].append(
                    motif_places.place_table(sites, scanners, top[:SHOWN], at, len(sets), name, label)
                )
                details["pairs"].append(pairs.pair_table(scanners, at, name, label))
                details["spacings"].append(pairs.spacing_table(scanners, at, name, label))
        places = motif_places.binned(sites, theirs, len(sets)).sum(axis=0)
        for name in names:
            at = members[name]
            if min(len(at), len(theirs)) < FEWEST:
                for metric in METRICS:
                    rows.missing(metric, label, name, len(at), f"fewer than {FEWEST} sequences")
                continue
            counts = draws(len(at), label)
            drawn, by_chance = sums(counts, search.hit[at]), sums(counts, search.shuffled[at])
            motif_rates.add_rates(rows, label, name, search.hit[at], search.hit[theirs].mean(axis=0), drawn)
            motif_rates.add_family_rates(
                rows, label, name, search.of_family[at], search.of_family[theirs].mean(axis=0), counts
            )
            motif_enrichment.add_overlap(
                rows, label, name, found[name], found[REFERENCE], search.families, drawn, by_chance
            )
            if len(top) == 0:
                for metric in (*OF_TOP, *motif_pairs.METRICS):
                    why = "no motif is enriched in the reference over its shuffles"
                    rows.missing(metric, label, name, len(at), why)
                continue
            motif_enrichment.add_excess(
                rows, label, name, search.hit[np.ix_(at, top)].sum(axis=1),
                float(search.hit[np.ix_(theirs, top)].sum(axis=1).mean()),
                float(search.shuffled[np.ix_(theirs, top)].sum(axis=1).mean()), counts,
            )  # fmt: skip
            motif_places.add_places(rows, label, name, motif_places.binned(sites, at, len(sets)), places, counts)
            pairs.add(rows, label, name, at, counts)
    _add_contrasts(rows, sets, names, search.hit, draws)
    tables = {key: pd.concat(parts, ignore_index=True) for key, parts in details.items()}
    hits = search.scan.sites(sorted(shown))
    generated = (sets["set"] == GENERATED).to_numpy()
    tables["hits"] = hits_table(hits.where(generated[hits.sequence]), scanners, sets["name"].tolist())
    return rows.frame(), tables


@dataclass(frozen=True)
class _Search:
    """The scan of all N sequences by M motifs of F families. hit, shuffled: whether a sequence, and its shuffle, has a
    hit, (N, M); of_family: whether any member of a family has one, (N, F). names: columns that name the motifs."""

    scan: Scan
    hit: np.ndarray
    shuffled: np.ndarray
    of_family: np.ndarray
    families: Families
    names: dict[str, list[str]]

    def enrichment(self, at: np.ndarray) -> Enrichment:
        """Of the motifs in these sequences, over their shuffles."""
        return enrichment(self.hit[at].sum(axis=0), self.shuffled[at].sum(axis=0), len(at))


def _search(sets: pd.DataFrame, scanners: Sequence[Scanner], seed: int) -> _Search:
    families = find_families([scanner.motif for scanner in scanners])
    sequences = sets["sequence"].tolist()
    scan = Scan(sequences, scanners)
    shuffles = [""] * len(sequences)
    # Set by set, so that a set's shuffles do not hang on which others there are.
    for name, rows in sets.groupby("set", sort=False).indices.items():
        made = dinucleotide_shuffle([sequences[row] for row in rows], seed=derive_seed(seed, "shuffles", name))
        for row, shuffle in zip(rows, made, strict=True):
            shuffles[row] = shuffle
    return _Search(
        scan=scan,
        hit=scan.any_hit,
        shuffled=Scan(shuffles, scanners).any_hit,
        of_family=motif_rates.of_families(scan.any_hit, families),
        families=families,
        names=motif_rates.named(scanners, families),
    )


def _add_contrasts(rows: Rows, sets: pd.DataFrame, names: list[str], hits: np.ndarray, draws: Resamples) -> None:
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
    theirs = motif_rates.contrast(np.stack([hits[members[label][REFERENCE]].mean(axis=0) for label in labels]))
    for name in names:
        hit = [hits[members[label][name]] for label in labels]
        own = motif_rates.contrast(np.stack([one.mean(axis=0) for one in hit]))
        drawn = [sums(draws(len(one), label), one) / len(one) for one, label in zip(hit, labels, strict=True)]
        drawn = motif_rates.contrast(np.stack(drawn))
        note = "the rates do not differ between labels"
        rows.add(metric, ALL, name, motif_rates.correlation(own.ravel(), theirs.ravel()),
                 pearson(np.moveaxis(drawn, 0, 1).reshape(drawn.shape[1], -1), theirs.ravel()),
                 sum(map(len, hit)), note)  # fmt: skip
        for i, label in enumerate(labels):
            value = motif_rates.correlation(own[i], theirs[i])
            rows.add(metric, label, name, value, pearson(drawn[i], theirs[i]), len(hit[i]), note)
