"""What predictors made elsewhere say of every set, held against what they say of real sequences."""

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.predicted import evaluate_predictions
from diffusion_bert.evaluation.predictors import PREDICTIONS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import read_parquet

with reported(snakemake.log[0]):
    evaluation, details = evaluate_predictions(
        pd.concat([read_parquet(path, PREDICTIONS) for path in snakemake.input], ignore_index=True),
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
