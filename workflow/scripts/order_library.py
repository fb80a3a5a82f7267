"""The oligos of the library, as they are ordered."""

from diffusion_bert.design.order import order_library
from diffusion_bert.errors import reported
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    order_library(
        snakemake.input.inserts,
        snakemake.input.train,
        snakemake.params.settings,
        seed=derive_seed(snakemake.params.seed, "library"),
        table=snakemake.output.table,
        fasta=snakemake.output.fasta,
    )
