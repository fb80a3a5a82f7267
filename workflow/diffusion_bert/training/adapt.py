"""How much of a backbone is trained: all of it, all but its first layers, or low-rank adapters (LoRA) beside it.

What is new to a published backbone (the rows of the label tokens) is always trained; the rows of its own tokens are
trained with the whole model alone.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from diffusion_bert.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapt(model: "PreTrainedModel", finetune: Mapping[str, Any], published_tokens: int) -> None:
    """Set, in place, which parameters of a model are trained.

    finetune: ``method`` (full or lora), ``rank``, ``alpha`` and ``dropout`` of the adapters, ``frozen_layers`` (so many
    of the first layers stay as they are, adapters included). published_tokens: the rows of the embedding that came with
    the backbone; further rows are labels.

    LoRA: Hu et al. 2021, arXiv:2106.09685, on every linear layer but the last; ``without_adapters`` ends it.
    Raises UserError where the model has fewer layers than are to be frozen.
    """
    frozen = finetune["frozen_layers"]
    if finetune["method"] == "lora":
        _add_adapters(model, finetune, frozen)
    elif frozen:
        layers = layers_of(model)
        _refuse_more_than(len(layers), frozen)
        for layer in layers[:frozen]:
            layer.requires_grad_(False)
    if finetune["method"] == "lora" or frozen:
        embedding = model.get_input_embeddings()
        embedding.weight.requires_grad_(True)
        embedding.weight.register_hook(lambda gradient: _only_rows_from(gradient, published_tokens))


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The stack of a model's layers: its longest list of modules; empty where it has none."""
    return max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len, default=nn.ModuleList())


def without_adapters(model: "PreTrainedModel") -> None:
    """Work LoRA's products into the weights they stand beside, in place: the model is what it was, at full speed."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def _add_adapters(model: "PreTrainedModel", finetune: Mapping[str, Any], frozen: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    layers = layers_of(model)
    _refuse_more_than(len(layers), frozen)
    kept = {id(module) for layer in layers[:frozen] for module in layer.modules()}
    kept.add(id(model.get_output_embeddings()))
    targets = [name for name, m in model.named_modules() if isinstance(m, nn.Linear) and id(m) not in kept]
    config = LoraConfig(
        r=finetune["rank"],
        lora_alpha=finetune["alpha"],
        lora_dropout=finetune["dropout"],
        target_modules=targets,
    )
    model.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient.checkpointing.*", category=FutureWarning)
        inject_adapter_in_model(config, model)


def _refuse_more_than(layers: int, frozen: int) -> None:
    if frozen > layers:
        raise UserError(
            f"finetune.frozen_layers is {frozen}, but the backbone has {layers} layers.",
            f"Freeze at most {layers}.",
        )


def _only_rows_from(gradient: Tensor, first: int) -> Tensor:
    """The gradient without that of the published rows; a row without gradient and decay stays, bit for bit."""
    gradient = gradient.clone()
    gradient[:first] = 0
    return gradient


def cost(model: nn.Module, loss_of_a_pass: Callable[[], Tensor], passes: int) -> tuple[str, float]:
    """What training costs, in words, and the seconds a step of so many passes: from one pass, forward and back.

    Memory: weights, and for what is trained gradients, two moments, the average and the best so far; and what the
    forward pass keeps for the backward pass, counted. loss_of_a_pass: computes a loss as a step would. The gradients
    are dropped again and no weight is moved.
    """
    every = sum(p.numel() * p.element_size() for p in model.parameters())
    moved = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    kept: dict[int, int] = {p.untyped_storage().data_ptr(): 0 for p in model.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    began = time.monotonic()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = loss_of_a_pass()
    loss.backward()
    seconds = passes * (time.monotonic() - began)
    model.zero_grad(set_to_none=True)
    mib = (every + 5 * moved + sum(kept.values())) / 2**20
    count_all = sum(p.numel() for p in model.parameters())
    count_moved = sum(p.numel() for p in model.parameters() if p.requires_grad)
    share = "all" if count_moved == count_all else f"{count_moved:,} ({count_moved / count_all:.1%})"
    return f"{count_all:,} parameters, {share} trained; {mib:,.0f} MiB of memory, {seconds:.2g} s a step", seconds
