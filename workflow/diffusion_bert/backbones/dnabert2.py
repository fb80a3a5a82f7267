"""DNABERT-2 (Zhou et al. 2023, arXiv 2306.15006), under the published checkpoint's own names.

Modules are named and nested as the keys of the published state dict, which is read and saved as it is.

Post-norm encoder (a MosaicBERT: Portes et al. 2023, arXiv 2312.17482) without position embeddings: attention falls off
linearly with distance (ALiBi: Press et al. 2022, arXiv 2108.12409), so no length is too long. In the shapes below B is
rows, T tokens of a row, h the hidden size and V the vocabulary's size.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MaskedLMOutput

from diffusion_bert.errors import UserError

# The head's norm has this epsilon whatever the config says.
HEAD_NORM_EPSILON = 1e-12


class DnaBert2Config(PretrainedConfig):
    """The published config.json's own fields; the defaults are those of DNABERT-2-117M.

    pad_token_id: [PAD] of the published tokenizer, which the published file does not name. alibi_starting_size and
    max_position_embeddings are kept for other readers of the file and limit nothing here. hidden_act: of the head.

    Raises UserError for heads that do not divide the hidden size.
    """

    model_type = "dnabert2"
    any_length = True

    def __init__(
        self,
        vocab_size: int = 4096,
        pad_token_id: int | None = 3,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.0,
        max_position_embeddings: int = 512,
        alibi_starting_size: int = 512,
        type_vocab_size: int = 2,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        if hidden_size % num_attention_heads:
            raise UserError(
                f"hidden_size {hidden_size} does not divide into {num_attention_heads} heads.",
                f"Choose a hidden_size that is a multiple of {num_attention_heads}.",
            )
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.alibi_starting_size = alibi_starting_size
        self.type_vocab_size = type_vocab_size
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        # They name Python files of the published repository, and what its code did by itself.
        for name in ("auto_map", "gradient_checkpointing"):
            kwargs.pop(name, None)
        kwargs["tie_word_embeddings"] = True
        super().__init__(pad_token_id=3 if pad_token_id is None else pad_token_id, **kwargs)


def alibi_slopes(heads: int) -> list[float]:
    """How fast each head's attention falls off with distance: a geometric series where heads are a power of two, else
    that of the power below, and then every other one of the power above."""

    def series(n: int) -> list[float]:
        return [2.0 ** (-8 * i / n) for i in range(1, n + 1)]

    below = 2 ** math.floor(math.log2(heads))
    return series(below) + series(2 * below)[0::2][: heads - below]


class _Embeddings(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        # Type 0 is added to every token, also where no types are given.
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + self.token_type_embeddings(types)))


class _SelfAttention(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        query, key, value = self.Wqkv(x).view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(
            query, key, value, attn_mask=bias.to(query.dtype), dropout_p=self.dropout if self.training else 0.0
        )
        return mixed.transpose(1, 2).reshape(rows, tokens, width)


class _AttentionOutput(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, mixed: Tensor, x: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(mixed)) + x)


class _Attention(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.self = _SelfAttention(config)
        self.output = _AttentionOutput(config)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.output(self.self(x, bias), x)


class _GatedFeedForward(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        # Gate and gated are one matrix: rows 0..F-1 and F..2F-1.
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        gate, gated = self.gated_layers(x).chunk(2, -1)
        return self.layernorm(self.wo(self.dropout(gelu(gate) * gated)) + x)


class _Layer(GradientCheckpointingLayer):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.attention = _Attention(config)
        self.mlp = _GatedFeedForward(config)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.mlp(self.attention(x, bias))


class _Encoder(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.slopes = alibi_slopes(config.num_attention_heads)
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))

    def bias(self, real: Tensor) -> Tensor:
        """What is added to the scores, (B, heads, T, T) float32: less with distance, nothing left of padding.

        Made anew in each forward pass, for its length. Rows of padding see all that is real, so no softmax is empty.
        """
        place = torch.arange(real.shape[1], device=real.device)
        distance = (place[:, None] - place).abs().float()
        slopes = torch.tensor(self.slopes, device=real.device)
        return (-slopes[:, None, None] * distance).masked_fill(~real[:, None, None, :], -math.inf)

    def forward(self, x: Tensor, real: Tensor, keep: bool) -> tuple[Tensor, ...]:
        """The output of the last layer, behind x and that of each other layer where these are to be kept."""
        bias = self.bias(real)
        kept = []
        for layer in self.layer:
            if keep:
                kept.append(x)
            x = layer(x, bias)
        return *kept, x


class _Bert(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = _Encoder(config)

    def forward(self, input_ids: Tensor, real: Tensor, types: Tensor | None, keep: bool) -> tuple[Tensor, ...]:
        return self.encoder(self.embeddings(input_ids, types), real, keep)


class _Transform(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, HEAD_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(self.act(self.dense(x)))


class _Predictions(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.transform = _Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.transform(x))


class _Head(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.predictions = _Predictions(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.predictions(x)


class DnaBert2ForMaskedLM(PreTrainedModel):
    """input_ids (B, T), attention_mask (B, T) -> logits (B, T, V).

    With output_hidden_states, ``hidden_states`` are layers + 1 tensors (B, T, h): what the embedding block gives, and
    the output of each layer; the last one is what the head reads. What logits and states are at padding has no meaning.
    The decoder's weight is that of the word embeddings.
    """

    config_class = DnaBert2Config
    base_model_prefix = "bert"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}
    # Of sequence-level models; not in the published file.
    _keys_to_ignore_on_load_unexpected = [r"^bert\.pooler\.dense\.(weight|bias)$"]

    def __init__(self, config: DnaBert2Config):
        super().__init__(config)
        self.bert = _Bert(config)
        self.cls = _Head(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.bert.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.bert.embeddings.word_embeddings = value

    def get_output_embeddings(self) -> nn.Linear:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.cls.predictions.decoder = new_embeddings

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **unused,
    ) -> MaskedLMOutput:
        """attention_mask: non-zero where a token is real; without one every token but padding is."""
        real = input_ids != self.config.pad_token_id if attention_mask is None else attention_mask.bool()
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        states = self.bert(input_ids, real, token_type_ids, keep)
        return MaskedLMOutput(logits=self.cls(states[-1]), hidden_states=states if keep else None)
