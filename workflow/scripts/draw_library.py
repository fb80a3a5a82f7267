"""What the library was chosen from."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.figures.library import draw_library

with reported(snakemake.log[0]):
    tables = (pd.read_csv(path, sep="\t") for path in snakemake.input)
    draw_library(*tables, snakemake.output[0])
