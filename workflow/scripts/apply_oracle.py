"""What the judge says of each sequence of every set."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.oracle.oracle import judge_sets

with reported(snakemake.log[0]):
    judge_sets(
        Path(snakemake.input.oracle[0]).parent,
        snakemake.input.sets,
        snakemake.input.train,
        seed=snakemake.params.seed,
        destination=snakemake.output[0],
    )
