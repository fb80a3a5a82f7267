"""One self-contained page from everything that the run has found."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.reporting.build import Inputs, build_report

with reported(snakemake.log[0]):
    build_report(
        Path(snakemake.output[0]),
        inputs=Inputs.from_paths(map(Path, snakemake.input)),
        config=snakemake.params.config,
        title=snakemake.params.config["report"]["title"],
    )
