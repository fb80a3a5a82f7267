"""One extraction job: every track's peaks on one chromosome to windows, in files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diffusion_bert.genome.fasta import chromosome_sizes
from diffusion_bert.genome.tracks import read_aliases, read_peaks, read_tracks
from diffusion_bert.genome.windows import extract_windows
from diffusion_bert.tables import FUNNEL, WINDOWS, write_parquet, write_tsv


def extract_chromosome(
    fasta: str | Path,
    *,
    tracks: Iterable[tuple[tuple[str, str, str], str | Path]],
    chrom: str,
    aliases: str | Path | None,
    blacklist: str | Path | None,
    settings: Mapping[str, Any],
    seed: int,
    windows: str | Path,
    funnel: str | Path,
) -> None:
    """Write WINDOWS and FUNNEL of one chromosome.

    fasta: indexed plain FASTA. tracks: ((name, label, format), path) of each track. settings: the config's
    ``windows``, every key given. windows, funnel: the files to write.
    """
    renamed = read_aliases(aliases, chromosome_sizes(f"{fasta}.fai")) if aliases else None
    excluded = None
    if blacklist:
        excluded = read_peaks(
            blacklist, track="blacklist", label="blacklist", format="bed", chrom=chrom, aliases=renamed
        )
    table, counts = extract_windows(
        fasta,
        read_tracks(tracks, chrom=chrom, aliases=renamed),
        chrom,
        blacklist=excluded,
        seed=seed,
        **settings,
    )
    write_parquet(table, windows, WINDOWS)
    write_tsv(counts, funnel, FUNNEL)
