"""All tracks' windows on one chromosome, and what each filter left out."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.extract import extract_chromosome

with reported(snakemake.log[0]):
    extract_chromosome(
        snakemake.input.fasta,
        tracks=list(zip(snakemake.params.tracks, snakemake.input.tracks, strict=True)),
        chrom=snakemake.wildcards.chrom,
        aliases=snakemake.input.aliases or None,
        blacklist=snakemake.input.blacklist or None,
        settings=snakemake.params.windows,
        seed=snakemake.params.seed,
        windows=snakemake.output.windows,
        funnel=snakemake.output.funnel,
    )
