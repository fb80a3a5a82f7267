"""A likelihood bound under the model for each sequence of a FASTA."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.scoring import score_fasta
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    score_fasta(
        Path(snakemake.input.model[0]).parent,
        snakemake.input.fasta,
        label=snakemake.params.label,
        samples=snakemake.params.samples,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, snakemake.wildcards.model),
        destination=snakemake.output[0],
    )
