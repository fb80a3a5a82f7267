"""A genome, peak tracks and the truth about them, from the config's grammar and seed."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.genome.simulate import simulate

with reported(snakemake.log[0]):
    simulate(
        Path(snakemake.output.genome).parent,
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )
