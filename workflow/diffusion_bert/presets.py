"""What fits a machine: batch size, precision and accumulation by the size of a model, for windows of some 200 bp.

The GPUs of the larger presets have bfloat16 and so much memory (GB) as their name says; a laptop may have it or not.
The batch is what a step learns from, so it is never made smaller for want of memory: it is computed in parts
(``gradient_accumulation``).

Counted from what a float32 pass keeps (GPUs were not at hand; bfloat16 keeps about half), with 24 bytes a parameter for
weights, gradients, moments and averages, at 200 bp: 114 million parameters over single bases take 2.5 + 14 GB at 64
windows and 2.5 + 27 GB at 128; 496 million over 6-mers 11 + 2 GB at 16 and 11 + 7 GB at 64. Memory grows with the
length: at 1,000 bp raise the parts. No number of parts makes room for the weights: above some 0.8 billion parameters
(gpu24) or 3 billion (gpu80) only adapters (``finetune.method: lora``) fit.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Preset -> precision, and (windows a step, parts) of small, medium and large models.
PRESETS: Mapping[str, tuple[str, dict[str, tuple[int, int]]]] = {
    "laptop": ("auto", {"small": (32, 1), "medium": (32, 4), "large": (32, 16)}),
    "gpu24": ("bfloat16", {"small": (128, 1), "medium": (64, 1), "large": (64, 4)}),
    "gpu80": ("bfloat16", {"small": (256, 1), "medium": (128, 1), "large": (128, 2)}),
}
# Up to so many parameters; the published models of 50 to 117 million are medium, of 250 million and more large.
_MOST = {"small": 30e6, "medium": 200e6}
_IN_NAME = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([mb])(?![a-z0-9])")


def preset(name: str, parameters: float | None) -> dict[str, Any]:
    """``batch_size``, ``precision`` and ``gradient_accumulation`` of a model of so many parameters; where that is not
    known, of a medium one."""
    precision, by_size = PRESETS[name]
    batch_size, parts = by_size[size_of(parameters)]
    return {"batch_size": batch_size, "precision": precision, "gradient_accumulation": parts}


def size_of(parameters: float | None) -> str:
    """``small``, ``medium`` or ``large``; ``medium`` where it is not known."""
    if parameters is None:
        return "medium"
    return next((size for size, most in _MOST.items() if parameters <= most), "large")


def parameters_of(backbone: str, architecture: Mapping[str, Any]) -> float | None:
    """About how many parameters a model has, before anything is built or fetched; None where nothing tells it.

    architecture: the sizes of one trained from scratch, else empty. A published backbone tells it by its name
    (DNABERT-2-117M), a folder by the size of its weights, taken for float32.
    """
    if backbone == "recurrent":
        of_kmers = architecture["embedded"] * 4 ** architecture["kmer"]
        return of_kmers + 8 * architecture["layers"] * architecture["width"] ** 2
    if architecture:
        blocks = architecture.get("layers") or len(architecture["dilations"]) + architecture["attention_layers"]
        return blocks * (4 + 3 * architecture["expansion"]) * architecture["width"] ** 2
    if Path(backbone).is_dir():
        files = [file for kind in ("*.safetensors", "*.bin") for file in Path(backbone).glob(kind)]
        return sum(file.stat().st_size for file in files) / 4 or None
    found = _IN_NAME.search(backbone.lower())
    return float(found[1]) * {"m": 1e6, "b": 1e9}[found[2]] if found else None
