"""All runs in one table, and where each stands between the best floor and the ceiling."""

from pathlib import Path

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.comparison import COMPARISON, VERDICT, compare
from diffusion_bert.tables import EVALUATION, read_tsv, write_tsv

with reported(snakemake.log[0]):
    parts = {run: [] for run in snakemake.params.runs}
    for path in map(Path, snakemake.input):
        parts[path.parts[-3], path.parts[-2]].append(read_tsv(path, EVALUATION))
    comparison, verdict = compare({run: pd.concat(frames) for run, frames in parts.items()})
    write_tsv(comparison, snakemake.output.comparison, COMPARISON)
    write_tsv(verdict, snakemake.output.verdict, VERDICT)
