"""Exact bits a base under the LSTM for each sequence of every set."""

from pathlib import Path

from diffusion_bert.baseline.folder import score_sets_lstm
from diffusion_bert.errors import reported

with reported(snakemake.log[0]):
    score_sets_lstm(Path(snakemake.input.model[0]).parent, snakemake.input.sets, destination=snakemake.output[0])
