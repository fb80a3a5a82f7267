"""Floors: dinucleotide shuffles of the test windows, the best Markov chain of the training windows, and chance."""

from diffusion_bert.errors import reported
from diffusion_bert.evaluation.floors import MARKOV, make_floors
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, WINDOWS, read_parquet, write_parquet, write_tsv

with reported(snakemake.log[0]):
    floors, orders, chain = make_floors(
        *(read_parquet(snakemake.input[split], WINDOWS) for split in ("train", "validation", "test")),
        orders=snakemake.params.orders,
        seed=derive_seed(snakemake.params.seed, snakemake.rule),
    )
    for output, name in (("shuffle", "dinucleotide_shuffle"), ("markov", "markov"), ("uniform", "uniform")):
        write_parquet(floors[name], snakemake.output[output], SEQUENCES)
    chain.save(snakemake.output.chain)
    write_tsv(orders, snakemake.output.orders, MARKOV)
