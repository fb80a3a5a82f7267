"""How well one oracle tells test windows: by label, against other labels and against background; its calibration."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.oracle.oracle import evaluate_oracle

with reported(snakemake.log[0]):
    evaluate_oracle(
        Path(snakemake.input.oracle[0]).parent,
        snakemake.input.test,
        bootstrap=snakemake.params.bootstrap,
        seed=snakemake.params.seed,
        destination=snakemake.output[0],
    )
