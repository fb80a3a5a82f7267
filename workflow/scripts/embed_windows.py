"""What one model makes of training and test windows, before or after it was trained."""

from pathlib import Path

from diffusion_bert.embeddings import embed_windows, start_of, trained
from diffusion_bert.errors import reported
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    if snakemake.wildcards.state == "after":
        load = trained(Path(snakemake.input.model[0]).parent)
    else:
        load = start_of(
            snakemake.params.settings,
            snakemake.params.backbone,
            seed=derive_seed(snakemake.params.seed, "train_model", snakemake.wildcards.model),
        )
    embed_windows(
        snakemake.input.train,
        snakemake.input.test,
        load,
        most=snakemake.params.most,
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
        destination=snakemake.output[0],
    )
