"""One track's peak file, from a path, URL or ENCODE accession, verified and complete."""

from diffusion_bert.downloads import fetch, resolve_source
from diffusion_bert.errors import reported

with reported(snakemake.log[0]):
    fetch(
        resolve_source(snakemake.params.source or snakemake.input[0], snakemake.params.format),
        snakemake.output[0],
        checksum=snakemake.params.checksum,
    )
