"""What moves the weights: AdamW with decay on matrices only, its learning rate by step, and averaged weights."""

import copy
import math

import torch
from torch import nn


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and convolutions, and neither norms, biases nor embeddings."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decayed, kept = [], []
    for parameter in model.parameters():
        (decayed if parameter.ndim >= 2 and id(parameter) not in embeddings else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def learning_rate_at(step: int, steps: int, peak: float, warmup_steps: int, decay: str) -> float:
    """The learning rate of a step (from 0): a linear rise, then ``constant``, or ``linear`` or ``cosine`` down to 0."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    if decay == "constant":
        return peak
    if decay == "linear":
        return peak * (1 - done)
    if decay == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    raise ValueError(f"decay must be constant, linear or cosine, got {decay!r}")


class AveragedModel:
    """An exponential moving average of a model's weights: ``model`` is a copy that holds them.

    decay: of the average a step, 0 follows the weights exactly. It is lower in the first steps,
    (1 + step) / (10 + step), so that the random start is forgotten.
    """

    def __init__(self, source: nn.Module, decay: float):
        self.decay = decay
        self.model = copy.deepcopy(source).eval().requires_grad_(False)
        self._averages = list(self.model.parameters())
        self._sources = list(source.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, [p.detach() for p in self._sources], 1 - decay)
