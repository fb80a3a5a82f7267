"""What the tests of the published architectures share: small models, batches, and the reference checkpoints."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM
from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)

FIXTURES = Path(__file__).parents[3] / "shared" / "backbones"
PARITY = {"rtol": 1e-4, "atol": 2e-4}
SIZES = {
    "vocab_size": 30,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
}


@dataclass(frozen=True)
class Architecture:
    """mask: [MASK]'s id, below which are specials alone. states: hidden states of three layers. inner: a module that
    each layer runs once a pass. switches: settings that the published checkpoints leave at their defaults."""

    folder: str
    model: type
    config: type
    sizes: dict
    mask: int
    states: int
    inner: str
    switches: dict = field(default_factory=dict)

    @property
    def fixtures(self) -> Path:
        return FIXTURES / self.folder

    @property
    def cases(self) -> list[str]:
        """The reference checkpoints, if they are beside this checkout."""
        return sorted(file.parent.name for file in self.fixtures.glob("*/model.safetensors"))

    def small(self, seed=0, **changes):
        """A small model in which no parameter hides behind a zero or a one."""
        torch.manual_seed(seed)
        model = self.model(self.config(**(self.sizes | changes))).eval()
        for name, parameter in model.named_parameters():
            is_norm = name.endswith(".weight") and parameter.ndim == 1
            torch.nn.init.normal_(parameter, mean=float(is_norm), std=0.3)
        return model

    def batch(self, tokens=19, lengths=(19, 11, 2)):
        """Random ids (masks among them) and the mask of the real ones; what lies at padding is random too."""
        ids = torch.from_numpy(
            np.random.default_rng(7).integers(self.mask, SIZES["vocab_size"], (len(lengths), tokens))
        )
        return ids, (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()

    def reference(self, case):
        """The model of a reference checkpoint, and what the published code gives for some inputs."""
        model, found = self.model.from_pretrained(self.fixtures / case, output_loading_info=True)
        assert not any(found.values())
        arrays = {}
        for name in ("inputs", "expected"):
            with np.load(self.fixtures / case / f"{name}.npz") as file:
                arrays |= {key: torch.from_numpy(file[key]) for key in file}
        return model.eval(), arrays


DNABERT2 = Architecture(
    folder="dnabert2",
    model=DnaBert2ForMaskedLM,
    config=DnaBert2Config,
    sizes={**SIZES, "hidden_dropout_prob": 0.0},
    mask=4,
    states=4,
    inner="attention",
)
NUCLEOTIDE_TRANSFORMER = Architecture(
    folder="nt_v2",
    model=NucleotideTransformerForMaskedLM,
    config=NucleotideTransformerConfig,
    sizes={**SIZES, "max_position_embeddings": 16},
    mask=2,
    states=5,
    inner="intermediate",
    switches={"token_dropout": True, "emb_layer_norm_before": True, "add_bias_fnn": True},
)


def gradients(model, ids, real):
    model.zero_grad()
    logits = model(ids, attention_mask=real).logits
    cross_entropy(logits[real == 1].float(), ids[real == 1]).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def checkpointed(model):
    model.activation_checkpointing_enable()
    assert all(layer.gradient_checkpointing for layer in model.base_model.encoder.layer)
    return model
