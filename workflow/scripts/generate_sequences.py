"""The sequences of one model and sampler, as FASTA and as a table with a likelihood bound each."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.progress import bar
from diffusion_bert.sampling.run import generate_run
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]), bar("generating", "sequence") as progress:
    generate_run(
        Path(snakemake.input.model[0]).parent,
        snakemake.input.train,
        snakemake.input.test,
        sampler=snakemake.params.sampler,
        number=snakemake.params.number,
        labels=snakemake.params.labels,
        length=snakemake.params.length,
        likelihood_samples=snakemake.params.likelihood_samples,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
        fasta=snakemake.output.fasta,
        table=snakemake.output.table,
        progress=progress,
    )
