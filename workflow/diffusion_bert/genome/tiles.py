"""The genome in tiles of one width, on which a model learns before it sees any peak; held-out chromosomes stay unseen.

A tile of a training chromosome shares no base with a window of validation or test. Copies of a held-out sequence that
the genome has on another chromosome (repeats, segmental duplications) are not looked for: tiles meet them as the
training windows of peaks do.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.genome.fasta import chromosome_sizes
from diffusion_bert.genome.tracks import read_aliases, read_peaks
from diffusion_bert.genome.windows import extract_windows
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import FUNNEL, PEAKS, TILES, check, empty, write_parquet, write_tsv

# Tiles are windows whose "peaks" are laid out evenly; nothing is known of them that could make one the better of two.
_KEEP_ALL = {"fraction": 1.0, "within_label": "keep", "between_labels": "keep"}


def tile_genome(
    fasta: str | Path,
    *,
    chroms: Sequence[str],
    validation: Sequence[str],
    test: Sequence[str],
    width: int,
    stride: int,
    max_n: float,
    max_lower_case: float,
    number: int | None,
    validation_number: int | None,
    blacklist: str | Path | None,
    aliases: str | Path | None,
    seed: int,
    destinations: tuple[str | Path, str | Path, str | Path],
) -> None:
    """Write TILES of the training chromosomes, TILES of the validation chromosomes, and their FUNNEL.

    fasta: indexed plain FASTA. chroms: those used; all of them that are in neither ``validation`` nor ``test`` train.
    number, validation_number: at most so many tiles of each kind. The rest: see ``tiles``. blacklist: a BED file.
    Raises UserError where no chromosome or no tile is left.
    """
    held_out = {*validation, *test}
    parts = {"train": [chrom for chrom in chroms if chrom not in held_out], "validation": list(validation)}
    renamed = read_aliases(aliases, chromosome_sizes(f"{fasta}.fai")) if aliases else None
    funnels = []
    for (part, own), most, path in zip(parts.items(), (number, validation_number), destinations[:2], strict=True):
        table, funnel = tiles(
            fasta,
            own,
            width=width,
            stride=stride,
            max_n=max_n,
            max_lower_case=max_lower_case,
            number=most,
            blacklist=blacklist,
            aliases=renamed,
            seed=seed,
        )
        if not len(table):
            raise UserError(
                f"tiles: no tile of {width} bp is left for {part} (chromosomes: {', '.join(own) or 'none'}).",
                "Raise tiles.max_n or tiles.max_lower_case, or lower tiles.width.",
            )
        if not set(table["chrom"]) <= set(own) or (part == "train" and held_out & set(own)):
            raise ValueError(f"{part} tiles lie on {', '.join(sorted(set(table['chrom'])))}")
        write_parquet(table, path, TILES)
        funnels.append(funnel.assign(label=part))
    write_tsv(pd.concat(funnels), destinations[2], FUNNEL)


def tiles(
    fasta: str | Path,
    chroms: Sequence[str],
    *,
    width: int,
    stride: int,
    max_n: float = 0.0,
    max_lower_case: float = 1.0,
    number: int | None = None,
    blacklist: str | Path | None = None,
    aliases: dict[str, str] | None = None,
    seed: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """TILES of these chromosomes by position, and the FUNNEL of what was dropped (track ``tiles``).

    A chromosome's tiles begin at 0, stride, 2 * stride, ... (bp) and end within it. Dropped are those with a share of
    unknown bases above max_n or of lower-case (soft-masked) ones above max_lower_case, or with a base in the blacklist
    (a BED file; aliases: its chromosome names -> the genome's). number: at most so many of what is left, a sample in
    which each tile's draw depends on the seed and its place alone. Holds one chromosome and the tiles kept so far.
    Raises UserError for a width above a chromosome's length.
    """
    sizes = chromosome_sizes(f"{fasta}.fai")
    kept, funnels = [empty(TILES).assign(draw=0.0)], [empty(FUNNEL)]
    for chrom in chroms:
        if sizes.get(chrom, width) < width:
            raise UserError(
                f"tiles.width is {width}, but chromosome {chrom} has {sizes[chrom]} bp.",
                "Make tiles narrower, or leave the chromosome out of genome.chroms.",
            )
        starts = np.arange(0, sizes.get(chrom, 0) - width + 1, stride)
        peaks = pd.DataFrame({"start": starts, "end": starts + width}).assign(
            chrom=chrom, strand=".", summit=pd.NA, score=0.0, track="tiles", label="tiles"
        )
        excluded = None
        if blacklist is not None:
            excluded = read_peaks(
                blacklist, track="blacklist", label="blacklist", format="bed", chrom=chrom, aliases=aliases
            )
        windows, funnel = extract_windows(
            fasta,
            check(peaks, PEAKS, f"tiles of {chrom}"),
            chrom,
            width=width,
            centre="midpoint",
            max_n=max_n,
            max_lower_case=max_lower_case,
            blacklist=excluded,
            overlap=_KEEP_ALL,
        )
        draws = np.random.default_rng(derive_seed(seed, "tiles", chrom)).random(len(starts))
        part = windows[list(TILES)]
        kept.append(part.assign(draw=draws[part["start"].to_numpy(dtype=np.int64) // stride]))
        funnels.append(funnel)
        if number is not None:  # so that a large genome is never in memory as a whole
            kept = [pd.concat(kept, ignore_index=True).nsmallest(number, "draw")]
    frame = pd.concat(kept, ignore_index=True)
    rank = frame["chrom"].map({chrom: place for place, chrom in enumerate(chroms)})
    frame = frame.assign(rank=rank).sort_values(["rank", "start"], ignore_index=True)
    return check(frame[list(TILES)], TILES, "tiles"), check(pd.concat(funnels), FUNNEL, "the funnel of tiles")
