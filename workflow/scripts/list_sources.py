"""The files that the run rests on, with their checksums."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.sources import list_sources

with reported(snakemake.log[0]):
    list_sources(
        zip(snakemake.params.names, snakemake.params.sources, snakemake.input, strict=True), snakemake.output[0]
    )
