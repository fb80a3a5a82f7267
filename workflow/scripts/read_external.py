"""Sequences made elsewhere, as a table and FASTA like those generated here."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.sequences import read_external
from diffusion_bert.tables import SEQUENCES, write_fasta, write_parquet

with reported(snakemake.log[0]):
    sequences = read_external(
        snakemake.input[0],
        name=snakemake.wildcards.external,
        columns=snakemake.params.columns,
        format=snakemake.params.format,
        label=snakemake.params.label,
    )
    write_parquet(sequences, snakemake.output.table, SEQUENCES)
    write_fasta(sequences, snakemake.output.fasta)
