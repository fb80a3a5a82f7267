"""Do the chromosomes and tracks fit the genome? Asked once, before anything expensive starts."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.genome.fasta import chromosome_sizes
from diffusion_bert.genome.tracks import read_aliases, track_chromosomes
from diffusion_bert.tables import Columns, write_tsv

# How many peaks each track has on each chromosome that is used.
PEAK_COUNTS: Columns = {"track": "text", "label": "text", "chrom": "text", "peaks": "int"}


def check_inputs(
    index: str | Path,
    *,
    tracks: Iterable[tuple[tuple[str, str, str], str | Path]],
    aliases: str | Path | None,
    chroms: list[str],
    width: int,
    destination: str | Path,
) -> None:
    """Write the table of peaks by track and chromosome, or raise one UserError that lists every misfit.

    index: the genome's ``.fai``. tracks: ((name, label, format), path) of each track. width: of the windows, bp.
    Misfits: a chromosome that the genome does not have or on which no track has a peak, one shorter than a window,
    a track without peaks or with none on the chromosomes used.
    """
    sizes = chromosome_sizes(index)
    renamed = read_aliases(aliases, sizes) if aliases else {}
    problems = [_absent(chrom, sizes) for chrom in chroms if chrom not in sizes]
    problems += [
        f"Chromosome {chrom} has {sizes[chrom]} bp, less than windows.width = {width}. "
        "Leave it out of genome.chroms or make windows narrower."
        for chrom in chroms
        if sizes.get(chrom, width) < width
    ]
    rows = []
    for (name, label, form), path in tracks:
        counts = track_chromosomes(path, form, renamed)
        if not sum(counts.values()):
            problems.append(f"Track {name} has no peaks. Remove its line from the sheet or mend its source.")
        elif not any(counts.get(chrom) for chrom in chroms):
            problems.append(
                f"Track {name} has no peak on the chromosomes used ({_some(chroms)}); its own are {_some(counts)}. "
                "Check the assembly, or give genome.aliases if only the names differ."
            )
        rows += [(name, label, chrom, counts.get(chrom, 0)) for chrom in chroms]
    table = pd.DataFrame(rows, columns=list(PEAK_COUNTS))
    bare = table.groupby("chrom")["peaks"].sum()
    if not problems:
        problems += [
            f"No track has a peak on chromosome {chrom}. Leave it out of genome.chroms and of split."
            for chrom in chroms
            if not bare[chrom]
        ]
    if problems:
        raise UserError("\n  ".join(problems), "Nothing has been extracted.")
    write_tsv(table, destination, PEAK_COUNTS)


def _absent(chrom: str, sizes: Mapping[str, int]) -> str:
    close = difflib.get_close_matches(chrom, sizes, n=1, cutoff=0.5) or difflib.get_close_matches(
        f"chr{chrom}", sizes, n=1, cutoff=0.9
    )
    return f"genome.chroms names {chrom}, which the genome does not have (it has {_some(sizes)}). " + (
        f"Did you mean {close[0]}?" if close else "Use the genome's own names."
    )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (f", ... ({len(names)} in all)" if len(names) > 6 else "")
