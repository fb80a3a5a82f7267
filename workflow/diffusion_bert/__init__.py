"""DNA Diffusion-BERT: masked DNA language models as discrete diffusion generators of regulatory DNA.

The library knows nothing of Snakemake; the workflow's scripts are thin adapters to one call each.
"""

import os

# torch then asks for large tensors in pages of 2 MiB where Linux has them. What takes 32 MiB or more goes back to the
# system when it is freed, and page after page of it is zeroed anew for the next step: in pages of 4 KiB a third of the
# time of a training step of LSTM layers. Read once, at torch's first tensor, so before torch is imported.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
