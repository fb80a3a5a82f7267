"""What moves the weights: Muon or AdamW, the learning rate by step, and averaged weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The quintic iteration of Muon's reference (Jordan et al. 2024) that drives all singular values towards 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_DECAY_OF_KMERS = 3.0  # over that of matrices; measured in docs/training.md


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for matrices and convolutions (read as outputs x everything else).

    Every direction of a matrix learns at the same rate, so rare features (long motifs) are learned as soon as common
    ones. Keller Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; torch's own takes
    matrices alone. An update has the size of AdamW's at the same learning rate (Liu et al. 2025: 0.2 * sqrt(longer
    side)), so one learning rate serves both.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float = 0.0, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(state["momentum"], group["momentum"])
                update = orthogonalised(ahead.reshape(len(parameter), -1))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                size = 0.2 * max(update.shape) ** 0.5
                parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"] * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values brought near 1 (0.7 to 1.2): five steps of Newton-Schulz, in the
    precision of the autocast block that it is called in."""
    a, b, c = _QUINTIC
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def optimisers(
    model: "PreTrainedModel", name: str, learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """``adamw``: AdamW for all. ``muon``: Muon for matrices and convolutions, AdamW for the rest.

    The rest are norms, biases, embeddings, depthwise convolutions, the last layer, whose rows are tokens as those of an
    embedding are, and recurrent layers, which learn less with Muon in the same time (four matrices in one, used at each
    base). Matrices and convolutions decay, those of recurrent layers included, and an embedding of k-mers (``kmers``)
    three times as fast: what a few windows wrote there would else be remembered.
    """
    # What AdamW moves whatever the optimiser, by id -> decay, over that of matrices.
    of_adamw = {id(model.get_output_embeddings().weight): 0.0}
    for path, module in model.named_modules():
        if path == "kmers":
            of_adamw[id(module.weight)] = _DECAY_OF_KMERS
        elif isinstance(module, nn.Embedding) or (isinstance(module, nn.Conv1d) and module.groups > 1):
            of_adamw[id(module.weight)] = 0.0
        elif isinstance(module, nn.RNNBase):
            of_adamw.update((id(parameter), 1.0) for parameter in module.parameters())
    own, groups = [], {1.0: [], _DECAY_OF_KMERS: [], 0.0: []}
    for parameter in trainable(model).values():
        if parameter.ndim < 2:
            groups[0.0].append(parameter)
        elif id(parameter) in of_adamw:
            groups[of_adamw[id(parameter)]].append(parameter)
        elif name == "adamw":
            groups[1.0].append(parameter)
        else:
            own.append(parameter)
    adamw = torch.optim.AdamW(
        [{"params": parameters, "weight_decay": decay * weight_decay} for decay, parameters in groups.items()],
        lr=learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    if name == "muon":
        return [Muon(own, learning_rate, weight_decay), adamw]
    if name == "adamw":
        return [adamw]
    raise ValueError(f"optimiser must be adamw or muon, got {name!r}")


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


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training moves, by name; a shared one once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


class AveragedWeights:
    """An exponential moving average of a model's trainable parameters: ``weights``, by name.

    decay: of the average a step, 0 follows the weights exactly. It is lower in the first steps,
    (1 + step) / (10 + step), so that the random start is forgotten. What is frozen is not copied.
    """

    def __init__(self, source: nn.Module, decay: float):
        self.decay = decay
        self._sources = trainable(source)
        self.weights = {name: parameter.detach().clone() for name, parameter in self._sources.items()}

    def sources(self) -> list[nn.Parameter]:
        """The parameters that are averaged: all that training moves."""
        return list(self._sources.values())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        sources = [parameter.detach() for parameter in self._sources.values()]
        torch._foreach_lerp_(list(self.weights.values()), sources, 1 - decay)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block the model computes with the averages; its own weights are back once it ends."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._sources.items():
            parameter.data, self.weights[name] = self.weights[name], parameter.data
