"""For each variant the window with the alternative allele against that with the reference, under the model."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.seeds import derive_seed
from diffusion_bert.variants import score_variants

with reported(snakemake.log[0]):
    score_variants(
        Path(snakemake.input.model[0]).parent,
        snakemake.input.variants,
        snakemake.input.fasta,
        width=snakemake.params.width,
        label=snakemake.params.label,
        aliases=snakemake.input.aliases or None,
        samples=snakemake.params.samples,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, snakemake.wildcards.model),
        destination=snakemake.output[0],
    )
