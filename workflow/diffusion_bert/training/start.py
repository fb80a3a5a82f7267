"""Where a training run starts: the tokenizer, and the model before its first step.

A model starts from scratch (an architecture with random weights) or from a backbone: the folder of a published or local
masked language model. A backbone brings its tokenizer; labels are added to both.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from diffusion_bert.backbones.classifier import HEAD
from diffusion_bert.backbones.load import build_model, open_model
from diffusion_bert.diffusion import cross_entropy, mask
from diffusion_bert.errors import UserError
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tokens import BaseTokenizer, BpeTokenizer, KmerTokenizer, Tokenizer, load_tokenizer
from diffusion_bert.training.data import TokenisedWindows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

GUESSED_WINDOWS = 64


def starting_tokenizer(
    settings: Mapping[str, Any], backbone: Path | None, sequences: Sequence[str], labels: Sequence[str]
) -> Tokenizer:
    """The backbone's own tokenizer with labels added, or the one that the settings name.

    settings: ``tokenizer`` of a model's config entry (``kind``: bases, kmers or bpe; ``k``; ``vocabulary_size``), or
    null for the backbone's own, without a backbone single bases. sequences: training windows, on which BPE is trained.
    """
    if backbone is not None:
        return load_tokenizer(backbone).with_labels(labels)
    chosen = settings["tokenizer"] or {"kind": "bases"}
    if chosen["kind"] == "kmers":
        return KmerTokenizer(chosen["k"], labels)
    if chosen["kind"] == "bpe":
        return BpeTokenizer.trained(sequences, chosen["vocabulary_size"], labels)
    return BaseTokenizer(labels)


def starting_model(
    settings: Mapping[str, Any], backbone: Path | None, tokenizer: Tokenizer, max_length: int, seed: int
) -> "PreTrainedModel":
    """The model before its first step, on the CPU, in training mode; the same for the same seed.

    settings: a model's config entry. backbone: its folder, or None to start from scratch; with ``reinit`` only the
    backbone's architecture is taken. max_length: the longest window in tokens of DNA.
    Raises UserError where the backbone cannot be opened.
    """
    torch.manual_seed(derive_seed(seed, "weights"))
    if backbone is None:
        return build_model(settings, tokenizer, max_length).train()
    model = open_model(backbone, trust_remote_code=settings["trust_remote_code"])
    if hasattr(model, HEAD):  # of the labels that the backbone was trained with
        delattr(model, HEAD)
        del model.config.classes
    if settings["reinit"]:
        model = type(model)(model.config)
    if model.config.vocab_size != tokenizer.vocab_size:
        _resize(model, tokenizer.vocab_size)
    return model.train()


def _resize(model: "PreTrainedModel", tokens: int) -> None:
    """Add tokens at the end of the vocabulary (or remove them), in embeddings and logits."""
    old = model.get_input_embeddings().num_embeddings
    # No mean of the old rows: labels are no average token, and transformers would write about it in every log.
    model.resize_token_embeddings(tokens, mean_resizing=False)
    decoder = model.get_output_embeddings()
    for module in model.modules():
        # ESM keeps the bias of the logits beside the decoder, where transformers leaves it as long as it was.
        bias = module._parameters.get("bias")
        if decoder in module.children() and bias is not None and len(bias) == old != tokens:
            resized = bias.new_zeros(tokens)
            resized[:old] = bias.detach()[:tokens]
            module.bias = nn.Parameter(resized, requires_grad=bias.requires_grad)


def starting_point(
    windows: pd.DataFrame, settings: Mapping[str, Any], backbone: Path | None, seed: int
) -> tuple["PreTrainedModel", Tokenizer]:
    """(model, tokenizer) from which ``train`` with these training windows, settings and seed starts."""
    sequences = windows["sequence"].tolist()
    tokenizer = starting_tokenizer(settings, backbone, sequences, sorted(windows["label"].unique()))
    longest = int((tokenizer.encode(sequences) != tokenizer.pad_id).sum(axis=1).max())
    return starting_model(settings, backbone, tokenizer, longest, seed), tokenizer


@torch.inference_mode()
def refuse_worse_than_guess(model: "PreTrainedModel", windows: TokenisedWindows, backbone: Path, seed: int) -> None:
    """UserError where a trained backbone predicts masked tokens of real DNA no better than a uniform guess: its
    weights are then not what its config and tokenizer say they are.

    15 % of the tokens of some windows are masked, as the published models were trained, and no label is shown: its
    place is left out, but for a model that ``train`` has trained, which knows a token for that. One that has learned to
    read from left to right is asked for that instead: it may have learned nothing else. Nats a token are compared with
    those of the uniform distribution over the tokens that spell DNA.
    """
    tokenizer = windows.tokenizer
    generator = torch.Generator().manual_seed(derive_seed(seed, "guess"))
    chosen = torch.randperm(len(windows), generator=generator)[:GUESSED_WINDOWS]
    ids, _, maskable = (x.cpu() for x in windows.rows(chosen))
    written = backbone / "diffusion.json"
    ours = written.is_file()
    if ours:
        ids[:, 1] = tokenizer.no_label_id
    else:
        kept = torch.arange(ids.shape[1]) != 1
        ids, maskable = ids[:, kept], maskable[:, kept]
    if ours and json.loads(written.read_text()).get("left_to_right", False):
        predict, inputs, asked, what = model.from_left, ids, maskable, "tokens read from left to right"
    else:
        predict, what = model, "masked tokens"
        inputs, asked = mask(ids, maskable, torch.full((len(ids),), 0.85), tokenizer.mask_id, generator)
    device = windows.strands.device
    training = model.training
    model.eval()
    logits = predict(input_ids=inputs.to(device), attention_mask=(inputs != tokenizer.pad_id).long().to(device)).logits
    model.train(training)
    nats = cross_entropy(logits, ids.to(device), asked.to(device), windows.is_base).sum() / asked.sum().clamp(min=1)
    guess = math.log(len(tokenizer.base_ids))
    log.info("%s: %.2f nats on %s before training; a uniform guess has %.2f", backbone, float(nats), what, guess)
    if not float(nats) < guess:
        raise UserError(
            f"{backbone}: on {what} of the validation windows the backbone does no better than a uniform guess "
            f"({float(nats):.2f} against {guess:.2f} nats a token), so its weights or its tokenizer are not those of a "
            "trained model of DNA.",
            "Train it for longer before another model starts from it."
            if ours
            else "Get the folder anew; to train the architecture from random weights set reinit: true.",
        )
