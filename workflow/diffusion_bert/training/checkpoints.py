"""Model folders: what is written, how it is read back, and the proof that the weights in it are those in use."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_bert.diffusion import Schedule, restrict
from diffusion_bert.tokens import BaseTokenizer


@dataclass
class Denoiser:
    """A trained masked language model with what is needed to generate from it.

    model: ``model(input_ids=(B, T), attention_mask=(B, T)).logits`` is (B, T, V). tokenizer: how DNA becomes ids.
    schedule: the noise schedule it was trained on. settings: ``diffusion.json`` as read.
    """

    model: nn.Module
    tokenizer: BaseTokenizer
    schedule: Schedule = field(default_factory=Schedule)
    settings: dict[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self):
        self.device = torch.device(self.device)
        self.model.to(self.device).eval()
        self.allowed = torch.from_numpy(self.tokenizer.is_base).to(self.device)

    @property
    def labels(self) -> list[str]:
        """The labels the model can be asked for."""
        return self.tokenizer.labels

    @torch.inference_mode()
    def log_probs(self, input_ids: Tensor, attention_mask: Tensor | None = None, batch_size: int = 256) -> Tensor:
        """log p of each token at each position, (B, T, V) float32 on the device; -inf on all that is no base.

        input_ids (B, T), framed rows with [MASK] where unknown; attention_mask (B, T), by default all but padding.
        Rows go through the model batch_size at a time.
        """
        input_ids = torch.as_tensor(input_ids).to(self.device, torch.long)
        if attention_mask is None:
            attention_mask = input_ids != self.tokenizer.pad_id
        attention_mask = torch.as_tensor(attention_mask).to(self.device, torch.long)
        parts = [
            torch.log_softmax(restrict(self.model(input_ids=i, attention_mask=m).logits.float(), self.allowed), -1)
            for i, m in zip(input_ids.split(batch_size), attention_mask.split(batch_size), strict=True)
        ]
        return torch.cat(parts)
