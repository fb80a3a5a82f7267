"""Some of the sequences of one model and sampler, drawn until each passes the filters."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.sampling.jobs import generate_shard
from diffusion_bert.sampling.request import Request
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]), bar("generating", "sequence") as progress:
    model, sampler = snakemake.wildcards.model, snakemake.wildcards.sampler
    request = Request(
        model=Path(snakemake.input.model[0]).parent,
        train=snakemake.input.train,
        test=snakemake.input.test,
        sampler=snakemake.params.sampler,
        **snakemake.params.asked,
        # As in generate_sequences: all parts of a run are of one seed.
        seed=derive_seed(snakemake.params.seed, "generate_sequences", model, sampler),
        guide=Path(snakemake.input.guide[0]).parent if snakemake.input.guide else None,
    )
    generate_shard(
        request,
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.shards,
        table=snakemake.output[0],
        kept=Path(snakemake.params.kept),
        progress=progress,
    )
