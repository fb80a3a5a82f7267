"""Nucleotide Transformer v2 (Dalla-Torre et al., Nature Methods 2024), under the published checkpoints' own names.

Modules are named and nested as the keys of the published state dict, which is read and saved as it is. The published
weights are CC BY-NC-SA 4.0: not for commercial use.

Pre-norm encoder with rotary positions (Su et al., arXiv 2104.09864) and a gated feed-forward layer (SwiGLU: Shazeer,
arXiv 2002.05202). In the shapes below B is rows, T tokens of a row, h the hidden size and V the vocabulary's size.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention, silu
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MaskedLMOutput

from diffusion_bert.errors import UserError

# token_dropout rescales to this share of masked tokens: 80 % of the 15 % that training chose were masked.
MASKED_IN_TRAINING = 0.15 * 0.8


class NucleotideTransformerConfig(PretrainedConfig):
    """The published config.json's own fields; the defaults are those of the 100m multi-species model.

    max_position_embeddings: what the published models were trained on; positions are rotary, so it limits nothing.
    token_dropout: zero the embedding of masks and rescale the others (no v2 model does); emb_layer_norm_before: a norm
    after the embedding; add_bias_fnn: biases in the feed-forward layers.

    Raises UserError for what is no Nucleotide Transformer v2, and for heads that do not divide the hidden size.
    """

    model_type = "nucleotide_transformer"
    any_length = True

    def __init__(
        self,
        vocab_size: int = 4107,
        pad_token_id: int = 1,
        mask_token_id: int = 2,
        hidden_size: int = 512,
        num_hidden_layers: int = 22,
        num_attention_heads: int = 16,
        intermediate_size: int = 2048,
        max_position_embeddings: int = 2050,
        position_embedding_type: str = "rotary",
        tie_word_embeddings: bool = False,
        token_dropout: bool = False,
        emb_layer_norm_before: bool = False,
        add_bias_fnn: bool = False,
        hidden_dropout_prob: float = 0.0,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        if position_embedding_type != "rotary" or tie_word_embeddings:
            raise UserError(
                f"position_embedding_type is {position_embedding_type!r} and tie_word_embeddings {tie_word_embeddings}:"
                " in Nucleotide Transformer v2 positions are rotary and input and output embeddings are not shared.",
                "Choose a v2 checkpoint, such as InstaDeepAI/nucleotide-transformer-v2-100m-multi-species.",
            )
        if hidden_size % (2 * num_attention_heads):
            raise UserError(
                f"hidden_size {hidden_size} does not divide into {num_attention_heads} heads of an even width.",
                f"Choose a hidden_size that is a multiple of {2 * num_attention_heads}.",
            )
        self.vocab_size = vocab_size
        self.mask_token_id = mask_token_id
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.position_embedding_type = position_embedding_type
        self.token_dropout = token_dropout
        self.emb_layer_norm_before = emb_layer_norm_before
        self.add_bias_fnn = add_bias_fnn
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        # It names Python files of the published repository: a saved model has none and needs none.
        kwargs.pop("auto_map", None)
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)


def _rotary_tables(tokens: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, width) of a head of ``width`` channels, channel j turned with channel j + width/2.

    Computed anew in each forward pass, which costs little: tables kept from one in inference mode could never be
    trained through. In float32 whatever the weights are: bfloat16 holds no position above 256 exactly.
    """
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angles = torch.arange(tokens, device=device, dtype=torch.float32).unsqueeze(-1) * frequencies
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """x (B, heads, T, width) with each pair of channels turned by its position's angle."""
    first, second = x.chunk(2, -1)
    return (x * cosines + torch.cat([-second, first], -1) * sines).to(x.dtype)


class _Embeddings(nn.Module):
    """The published code also zeroes padding, which changes nothing: no real token attends to it."""

    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.mask_token_id = config.mask_token_id
        self.token_dropout = config.token_dropout
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        if config.emb_layer_norm_before:
            self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        else:
            self.layer_norm = nn.Identity()

    def forward(self, input_ids: Tensor, real: Tensor) -> Tensor:
        x = self.word_embeddings(input_ids)
        if self.token_dropout:
            masked = (input_ids == self.mask_token_id) & real
            shares = masked.sum(-1) / real.sum(-1)
            scales = (1 - MASKED_IN_TRAINING) / (1 - shares)
            x = x.masked_fill(masked.unsqueeze(-1), 0.0) * scales[:, None, None].to(x.dtype)
        return self.layer_norm(x)


