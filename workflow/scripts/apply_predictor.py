"""What one predictor says of each sequence of every set."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.predictors import PREDICTIONS, predict
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.tables import read_parquet, write_parquet

with reported(snakemake.log[0]):
    sets = read_parquet(snakemake.input.sets, SETS)
    said = predict(sets, snakemake.wildcards.predictor, snakemake.params.settings)
    write_parquet(said, snakemake.output[0], PREDICTIONS)
