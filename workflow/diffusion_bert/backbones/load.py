"""Backbones by name: built from settings, or opened from a model folder with nothing missing and nothing left over.

transformers is imported on first use: it is slow to import, and much that imports this module never builds a model.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_bert.errors import UserError
from diffusion_bert.tokens import BaseTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BACKBONES = ("convnet", "bert")


def build_model(settings: Mapping[str, Any], tokenizer: BaseTokenizer, max_length: int) -> "PreTrainedModel":
    """A model with random weights (from torch's global generator), in training mode.

    settings: ``backbone``, ``architecture`` and ``dropout`` of a model's config entry.
    max_length: the longest window in tokens of DNA. Raises UserError for sizes that do not fit together.
    """
    backbone, architecture, dropout = settings["backbone"], settings["architecture"], settings["dropout"]
    if backbone == "convnet":
        from diffusion_bert.backbones.convnet import ConvnetConfig, ConvnetForMaskedLM

        for key in ("kernel", "stem_kernel"):
            if architecture[key] % 2 == 0:
                raise UserError(
                    f"architecture: {key} is {architecture[key]}, an odd number was expected.",
                    f"Use {architecture[key] + 1}: a base then sees as far to its left as to its right.",
                )
        _refuse_heads(architecture["width"], architecture["attention_heads"], 1)
        return ConvnetForMaskedLM(
            ConvnetConfig(
                vocab_size=tokenizer.vocab_size,
                pad_token_id=tokenizer.pad_id,
                positions=max_length,
                dropout=dropout,
                **architecture,
            )
        )
    if backbone == "bert":
        from diffusion_bert.backbones.bert import build_bert

        _refuse_heads(architecture["width"], architecture["heads"], 2)  # rotary positions turn pairs of channels
        return build_bert(architecture, dropout, tokenizer, max_length)
    raise UserError(f"backbone is {backbone!r}.", f"Choose one of {', '.join(BACKBONES)}.")


def _refuse_heads(width: int, heads: int, multiple: int) -> None:
    if width % (multiple * heads):
        raise UserError(
            f"architecture: width {width} does not divide into {heads} heads"
            + (" of an even width." if multiple == 2 else "."),
            f"Choose a width that is a multiple of {multiple * heads}.",
        )


def without_progress_bars() -> None:
    """transformers reads and writes a file or two here: no bar for each in the logs."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def open_model(folder: str | Path) -> "PreTrainedModel":
    """The model of a folder that ``save_pretrained`` wrote, in evaluation mode.

    Raises UserError where config or weights are missing or cannot be read, or do not fit each other exactly.
    """
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    from diffusion_bert.backbones.convnet import ConvnetConfig, ConvnetForMaskedLM

    folder = Path(folder)
    remedy = "Copy the whole model folder again, or train the model anew."
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        raise UserError(f"{folder / 'config.json'} is missing or is no model's configuration.", remedy) from None
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder / 'model.safetensors'} is missing.", remedy)
    cls = ConvnetForMaskedLM if kind == ConvnetConfig.model_type else AutoModelForMaskedLM
    without_progress_bars()
    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)  # what it would warn of is an error below
    try:
        model, found = cls.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{folder}: weights and configuration cannot be opened together: {reason}.", remedy) from error
    finally:
        logging.set_verbosity(level)
    problems = [
        f"{what.replace('_', ' ')}: {', '.join(sorted(map(str, found[what]))[:3])}"
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
        if found.get(what)
    ]
    if problems:
        raise UserError(f"{folder / 'model.safetensors'} does not fit config.json ({'; '.join(problems)}).", remedy)
    return model.eval()
