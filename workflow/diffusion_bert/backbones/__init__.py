"""Masked language models of DNA; ``load_masked_lm`` opens any of them."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    # On demand, so that what trains a model does not depend on the code that downloads one.
    if name == "load_masked_lm":
        return import_module("diffusion_bert.backbones.published").load_masked_lm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
