"""Fidelity to the label, predicted activity, and distances in the judge's embedding, of every set."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.function import evaluate_function
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import JUDGEMENTS, read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_function(
        read_parquet(snakemake.input.judgements, JUDGEMENTS),
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
