"""The figures of one run, one for each question."""

import json
from pathlib import Path

import pandas as pd

from diffusion_bert.errors import reported
from diffusion_bert.figures import (
    agreement,
    discovery,
    discrimination,
    distributions,
    function,
    motif_pairs,
    predictors,
    standing,
)

with reported(snakemake.log[0]):
    table = {name: pd.read_csv(path, sep="\t") for name, path in snakemake.input.items() if str(path).endswith(".tsv")}
    matrices = json.loads(Path(snakemake.input.motifs_matrices).read_text())
    out = snakemake.output
    distributions.draw_composition(table["composition_sequences"], table["composition_positions"], out.composition)
    agreement.draw_kmers(table["kmers_spectrum"], out.kmers)
    agreement.draw_motifs(table["motifs_rates"], table["motifs_positions"], out.motifs, matrices)
    motif_pairs.draw_motif_pairs(table["motifs_pairs"], table["motifs_spacings"], out.motif_pairs)
    distributions.draw_novelty(table["novelty_sequences"], out.novelty)
    discrimination.draw_discrimination(table["discrimination"], table["discrimination_giveaways"], out.discrimination)
    distributions.draw_likelihood(table["likelihood_sequences"], out.likelihood)
    if "discovery_motifs" in table:
        matches = json.loads(Path(snakemake.input.discovery_matches).read_text())
        discovery.draw_discovery(table["discovery_motifs"], matches, out.discovery)
    if "function_sequences" in table:
        judged, judge = table["function_confusion"], table["oracle_performance"]
        function.draw_function(table["function_sequences"], judged, judge, out.function)
    if "predictors_sequences" in table:
        predictors.draw_predictors(table["predictors_sequences"], out.predictors)
    if "grammar" in table:
        standing.draw_grammar(table["grammar"], out.grammar)
