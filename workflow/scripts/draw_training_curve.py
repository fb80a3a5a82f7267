"""The training curves of all models against the best Markov chain."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.figures.training import draw_training_curve

with reported(snakemake.log[0]):
    orders = pd.read_csv(snakemake.input.markov, sep="\t")
    draw_training_curve(
        {
            model: pd.read_csv(path, sep="\t")
            for model, path in zip(snakemake.params.models, snakemake.input.curves, strict=True)
        },
        float(orders.loc[orders["chosen"] == "yes", "validation_bits_per_base"].iloc[0]),
        snakemake.output[0],
    )
