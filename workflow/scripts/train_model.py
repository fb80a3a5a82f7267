"""One trained model's folder from the training and validation windows; goes on from the checkpoint of a killed run."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.distributed import launch
from diffusion_bert.training.resume import tried_once
from diffusion_bert.training.train import train

with reported(snakemake.log[0]), tried_once(snakemake.params.checkpoints, snakemake.resources.attempt):
    job = {
        "train_parquet": snakemake.input.train,
        "validation_parquet": snakemake.input.validation,
        "settings": snakemake.params.settings,
        "seed": derive_seed(snakemake.params.seed, snakemake.rule, snakemake.wildcards.model),
        "backbone": snakemake.params.backbone,
        "folder": str(Path(snakemake.output.curve).parent),
        "checkpoint_folder": snakemake.params.checkpoints,
        "tracking_folder": snakemake.params.tracking,
    }
    if snakemake.resources.get("gpu", 1) > 1:
        launch(job, snakemake.resources.gpu, snakemake.log[0])
    else:
        with bar(f"training {snakemake.wildcards.model}", "step") as progress:
            train(**job, progress=progress)
