"""Training, validation and test windows, a table of what went where, and the whole funnel."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.genome.splits import split_windows
from diffusion_bert.tables import FUNNEL, SPLIT_SUMMARY, WINDOWS, read_parquet, read_tsv, write_parquet, write_tsv

with reported(snakemake.log[0]):
    splits, summary, dropped = split_windows(
        [read_parquet(path, WINDOWS) for path in snakemake.input.windows],
        **snakemake.params.split,
        seed=snakemake.params.seed,
    )
    for name, frame in splits.items():
        write_parquet(frame, snakemake.output[name], WINDOWS)
    write_tsv(summary, snakemake.output.summary, SPLIT_SUMMARY)
    funnels = [read_tsv(path, FUNNEL) for path in snakemake.input.funnels]
    write_tsv(pd.concat([*funnels, dropped]), snakemake.output.funnel, FUNNEL)
