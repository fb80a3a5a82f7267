"""How well each set can be told from training windows, and the words that give it away."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import CNN_SCORES, read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_discrimination(
        read_parquet(snakemake.input.sets, SETS),
        read_parquet(snakemake.input.cnn, CNN_SCORES) if snakemake.input.cnn else None,
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
