"""All runs between the best floor and the ceiling, metric by metric; and activity against naturalness."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.figures.pareto import draw_pareto
from diffusion_bert.figures.standing import draw_comparison

with reported(snakemake.log[0]):
    draw_comparison(pd.read_csv(snakemake.input.verdict, sep="\t"), snakemake.output.comparison)
    draw_pareto(pd.read_csv(snakemake.input.comparison, sep="\t"), snakemake.output.pareto)
