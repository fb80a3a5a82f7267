"""A published backbone's folder, at one commit, verified and complete."""

from pathlib import Path

from diffusion_bert.backbones.hub import fetch_backbone
from diffusion_bert.errors import reported

with reported(snakemake.log[0]):
    fetch_backbone(
        snakemake.params.source,
        snakemake.params.revision,
        Path(snakemake.output[0]).parent,
        code=snakemake.params.python,
    )
