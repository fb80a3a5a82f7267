"""What of a row is masked in a training step, by ``masking``: tokens one by one, or spans of neighbours.

Validation, likelihood and sampling mask tokens one by one whatever a model was trained with, so bounds stay comparable.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from diffusion_bert.diffusion import mask

# (ids, maskable, alpha, mask_id, generator) -> (ids with [MASK], which are masked), as diffusion.mask
Masks = Callable[[Tensor, Tensor, Tensor, int, torch.Generator], tuple[Tensor, Tensor]]


def masks_of(masking: Mapping[str, Any], bases_per_token: float) -> Masks:
    """The way of masking that the settings name.

    masking: ``kind`` (token or span) and ``span`` (bp). bases_per_token: the mean over the data; a span is the nearest
    whole number of tokens, at least one.
    """
    if masking["kind"] == "token":
        return mask
    if masking["kind"] != "span":
        raise ValueError(f"masking must be token or span, got {masking['kind']!r}")
    span = max(1, round(masking["span"] / bases_per_token))
    return lambda ids, maskable, alpha, mask_id, generator: mask_spans(ids, maskable, alpha, span, mask_id, generator)


def mask_spans(
    ids: Tensor, maskable: Tensor, alpha: Tensor, span: int, mask_id: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mask spans of so many tokens, which may overlap and reach over either end of a row: (ids with [MASK], which are
    masked).

    Each token is masked with probability 1 - alpha (B,), as one by one, but together with its neighbours: a span begins
    at each place, the ``span - 1`` before the row among them, with probability 1 - alpha ** (1 / span). ids, maskable:
    (B, T). Takes ``span`` times the memory of a mask.
    """
    rows, length = ids.shape
    draws = torch.rand((rows, length + span - 1), generator=generator, device=ids.device)
    begins = draws >= (alpha ** (1 / span)).unsqueeze(-1)
    masked = maskable & begins.unfold(-1, span, 1).any(-1)
    return ids.masked_fill(masked, mask_id), masked
