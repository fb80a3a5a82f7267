"""How much of the planted grammar is in each set."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.grammar import evaluate_grammar, read_grammar
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_grammar(
        read_parquet(snakemake.input.sets, SETS),
        read_grammar(snakemake.input.grammar),
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
