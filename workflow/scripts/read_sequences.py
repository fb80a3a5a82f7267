"""Labelled sequences as windows, and what each filter left out."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.sequences import read_labelled_sequences
from diffusion_bert.tables import FUNNEL, WINDOWS, write_parquet, write_tsv

with reported(snakemake.log[0]):
    windows, funnel = read_labelled_sequences(
        snakemake.input[0],
        format=snakemake.params.format,
        columns=snakemake.params.columns,
        label=snakemake.params.label,
        width=snakemake.params.width,
        max_n=snakemake.params.max_n,
    )
    write_parquet(windows, snakemake.output.windows, WINDOWS)
    write_tsv(funnel, snakemake.output.funnel, FUNNEL)
