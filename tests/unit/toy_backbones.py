"""Small checkpoints in the published layouts of DNABERT-2 and Nucleotide Transformer v2."""

import json

import numpy as np
import torch

from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM
from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)
from diffusion_bert.tokens import BpeTokenizer, KmerTokenizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def published(folder, kind, sequences, *, knows=True, k=3, vocabulary=20):
    """Write a checkpoint as it is published: no labels, no ``model_type``. Its weights are random, and where it
    ``knows`` DNA it predicts each token by its frequency in the sequences. Returns its tokenizer."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "dnabert2":
        tokenizer = BpeTokenizer.trained(sequences, vocabulary)
        model = DnaBert2ForMaskedLM(DnaBert2Config(vocab_size=tokenizer.no_label_id, **SIZES))
        bias, special = model.cls.predictions.decoder.bias, tokenizer.special
    else:
        tokenizer = KmerTokenizer(k)
        sizes = {"vocab_size": tokenizer.no_label_id, "max_position_embeddings": 64}
        model = NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**sizes, **SIZES))
        bias, special = model.lm_head.bias, {**tokenizer.special, "unk": "<unk>"}
    ids = tokenizer.encode(sequences)
    counts = np.bincount(ids.ravel(), minlength=len(bias)) + 0.5
    counts[tokenizer.pad_id] = 0.5
    with torch.no_grad():
        frequencies = torch.from_numpy(np.log(counts / counts.sum()))
        bias.copy_(frequencies if knows else -5 * frequencies)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"], config["architectures"]
    if kind == "dnabert2":
        del config["pad_token_id"]
        content = json.loads(tokenizer._backend.to_str())
        (folder / "tokenizer.json").write_text(json.dumps(content))
    else:
        (folder / "vocab.txt").write_text("\n".join(tokenizer.tokens[: tokenizer.no_label_id]) + "\n")
    named = {f"{role}_token": token for role, token in special.items()}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return tokenizer
