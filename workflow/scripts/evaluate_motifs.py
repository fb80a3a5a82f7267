"""Known motifs: how often, where, which together, and whether as in training."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.motif_hits import write_hits
from diffusion_bert.evaluation.motif_library import load_motifs, write_matrices, write_meme
from diffusion_bert.evaluation.motifs import evaluate_motifs, motif_background
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import read_parquet

with reported(snakemake.log[0]):
    motifs = snakemake.params.motifs
    library = load_motifs(motifs["file"] or "jaspar", motifs["taxon"])
    sets = read_parquet(snakemake.input.sets, SETS)
    evaluation, details = evaluate_motifs(
        sets,
        library,
        p_value=motifs["p_value"],
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_hits(details.pop("hits"), snakemake.output.hits)
    write_meme(library, motif_background(sets), snakemake.output.meme)
    write_evaluation(evaluation, details, snakemake.output)
    write_matrices(library, snakemake.output.matrices)
