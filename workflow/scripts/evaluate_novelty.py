"""How near each sequence is to its nearest training window, and how varied each set is."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.novelty import evaluate_novelty
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import WINDOWS, read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_novelty(
        read_parquet(snakemake.input.sets, SETS),
        read_parquet(snakemake.input.train, WINDOWS),
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