class _SelfAttention(nn.Module):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, seen: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        query, key, value = (
            part(x).view(rows, tokens, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = scaled_dot_product_attention(
            _turned(query, cosines, sines),
            _turned(key, cosines, sines),
            value,
            attn_mask=seen,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return mixed.transpose(1, 2).reshape(rows, tokens, width)


class _Dense(nn.Module):
    """A linear layer under the name the published keys give it."""

    def __init__(self, inputs: int, outputs: int, bias: bool):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


class _Attention(nn.Module):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.self = _SelfAttention(config)
        self.output = _Dense(config.hidden_size, config.hidden_size, bias=True)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Tensor, seen: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        return self.output(self.self(self.LayerNorm(x), seen, cosines, sines))


class _Layer(GradientCheckpointingLayer):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.attention = _Attention(config)
        # Gate and gated are one matrix: rows 0..F-1 and F..2F-1.
        self.intermediate = _Dense(config.hidden_size, 2 * config.intermediate_size, config.add_bias_fnn)
        self.output = _Dense(config.intermediate_size, config.hidden_size, config.add_bias_fnn)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, seen: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(x, seen, cosines, sines))
        gate, gated = self.intermediate(self.LayerNorm(x)).chunk(2, -1)
        return x + self.dropout(self.output(silu(gate) * gated))


class _Encoder(nn.Module):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.emb_layer_norm_after = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Tensor, real: Tensor, keep: bool) -> tuple[Tensor, ...]:
        """The final norm, behind x and the output of each layer where these are to be kept."""
        seen = real[:, None, None, :]
        cosines, sines = _rotary_tables(x.shape[1], self.head_width, x.device)
        kept = [x] if keep else []
        for layer in self.layer:
            x = layer(x, seen, cosines, sines)
            if keep:
                kept.append(x)
        return *kept, self.emb_layer_norm_after(x)


class _Esm(nn.Module):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = _Encoder(config)

    def forward(self, input_ids: Tensor, real: Tensor, keep: bool) -> tuple[Tensor, ...]:
        return self.encoder(self.embeddings(input_ids, real), real, keep)


class _Head(nn.Module):
    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.layer_norm(gelu(self.dense(x)))) + self.bias


class NucleotideTransformerForMaskedLM(PreTrainedModel):
    """input_ids (B, T), attention_mask (B, T) -> logits (B, T, V).

    With output_hidden_states, ``hidden_states`` are layers + 2 tensors (B, T, h): the embedding, the raw output of
    each layer (the residual stream), and last the final norm, which is what the head reads. (The published code leaves
    the raw output of the last layer out.) What logits and states are at padding has no meaning.
    """

    config_class = NucleotideTransformerConfig
    base_model_prefix = "esm"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # In the published files, used by nothing in them that predicts tokens.
    _keys_to_ignore_on_load_unexpected = [
        r"^esm\.embeddings\.position_embeddings\.weight$",
        r"^esm\.contact_head\.regression\.(weight|bias)$",
        r"^esm\.encoder\.layer\.\d+\.attention\.self\.rotary_embeddings\.inv_freq$",
    ]

    def __init__(self, config: NucleotideTransformerConfig):
        super().__init__(config)
        self.esm = _Esm(config)
        self.lm_head = _Head(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Linear | nn.LayerNorm | _Head) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.esm.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.esm.embeddings.word_embeddings = value

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.lm_head.decoder = new_embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As transformers', and the bias too, which is the head's and not the decoder's: new tokens get the mean of the
        old ones' (mean_resizing) or zero.
        """
        embeddings = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        old, tokens = self.lm_head.bias, embeddings.num_embeddings
        if tokens != len(old):
            bias = (old.detach().mean() if mean_resizing else old.new_zeros(())).repeat(tokens)
            kept = min(tokens, len(old))
            bias[:kept] = old.detach()[:kept]
            self.lm_head.bias = nn.Parameter(bias, requires_grad=old.requires_grad)
        return embeddings

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **unused,
    ) -> MaskedLMOutput:
        """attention_mask: non-zero where a token is real; without one every token but padding is."""
        real = input_ids != self.config.pad_token_id if attention_mask is None else attention_mask.bool()
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        states = self.esm(input_ids, real, keep)
        return MaskedLMOutput(logits=self.lm_head(states[-1]), hidden_states=states if keep else None)
