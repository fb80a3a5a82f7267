"""Designs and controls of the library, by the guide."""

from pathlib import Path

from diffusion_bert.design.guided import choose_library
from diffusion_bert.errors import reported
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    choose_library(
        Path(snakemake.input.guide[0]).parent,
        dict(zip(snakemake.params.runs, snakemake.input.sequences, strict=True)),
        snakemake.input.test,
        snakemake.params.settings,
        seed=derive_seed(snakemake.params.seed, "library"),
        **snakemake.output,
    )
