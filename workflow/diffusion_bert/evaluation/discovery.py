"""Motifs discovered in each set, nothing being given: are they those of the reference, and are they known ones?"""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.denovo import FEWEST, Discovered, as_motifs, discover
from diffusion_bert.evaluation.metrics.discovery import METRICS
from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.evaluation.motif_similarity import FDR, Comparer, pairs
from diffusion_bert.evaluation.rows import ALL, CEILING, GENERATED, REFERENCE, Rows, compared, groups
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import Columns, check

# One row a discovered motif. width: bp. sites: sequences with a site, of which matrix counts the best ones; share and
# share_shuffled: of the set's sequences, and of their shuffles. p_value: of sequences kept aside. match_*: the known
# motif most like it; offset: the column, from 0, at which that begins (below 0: before); strand: of the known motif.
# reference_rank: the motif of the reference, of the same label, that is matched to it, null where none is;
# reference_offset: the column of the reference's motif at which this one begins, on reference_strand. matrix: counts,
# {"A": [...], "C": [...], "G": [...], "T": [...]}.
DISCOVERED: Columns = {
    "set": "text",
    "label": "text",
    "rank": "int",
    "consensus": "text",
    "width": "int",
    "sites": "int",
    "share": "float",
    "share_shuffled": "float",
    "p_value": "float",
    "match_id": "text?",
    "match_name": "text?",
    "match_q_value": "float?",
    "match_offset": "int?",
    "match_strand": "text?",
    "reference_rank": "int?",
    "reference_offset": "int?",
    "reference_strand": "text?",
    "matrix": "text",
}


def evaluate_discovery(
    sets: pd.DataFrame, library: Sequence[Motif], *, number: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Motifs discovered in every set (all labels), and in generated, held-out and reference sequences label by label.

    sets: SETS frame. library: the known motifs. number: at most so many motifs a set and label. Details ``motifs``: the
    DISCOVERED table of generated, held-out and reference sequences. Cost: linear in letters, a discovery for each set
    and label; on one core about 0.05 s and 0.2 ms a sequence of 100 bp for each motif.
    """
    rows, details = Rows(), []
    names = compared(sets)
    sequences = sets["sequence"].tolist()
    known = Comparer(library)
    for label, members in groups(sets):
        chosen = [name for name in names if label == ALL or name in (GENERATED, CEILING)]
        found: dict[str, list[Discovered]] = {}
        for name in [REFERENCE, *chosen]:
            own = [sequences[row] for row in members[name].tolist()]
            found[name] = discover(own, number=number, seed=derive_seed(seed, "discovery", label, name))
        of_reference = as_motifs(found[REFERENCE])
        again = Comparer(of_reference, null=library)
        for name in [REFERENCE, *chosen]:
            matches = [known.table(one.counts) for one in found[name]]
            matched = pairs(of_reference, as_motifs(found[name]), library)
            if name in (GENERATED, CEILING, REFERENCE):
                details += _described(name, label, found[name], matches, matched)
            if name == REFERENCE:
                continue
            fewest = min(len(members[name]), len(members[REFERENCE]))
            if fewest < FEWEST:
                for metric in METRICS:
                    rows.missing(metric.name, label, name, 0, f"fewer than {FEWEST} sequences")
                continue
            if of_reference:
                rows.add_share("discovered_recall", label, name, len(matched), len(of_reference))
            else:
                rows.missing("discovered_recall", label, name, 0, "no motif is discovered in the reference")
            if found[name]:
                likest = [
                    min(table["q_value"].min() for table in (match, again.table(one.counts)) if len(table))
                    for one, match in zip(found[name], matches, strict=True)
                ]
                strangers = sum(q_value >= FDR for q_value in likest)
                rows.add_share("discovered_novel", label, name, strangers, len(found[name]))
            else:
                rows.missing("discovered_novel", label, name, 0, "no motif is discovered in the set")
    table = pd.DataFrame(details, columns=list(DISCOVERED))
    return rows.frame(), {"motifs": check(table, DISCOVERED, "the discovered motifs")}


def _described(
    name: str, label: str, found: Sequence[Discovered], matches: Sequence[pd.DataFrame], matched: pd.DataFrame
) -> list[dict]:
    """DISCOVERED rows of one set and label. matched: of motif_similarity.pairs, the reference's motifs as queries."""
    partner = {row.matrix_id: row for row in matched.itertuples(index=False)}
    out = []
    for motif, one, match in zip(as_motifs(found), found, matches, strict=True):
        row = {
            "set": name,
            "label": label,
            "rank": len(out) + 1,
            "consensus": one.consensus,
            "width": motif.width,
            "sites": one.sites,
            "share": one.share,
            "share_shuffled": one.share_shuffled,
            "p_value": one.p_value,
            "matrix": json.dumps(dict(zip("ACGT", one.counts.astype(int).tolist(), strict=True))),
        }
        if len(match):
            best = match.iloc[0]
            row |= {f"match_{key}": best[key] for key in ("name", "q_value", "offset", "strand")}
            row["match_id"] = best["matrix_id"]
        if motif.matrix_id in partner:
            other = partner[motif.matrix_id]
            row["reference_rank"] = int(other.query.rpartition("_")[2])
            row |= {"reference_offset": other.offset, "reference_strand": other.strand}
        out.append(row)
    return out


def discovered_motifs(discovered: pd.DataFrame, name: str) -> list[Motif]:
    """The motifs of one set of a DISCOVERED table: {label}_{rank}, named by their consensus."""
    return [
        Motif(f"{row.label}_{row.rank}", row.consensus, _counts(row.matrix))
        for row in discovered[discovered["set"] == name].itertuples(index=False)
    ]


def matched_motifs(discovered: pd.DataFrame, library: Sequence[Motif]) -> list[Motif]:
    """The known motifs that some discovered one is most like."""
    matched = set(discovered["match_id"].dropna())
    return [motif for motif in library if motif.matrix_id in matched]


def _counts(matrix: str) -> np.ndarray:
    counts = json.loads(matrix)
    return np.array([counts[base] for base in "ACGT"], dtype=np.float64)
