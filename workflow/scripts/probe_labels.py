"""How well a linear classifier tells the labels apart from one model's embeddings, before and after training."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.probe import probe_understanding
from diffusion_bert.seeds import derive_seed

with reported(snakemake.log[0]):
    probe_understanding(
        {"before": snakemake.input.before, "after": snakemake.input.after},
        snakemake.input.train,
        snakemake.input.test,
        bootstrap=snakemake.params.bootstrap,
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
        destination=snakemake.output[0],
    )
