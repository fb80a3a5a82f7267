"""What each step took, in one table."""

from diffusion_bert.errors import reported
from diffusion_bert.reporting.run_times import collect_run_times

with reported(snakemake.log[0]):
    collect_run_times(snakemake.params.benchmarks, snakemake.output[0])
