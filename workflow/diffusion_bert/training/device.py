"""How the passes of a step are computed: in which precision, what is kept of them, and whether they are compiled."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from diffusion_bert.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """``precision`` of a model's config entry on a device: ``float32``, ``tf32``, ``bfloat16`` or ``float16``; ``auto``
    is bfloat16 where the device multiplies in it, else float32. ``name``: what it comes to.

    Weights, their averages, gradients of weights and losses stay float32 whatever it is. Raises UserError where the
    device does not compute in it.
    """

    def __init__(self, name: str, device: torch.device):
        if name in ("float16", "tf32") and device.type != "cuda":
            raise UserError(
                f"precision is {name}, which needs an NVIDIA GPU; training runs on {device.type}.",
                "Set precision to float32 or bfloat16.",
            )
        if name == "auto":
            name = "bfloat16" if multiplies_bfloat16(device) else "float32"
        self.name, self.device = name, device
        # Small gradients vanish in float16: the loss is scaled, and a step whose gradients overflow is left out.
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def autocast(self) -> torch.autocast:
        """The block in which the forward pass is computed."""
        return torch.autocast(self.device.type, AUTOCAST.get(self.name), enabled=self.name in AUTOCAST)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Inside the block, float32 products may be rounded to TF32 where the settings say so; as before at its end."""
        before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.name == "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16, without which they are slower than float32's:
    NVIDIA GPUs since Ampere; CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    found = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def forward_of(model: "PreTrainedModel", settings: Mapping[str, Any]) -> nn.Module:
    """The model as a training step calls it, with the same parameters.

    settings: ``gradient_checkpointing`` (activations are computed again in the backward pass and not kept) and
    ``compile``. Raises UserError where the model cannot do without its activations.
    """
    if settings["gradient_checkpointing"]:
        if not model.supports_gradient_checkpointing:
            raise UserError(
                f"gradient_checkpointing is set, but the backbone {settings['backbone']} does not support it.",
                "Remove it, and raise gradient_accumulation where memory is short.",
            )
        model.activation_checkpointing_enable()
    if not settings["compile"]:
        return model
    torch.use_deterministic_algorithms(True)  # for the compiler too, which reproducible() spares all others
    return torch.compile(model)
