"""k-mer spectra, k = 1 to 6, every set against training."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.kmers import evaluate_kmers
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_kmers(
        read_parquet(snakemake.input.sets, SETS),
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
