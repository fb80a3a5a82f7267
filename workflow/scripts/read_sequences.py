"""Labelled sequences as windows, and what each filter left out."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.genome.sequences import read_labelled_sequences
from diffusion_bert.tables import FUNNEL, WINDOWS, write_parquet, write_tsv

with reported(snakemake.log[0]):
    params = snakemake.params
    tables = [
        read_labelled_sequences(
            path, format=params.format, columns=params.columns, label=label, width=params.width, max_n=params.max_n
        )
        for path, label in zip(snakemake.input, params.labels, strict=True)
    ]
    write_parquet(pd.concat([windows for windows, _ in tables]), snakemake.output.windows, WINDOWS)
    write_tsv(pd.concat([funnel for _, funnel in tables]), snakemake.output.funnel, FUNNEL)
