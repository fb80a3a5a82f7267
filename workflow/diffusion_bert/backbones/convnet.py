"""A convolutional masked language model over single bases, from scratch.

A wide convolution over the tokens (cheap, as tokens need few channels, and as long as a motif), then residual blocks,
pre-norm: a dilated convolution and a feed-forward layer each, and last, for what lies beyond the convolutions' reach
(the composition of the whole window, repeats), self-attention and a feed-forward layer. What neither can know is added
to every position: the label, and the place in the window (``places``).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import PretrainedConfig
from transformers.modeling_outputs import MaskedLMOutput

from diffusion_bert.backbones.bases import AROUND, ModelOfBases, places


class ConvnetConfig(PretrainedConfig):
    """vocab_size and pad_token_id as the tokenizer's; positions: the longest trained window, in tokens of DNA;
    kernel, stem_kernel: odd widths of the convolutions; dilations: one a block of convolution; attention_layers: blocks
    of attention after those; expansion: of the feed-forward layers.
    """

    model_type = "diffusion_bert_convnet"
    attribute_map = {"hidden_size": "width"}

    def __init__(
        self,
        vocab_size: int = 10,
        pad_token_id: int = 0,
        positions: int = 200,
        width: int = 128,
        stem_channels: int = 16,
        stem_kernel: int = 19,
        kernel: int = 9,
        dilations: tuple[int, ...] = (1, 2),
        attention_layers: int = 1,
        attention_heads: int = 4,
        expansion: int = 2,
        dropout: float = 0.0,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.positions = positions
        self.width = width
        self.stem_channels = stem_channels
        self.stem_kernel = stem_kernel
        self.kernel = kernel
        self.dilations = list(dilations)
        self.attention_layers = attention_layers
        self.attention_heads = attention_heads
        self.expansion = expansion
        self.dropout = dropout
        super().__init__(pad_token_id=pad_token_id, **kwargs)


class _Convolution(nn.Conv1d):
    """A convolution of the same length out as in, over (B, T, C)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1):
        super().__init__(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class _ConvolutionMixer(nn.Module):
    """What each token takes from its neighbours."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.out = _Convolution(width, width, kernel, dilation)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        # Norm and bias make padding non-zero: it is zeroed again before each convolution, so that none reaches a base.
        return gelu(self.out(x * real))


class _AttentionMixer(nn.Module):
    """What each token takes from all real tokens of its row."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        query, key, value = self.query_key_value(x).view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = (real > 0).transpose(1, 2).unsqueeze(1)  # (B, 1, 1, T)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))


class _Block(nn.Module):
    def __init__(self, mixer: nn.Module, width: int, expansion: int, dropout: float):
        super().__init__()
        self.mixer_norm = nn.LayerNorm(width)
        self.mixer = mixer
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn_in = nn.Linear(width, expansion * width)
        self.ffn_out = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, real: Tensor) -> Tensor:
        h = h + self.dropout(self.mixer(self.mixer_norm(h), real))
        return h + self.dropout(self.ffn_out(gelu(self.ffn_in(self.ffn_norm(h)))))


class ConvnetForMaskedLM(ModelOfBases):
    """See ``ModelOfBases``."""

    config_class = ConvnetConfig
    base_model_prefix = "convnet"

    def __init__(self, config: ConvnetConfig):
        super().__init__(config)
        self.tokens = nn.Embedding(config.vocab_size, config.stem_channels)
        self.stem = _Convolution(config.stem_channels, config.width, config.stem_kernel)
        self.label = nn.Embedding(config.vocab_size, config.width)
        self.position = nn.Embedding(config.positions + AROUND, config.width)
        mixers = [_ConvolutionMixer(config.width, config.kernel, dilation) for dilation in config.dilations]
        mixers += [_AttentionMixer(config.width, config.attention_heads) for _ in range(config.attention_layers)]
        self.blocks = nn.ModuleList(_Block(m, config.width, config.expansion, config.dropout) for m in mixers)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocab_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, _Block):
            # Each branch begins at a fraction of the residual stream it adds to.
            for branch in (module.mixer.out, module.ffn_out):
                branch.weight.mul_((len(self.config.dilations) + self.config.attention_layers) ** -0.5)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **unused,
    ) -> MaskedLMOutput:
        if attention_mask is None:
            attention_mask = (input_ids != self.config.pad_token_id).long()
        real = attention_mask.unsqueeze(-1).to(self.head.weight.dtype)
        h = self.stem(self.tokens(input_ids) * real)
        h = h + self.label(input_ids[:, 1]).unsqueeze(1) + self.position(places(attention_mask, self.config.positions))
        for block in self.blocks:
            h = block(h, real)
        h = self.norm(h)
        return MaskedLMOutput(logits=self.head(h), hidden_states=(h,) if output_hidden_states else None)
