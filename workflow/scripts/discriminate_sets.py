"""Out-of-fold scores of networks that try to tell each set from training windows."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.oracle.discriminate import discriminate_sets

with reported(snakemake.log[0]):
    discriminate_sets(
        Path(snakemake.input.oracle[0]).parent,
        snakemake.input.sets,
        snakemake.input.train,
        seed=snakemake.params.seed,
        destination=snakemake.output[0],
    )
