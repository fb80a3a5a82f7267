"""Bits a base of every set, under the model, the best Markov chain and the LSTM."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.likelihood import MODEL_SCORES, evaluate_likelihood, markov_scores
from diffusion_bert.evaluation.markov import MarkovChain
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import LSTM_SCORES, empty, read_parquet

with reported(snakemake.log[0]):
    sets = read_parquet(snakemake.input.sets, SETS)
    evaluation, details = evaluate_likelihood(
        sets,
        read_parquet(snakemake.input.scores, MODEL_SCORES) if snakemake.input.scores else empty(MODEL_SCORES),
        markov_scores(sets, MarkovChain.load(snakemake.input.chain)),
        read_parquet(snakemake.input.lstm_scores, LSTM_SCORES) if snakemake.input.lstm_scores else None,
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
