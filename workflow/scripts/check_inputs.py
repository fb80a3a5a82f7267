"""The number of peaks by track and chromosome, or an error that says what does not fit the genome."""

from diffusion_bert.errors import reported
from diffusion_bert.genome.inputs import check_inputs

with reported(snakemake.log[0]):
    check_inputs(
        snakemake.input.index,
        tracks=list(zip(snakemake.params.tracks, snakemake.input.tracks, strict=True)),
        aliases=snakemake.input.aliases or None,
        chroms=snakemake.params.chroms,
        width=snakemake.params.width,
        destination=snakemake.output[0],
    )
