"""One trained model's folder from the training and validation windows; goes on from the checkpoint of a killed run."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.train import train

with reported(snakemake.log[0]), bar(f"training {snakemake.wildcards.model}", "step") as progress:
    train(
        snakemake.input.train,
        snakemake.input.validation,
        settings=snakemake.params.settings,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, snakemake.wildcards.model),
        backbone=snakemake.params.backbone,
        folder=Path(snakemake.output.curve).parent,
        checkpoint_folder=Path(snakemake.params.checkpoints),
        tracking_folder=Path(snakemake.params.tracking),
        progress=progress,
    )
