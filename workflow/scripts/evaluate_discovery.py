"""Motifs discovered in each set, and whether they are those of training, or known ones."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.discovery import discovered_motifs, evaluate_discovery, matched_motifs
from diffusion_bert.evaluation.motif_library import load_motifs, write_matrices, write_meme
from diffusion_bert.evaluation.outputs import write_evaluation
from diffusion_bert.evaluation.rows import GENERATED
from diffusion_bert.evaluation.scan import base_composition
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import read_parquet

with reported(snakemake.log[0]):
    sets = read_parquet(snakemake.input.sets, SETS)
    library = load_motifs(snakemake.params.library["file"] or "jaspar", snakemake.params.library["taxon"])
    evaluation, details = evaluate_discovery(
        sets,
        library,
        number=snakemake.params.number,
        seed=derive_seed(snakemake.params.seed, snakemake.rule, *snakemake.wildcards),
    )
    write_evaluation(evaluation, details, snakemake.output)
    write_matrices(matched_motifs(details["motifs"], library), snakemake.output.matches)
    background = base_composition(sets.loc[sets["set"] == GENERATED, "sequence"].tolist())
    write_meme(discovered_motifs(details["motifs"], GENERATED), background, snakemake.output.meme)
