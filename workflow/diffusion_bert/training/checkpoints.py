"""Model folders: what is written, how it is read back, and the proof that the weights in it are those in use."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from diffusion_bert.backbones.load import open_model, without_progress_bars
from diffusion_bert.diffusion import Schedule, restrict
from diffusion_bert.errors import UserError
from diffusion_bert.reproducible import best_device
from diffusion_bert.tables import TRAINING, write_tsv
from diffusion_bert.tokens import Tokenizer, load_tokenizer


@dataclass
class Denoiser:
    """A trained masked language model with what is needed to generate from it.

    model: ``model(input_ids=(B, T), attention_mask=(B, T)).logits`` is (B, T, V). tokenizer: how DNA becomes ids.
    schedule: the noise schedule it was trained on. settings: ``diffusion.json`` as read.
    """

    model: nn.Module
    tokenizer: Tokenizer
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

    @property
    def leave_one_out(self) -> bool:
        """Whether a token's prediction does not depend on the token itself, so that it need not be masked."""
        return getattr(self.model, "leave_one_out", False)

    @property
    def left_to_right(self) -> bool:
        """Whether the model has learned to read from left to right, so that probabilities of that order are exact."""
        return self.settings.get("left_to_right", False)

    @torch.inference_mode()
    def log_probs(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        batch_size: int = 256,
        *,
        left_to_right: bool = False,
    ) -> Tensor:
        """log p of each token at each position, (B, T, V) float32 on the device; -inf on all that is no base.

        input_ids (B, T), framed rows with [MASK] where unknown; attention_mask (B, T), by default all but padding.
        left_to_right: of each token given those on its left alone, by a model that has learned that.
        Rows go through the model batch_size at a time.
        """
        input_ids = torch.as_tensor(input_ids).to(self.device, torch.long)
        if attention_mask is None:
            attention_mask = input_ids != self.tokenizer.pad_id
        attention_mask = torch.as_tensor(attention_mask).to(self.device, torch.long)
        predict = self.model.from_left if left_to_right else self.model
        parts = [
            torch.log_softmax(restrict(predict(input_ids=i, attention_mask=m).logits.float(), self.allowed), -1)
            for i, m in zip(input_ids.split(batch_size), attention_mask.split(batch_size), strict=True)
        ]
        return torch.cat(parts)

    @property
    def walks(self) -> bool:
        """Whether the model can go over rows from left to right, reading each base once (``walk`` of the model)."""
        return hasattr(self.model, "walk")


def digest_of_weights(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_model_folder(
    folder: str | Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    diffusion: dict[str, Any],
    curve: pd.DataFrame | None = None,
) -> None:
    """Write a model folder: config.json, model.safetensors, the tokenizer's files, diffusion.json, training.tsv.

    diffusion: ``schedule`` (the fields of a Schedule) and whatever else should be known of the model; the labels and a
    digest of the weights are added. All is written beside first. A folder is complete when diffusion.json is in it,
    which is the last file to appear and, where a model is replaced, the first to go.
    """
    folder = Path(folder)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        without_progress_bars()
        model.save_pretrained(part)
        tokenizer.save(part)
        if curve is not None:
            write_tsv(curve, part / "training.tsv", TRAINING)
        content = {**diffusion, "labels": tokenizer.labels, "weights_sha256": digest_of_weights(model)}
        (part / "diffusion.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        folder.mkdir(exist_ok=True)
        (folder / "diffusion.json").unlink(missing_ok=True)
        readable = (part / "diffusion.json").stat().st_mode
        for file in sorted(part.iterdir(), key=lambda file: file.name == "diffusion.json"):
            file.chmod(readable)  # weights are written for their owner alone
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_model_folder(folder: str | Path, device: str = "auto") -> Denoiser:
    """The model of a folder that ``save_model_folder`` wrote, ready to generate.

    Raises UserError where a file is missing or broken, weights and configuration do not fit each other exactly, or the
    weights in use are not those that were saved.
    """
    folder = Path(folder)
    remedy = "Copy the whole model folder again, or train the model anew."
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such model folder.", "Give the folder of a trained model.")
    try:
        settings = json.loads((folder / "diffusion.json").read_text())
        schedule, expected = Schedule(**settings["schedule"]), settings["weights_sha256"]
    except FileNotFoundError:
        raise UserError(f"{folder}: diffusion.json is missing, so the folder is not complete.", remedy) from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder / 'diffusion.json'} does not describe a diffusion model.", remedy) from None
    tokenizer = load_tokenizer(folder)
    model = open_model(folder)
    if model.config.vocab_size != tokenizer.vocab_size:
        raise UserError(
            f"{folder}: the model has {model.config.vocab_size} tokens, its tokenizer {tokenizer.vocab_size}.", remedy
        )
    if digest_of_weights(model) != expected:
        raise UserError(f"{folder}: the weights are not those that were saved (digests differ).", remedy)
    return Denoiser(model, tokenizer, schedule, settings, best_device(device))
