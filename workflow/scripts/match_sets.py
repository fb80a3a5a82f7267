"""Generated, held-out, training and floor sequences in equal numbers, label by label."""

from pathlib import Path

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.sets import SETS, match_sets
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, WINDOWS, read_parquet, write_parquet

with reported(snakemake.log[0]):
    sets = match_sets(
        read_parquet(snakemake.input.generated, SEQUENCES),
        read_parquet(snakemake.input.train, WINDOWS),
        read_parquet(snakemake.input.test, WINDOWS),
        {Path(path).stem: read_parquet(path, SEQUENCES) for path in snakemake.input.floors},
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
    )
    write_parquet(sets, snakemake.output[0], SETS)
