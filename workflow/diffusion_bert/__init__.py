"""DNA Diffusion-BERT: masked DNA language models as discrete diffusion generators of regulatory DNA.

The library knows nothing of Snakemake; the workflow's scripts are thin adapters to one call each.
"""
