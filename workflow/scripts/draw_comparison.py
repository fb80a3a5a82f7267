"""All runs between the best floor and the ceiling, metric by metric."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.figures.standing import draw_comparison

with reported(snakemake.log[0]):
    draw_comparison(pd.read_csv(snakemake.input[0], sep="\t"), snakemake.output[0])
