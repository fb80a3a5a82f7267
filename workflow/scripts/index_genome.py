"""The genome as plain FASTA with its index, whatever it came as."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.fasta import index_genome

with reported(snakemake.log[0]):
    index_genome(snakemake.input[0], snakemake.output.fasta)
