"""One token a base."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusion_bert.tokens.vocabulary import BASES, Tokenizer, word_level

SPECIAL = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]", "unk": "[UNK]"}


class BaseTokenizer(Tokenizer):
    """ids: PAD 0, CLS 1, SEP 2, MASK 3, UNK 4 (N and other ambiguous letters), A 5, C 6, G 7, T 8, NO_LABEL 9, labels
    from 10."""

    def __init__(self, labels: Sequence[str] = ()):
        super().__init__([*SPECIAL.values(), *BASES], SPECIAL, labels)
        self._id_of_code = np.array([*self.base_ids, self.unk_id], dtype=self.dtype)

    def _relabelled(self, labels: list[str]) -> "BaseTokenizer":
        return BaseTokenizer(labels)

    def _encode(self, sequences: list[str], lengths: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._id_of_code[codes], lengths

    def layout(self, length: int) -> np.ndarray:
        return np.ones(length, dtype=np.int64)

    def _content(self) -> dict[str, Any]:
        return word_level(self, ".", self.special["unk"])
