"""A classification head on the [CLS] state of a masked language model, kept in the same file as its weights.

``config.classes`` says how many classes the head has: a model without one has no head. The state is the last of the
model's hidden states, at the first token.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD = "classifier"


def add_classifier(model: "PreTrainedModel", classes: int) -> None:
    """Give a model, in place, a linear head with small random weights (from torch's global generator)."""
    head = nn.Linear(model.config.hidden_size, classes)
    nn.init.normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    weight = model.get_input_embeddings().weight
    setattr(model, HEAD, head.to(device=weight.device, dtype=weight.dtype))
    model.config.classes = classes


def class_logits(model: "PreTrainedModel", hidden_states: tuple[Tensor, ...]) -> Tensor:
    """Logits (B, classes) from the hidden states that a forward pass gave."""
    return getattr(model, HEAD)(hidden_states[-1][:, 0])
