"""The sequences of one model and sampler, as FASTA and as a table with a likelihood bound each."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.sampling.jobs import generate_run
from diffusion_bert.sampling.request import Request
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]), bar("generating", "sequence") as progress:
    request = Request(
        model=Path(snakemake.input.model[0]).parent,
        train=snakemake.input.train,
        test=snakemake.input.test,
        sampler=snakemake.params.sampler,
        **snakemake.params.asked,
        seed=derive_seed(snakemake.params.seed, "generate_sequences", *snakemake.wildcards),
        guide=Path(snakemake.input.guide[0]).parent if snakemake.input.guide else None,
    )
    generate_run(
        request,
        fasta=snakemake.output.fasta,
        table=snakemake.output.table,
        filtered=snakemake.output.filters,
        collapsed=snakemake.output.collapse,
        kept=Path(snakemake.params.kept),
        shards=snakemake.input.shards,
        name=snakemake.wildcards.sampler,
        progress=progress,
    )
