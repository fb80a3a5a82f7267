"""A file of sequences made elsewhere, from a path or URL, verified and complete."""

from diffusion_bert.downloads import fetch
from diffusion_bert.errors import reported

with reported(snakemake.log[0]):
    fetch(snakemake.params.source or snakemake.input[0], snakemake.output[0], checksum=snakemake.params.checksum)
