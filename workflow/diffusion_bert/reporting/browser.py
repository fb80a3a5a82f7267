"""The browser of sequences: a row each, with the motif hits drawn on the bases."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from diffusion_bert.reporting.inputs import Run

# Sequences in the table, over all runs.
BUDGET = 4000
# Motifs with a colour of their own: those drawn most often. The others share one.
COLOURS = 8

BED = ["chrom", "start", "end", "name", "score", "strand"]


def read_hits(path: Path) -> pd.DataFrame:
    """The hits of one run (BED6 without a header), bp, 0-based half-open; empty where there is none."""
    return pd.read_csv(path, sep="\t", names=BED, dtype={"chrom": "str", "name": "str", "strand": "str"})


def sequence_rows(
    sequences: Mapping[Run, pd.DataFrame], hits: Mapping[Run, pd.DataFrame], wanted: int
) -> tuple[list[dict], dict[Run, int], list[tuple[str, str]]]:
    """The rows of the table, how many of each run they are, and the legend: (class, motif), most frequent first.

    sequences: SEQUENCES frames. hits: BED frames by sequence name; of overlapping ones the better is drawn. Shown are
    the first ``wanted`` sequences of each run (fewer where runs are many), label by label in turn, so that every label
    is seen; those with hits come first, as hits are looked for in the compared sequences alone.
    """
    each = min(max(BUDGET // max(len(sequences), 1), 5), wanted)
    rows, shown, drawn = [], {}, {}
    for run, frame in sequences.items():
        sites = drawn_hits(hits[run]) if run in hits else {}
        frame = frame.assign(plain=[name not in sites for name in frame["name"]])
        turn = frame.groupby(["label", "plain"]).cumcount()
        order = frame.assign(turn=turn).sort_values(["plain", "turn"], kind="stable").index
        chosen = frame.loc[order[:each]]
        shown[run] = len(chosen)
        for row in chosen.itertuples(index=False):
            own = sites.get(row.name, [])
            for hit in own:
                drawn[hit.name] = drawn.get(hit.name, 0) + 1
            rows.append(
                {
                    "run": f"{run[0]} / {run[1]}",
                    "name": row.name,
                    "label": row.label,
                    "length": row.length,
                    "bits": None if pd.isna(row.bits_per_base) else float(row.bits_per_base),
                    "gc": (row.sequence.count("G") + row.sequence.count("C")) / max(len(row.sequence), 1),
                    "sequence": row.sequence,
                    "hits": own,
                }
            )
    frequent = sorted(drawn, key=lambda name: (-drawn[name], name))[:COLOURS]
    classes = {name: f"m{number}" for number, name in enumerate(frequent)}
    for row in rows:
        row["motifs"] = ", ".join(dict.fromkeys(_motif(hit.name) for hit in row["hits"]))
        row["marked"] = marked(row["sequence"], row.pop("hits"), classes)
    return rows, shown, [(classes[name], _motif(name)) for name in frequent]


def drawn_hits(hits: pd.DataFrame) -> dict[str, list]:
    """For each sequence the hits to draw, in their order: the best first, and no other that overlaps one chosen."""
    out: dict[str, list] = {}
    ordered = hits.sort_values(["chrom", "score", "start", "name"], ascending=[True, False, True, True])
    for hit in ordered.itertuples(index=False):
        own = out.setdefault(hit.chrom, [])
        if all(hit.end <= other.start or hit.start >= other.end for other in own):
            own.append(hit)
    return {name: sorted(own, key=lambda hit: hit.start) for name, own in out.items()}


def marked(sequence: str, hits: Sequence, classes: Mapping[str, str]) -> Markup:
    """The sequence with its hits (in order, apart from each other) as ``mark`` elements that say what they are."""
    parts, place = [], 0
    for hit in hits:
        title = f"{_motif(hit.name)}, {hit.strand} strand, {hit.start + 1}-{hit.end}"
        parts.append(escape(sequence[place : hit.start]))
        parts.append(
            f'<mark class="{classes.get(hit.name, "m")}" title="{escape(title)}">'
            f"{escape(sequence[hit.start : hit.end])}</mark>"
        )
        place = hit.end
    return Markup("".join([*parts, escape(sequence[place:])]))


def _motif(name: str) -> str:
    """``MA0140.3:GATA1::TAL1`` -> ``GATA1::TAL1``."""
    return name.partition(":")[2] or name
