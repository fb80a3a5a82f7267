"""What a model makes of sequences: one vector each, from its last hidden states."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from diffusion_bert.reproducible import best_device, reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import EMBEDDINGS, WINDOWS, read_parquet, write_parquet
from diffusion_bert.tokens import Tokenizer
from diffusion_bert.training.checkpoints import load_model_folder
from diffusion_bert.training.start import starting_point

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Model and tokenizer, from all training windows (on which a tokenizer may have been trained).
Load = Callable[[pd.DataFrame], tuple["PreTrainedModel", Tokenizer]]


@torch.inference_mode()
def embed(model: "PreTrainedModel", tokenizer: Tokenizer, sequences: Sequence[str], batch_size: int = 64) -> np.ndarray:
    """The mean of the last hidden states over the tokens that spell DNA: (n, hidden size) float32.

    The sequences are read whole (nothing masked) and without their labels. Rows are sorted by length, so that little
    padding is computed; padding is never averaged. The model is used in evaluation mode and where it lies.
    """
    ids, attention = tokenizer.frame(tokenizer.encode(sequences), [None] * len(sequences))
    is_base = torch.from_numpy(tokenizer.is_base)
    order = np.argsort(attention.sum(axis=1), kind="stable")
    out = np.empty((len(ids), model.config.hidden_size), dtype=np.float32)
    training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = int(attention[rows].sum(axis=1).max())
        part = torch.from_numpy(ids[rows, :longest])
        states = model(
            input_ids=part.to(model.device),
            attention_mask=torch.from_numpy(attention[rows, :longest]).to(model.device),
            output_hidden_states=True,
        ).hidden_states[-1]
        real = is_base[part].to(states.device).unsqueeze(-1)
        total = (states.float() * real).sum(1) / real.sum(1).clamp(min=1)
        out[rows] = total.cpu().numpy()
    model.train(training)
    return out


def trained(folder: str | Path) -> Load:
    """The model of a folder that training wrote."""

    def load(_: pd.DataFrame) -> tuple["PreTrainedModel", Tokenizer]:
        denoiser = load_model_folder(folder)
        return denoiser.model, denoiser.tokenizer

    return load


def start_of(settings: Mapping[str, Any], backbone: str | None, seed: int) -> Load:
    """The model from which a training run with these settings and seed starts."""
    return lambda windows: starting_point(windows, settings, None if backbone is None else Path(backbone), seed)


def embed_windows(
    train_parquet: str | Path,
    test_parquet: str | Path,
    load: Load,
    *,
    most: int,
    seed: int,
    destination: str | Path,
) -> None:
    """Write EMBEDDINGS of training and test windows, at most so many of each, drawn from the seed.

    load: as ``trained`` or ``start_of`` makes it. The windows are the same whatever the model, so that
    models can be compared.
    """
    with reproducible():
        frames = {"train": read_parquet(train_parquet, WINDOWS), "test": read_parquet(test_parquet, WINDOWS)}
        model, tokenizer = load(frames["train"])
        model.to(best_device())
        parts = []
        for split, frame in frames.items():
            generator = np.random.default_rng(derive_seed(seed, split))
            rows = np.sort(generator.permutation(len(frame))[:most])
            chosen = frame.iloc[rows]
            vectors = embed(model, tokenizer, chosen["sequence"].tolist())
            parts.append(
                pd.DataFrame(
                    {"split": split, "row": rows + 1, "label": chosen["label"].to_numpy(), "embedding": list(vectors)}
                )
            )
        write_parquet(pd.concat(parts, ignore_index=True), destination, EMBEDDINGS)
