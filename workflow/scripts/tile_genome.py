"""Tiles of the training and of the validation chromosomes, and what each filter left out."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.tiles import tile_genome

with reported(snakemake.log[0]):
    tile_genome(
        snakemake.input.fasta,
        chroms=snakemake.params.chroms,
        validation=snakemake.params.validation,
        test=snakemake.params.test,
        **snakemake.params.tiles,
        blacklist=snakemake.input.blacklist or None,
        aliases=snakemake.input.aliases or None,
        seed=snakemake.params.seed,
        destinations=tuple(snakemake.output),
    )
