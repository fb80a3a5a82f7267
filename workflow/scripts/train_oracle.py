"""One oracle's folder, the guide's or the judge's, from its half of the training windows."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.oracle.oracle import train_oracle

with reported(snakemake.log[0]):
    train_oracle(
        snakemake.input.train,
        snakemake.input.validation,
        snakemake.wildcards.oracle,
        snakemake.params.settings,
        seed=snakemake.params.seed,
        folder=Path(snakemake.output.description).parent,
    )
