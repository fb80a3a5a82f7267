"""What the backbones over single bases, trained from scratch, have in common: labels, places and first weights.

Both are added to every position, since a network over bases cannot know them. Windows are centred on summits, so places
count from the window's centre: a shorter window has the places of a longer one's middle, and places beyond those that
were trained share the outermost one's.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# [CLS] and the label precede the DNA, [SEP] follows it.
BEFORE, AROUND = 2, 3


def places(attention_mask: Tensor, positions: int) -> Tensor:
    """Index of each token (B, T) into ``positions`` + AROUND places: its distance from the middle of the row's DNA.

    attention_mask (B, T) of framed rows; positions: of the longest trained window.
    """
    length = attention_mask.sum(-1, keepdim=True) - AROUND
    offset = torch.arange(attention_mask.shape[-1], device=attention_mask.device) - BEFORE - length // 2
    return (offset + positions // 2 + BEFORE).clamp(0, positions + AROUND - 1)


class ModelOfBases(PreTrainedModel):
    """A masked language model with ``tokens`` and ``label``, embeddings that have a row a token, and ``head``, linear.

    input_ids (B, T), attention_mask (B, T) -> logits (B, T, V), and on demand the state (B, T, C) that they are read
    from, after the last norm, as the last (and only) one of ``hidden_states``.
    """

    main_input_name = "input_ids"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1.0 if module is self.tokens else 0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.tokens = value

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.head = new_embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As transformers', and the embedding of labels too."""
        tokens = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        self.label = self._get_resized_embeddings(self.label, tokens.num_embeddings, None, mean_resizing)
        return tokens
