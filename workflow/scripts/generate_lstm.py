"""Sequences of the LSTM, one for each test window, with its label and length."""

from pathlib import Path

from diffusion_bert.baseline.folder import generate_lstm
from diffusion_bert.errors import reported
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    generate_lstm(
        Path(snakemake.input.model[0]).parent,
        snakemake.input.test,
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
        destination=snakemake.output[0],
    )
