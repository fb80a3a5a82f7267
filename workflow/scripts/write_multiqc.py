"""The comparison of all runs as a table for MultiQC's report."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.comparison import COMPARISON
from diffusion_bert.reporting.multiqc import write_multiqc
from diffusion_bert.tables import read_tsv

with reported(snakemake.log[0]):
    write_multiqc(read_tsv(snakemake.input[0], COMPARISON), Path(snakemake.output[0]))
