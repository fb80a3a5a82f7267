"""A small BERT-like transformer from scratch: transformers' ModernBERT (pre-norm, rotary, gated feed-forward).

Rotary positions let it read windows of any length; its attention is torch's scaled_dot_product_attention.
"""

from collections.abc import Mapping
from typing import Any

from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedModel

from diffusion_bert.tokens import BaseTokenizer


def build_bert(
    architecture: Mapping[str, Any], dropout: float, tokenizer: BaseTokenizer, max_length: int
) -> PreTrainedModel:
    """architecture: ``width`` (a multiple of heads), ``layers``, ``heads``, ``expansion`` of the feed-forward layers.

    max_length: longest window in tokens of DNA. Every layer attends to the whole window.
    """
    config = ModernBertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=architecture["width"],
        num_hidden_layers=architecture["layers"],
        num_attention_heads=architecture["heads"],
        intermediate_size=architecture["expansion"] * architecture["width"],
        max_position_embeddings=max_length + tokenizer.extra_tokens,
        layer_types=["full_attention"] * architecture["layers"],
        attention_dropout=dropout,
        mlp_dropout=dropout,
        embedding_dropout=dropout,
        pad_token_id=tokenizer.pad_id,
        cls_token_id=tokenizer.cls_id,
        bos_token_id=tokenizer.cls_id,
        sep_token_id=tokenizer.sep_id,
        eos_token_id=tokenizer.sep_id,
        # A few tokens that are predicted far apart from how they are read: input and output are not shared.
        tie_word_embeddings=False,
    )
    return ModernBertForMaskedLM._from_config(config, attn_implementation="sdpa")
