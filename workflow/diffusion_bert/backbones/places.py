"""Where a token stands in its window: windows are centred on summits, so places count from the window's centre.

A shorter window has the places of a longer one's middle, and places beyond those that were trained share the outermost
one's.
"""

import torch
from torch import Tensor

# [CLS] and the label precede the DNA, [SEP] follows it.
BEFORE, AROUND = 2, 3


def places(attention_mask: Tensor, positions: int) -> Tensor:
    """Index of each token (B, T) into ``positions`` + AROUND places: its distance from the middle of the row's DNA.

    attention_mask (B, T) of framed rows; positions: of the longest trained window.
    """
    length = attention_mask.sum(-1, keepdim=True) - AROUND
    offset = torch.arange(attention_mask.shape[-1], device=attention_mask.device) - BEFORE - length // 2
    return (offset + positions // 2 + BEFORE).clamp(0, positions + AROUND - 1)
