"""The learned baseline: an autoregressive LSTM from the training and validation windows."""

from pathlib import Path

from diffusion_bert.baseline.train import train_lstm
from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.resume import tried_once

with (
    reported(snakemake.log[0]),
    tried_once(snakemake.params.checkpoints, snakemake.resources.attempt),
    bar("training the LSTM", "step") as progress,
):
    train_lstm(
        snakemake.input.train,
        snakemake.input.validation,
        epochs=snakemake.params.settings["epochs"],
        parameters=snakemake.params.settings["parameters"],
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
        folder=Path(snakemake.output.settings).parent,
        checkpoint_folder=snakemake.params.checkpoints,
        progress=progress,
    )
