"""Non-overlapping k-mers with single bases where no whole k-mer fits: the Nucleotide Transformer's tokens.

Dalla-Torre et al. 2024, "The Nucleotide Transformer", doi:10.1038/s41592-024-02523-z; the vocabulary is that of the
published v2 models (k = 6, 4107 tokens without labels).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from diffusion_bert.errors import UserError
from diffusion_bert.tokens.vocabulary import AMBIGUOUS, BASES, UNKNOWN, Tokenizer, word_level

ORDER = "ATCG"  # of the bases in the published vocabulary
NO_TOKEN = "<unk>"
UNKNOWN_BASE = "N"
SPECIAL = (NO_TOKEN, "<pad>", "<mask>", "<cls>", "<eos>", "<bos>")
LONGEST = 8  # 65,536 tokens; an embedding of more is larger than most models


class KmerTokenizer(Tokenizer):
    """Left to right: where the next k letters are all A, C, G or T they are one token, otherwise one letter is.

    So a sequence begins with k-mers and ends in up to k - 1 single bases, N and any other ambiguous letter is one token
    by itself, the N of the vocabulary (the models were trained on genomes in which all but A, C, G, T is N), and k-mers
    start anew behind it. ids: <unk> 0, <pad> 1, <mask> 2, <cls> 3, <eos> 4, <bos> 5, the k-mers in the order A, T, C,
    G with the first letter slowest, then A, T, C, G, N, NO_LABEL and the labels. <cls> opens a row; none closes it.

    Raises UserError for a k outside 2..8.
    """

    def __init__(self, k: int, labels: Sequence[str] = ()):
        if not 2 <= k <= LONGEST:
            raise UserError(
                f"k-mers of k = {k} were asked for.", f"Choose k from 2 to {LONGEST}, or single bases instead of k = 1."
            )
        self.k = k
        special = {"pad": "<pad>", "cls": "<cls>", "sep": None, "mask": "<mask>", "unk": UNKNOWN_BASE}
        super().__init__([*SPECIAL, *map("".join, product(ORDER, repeat=k)), *ORDER, UNKNOWN_BASE], special, labels)
        # A code is the place of A, C, G, T in the alphabet; a k-mer's number has its digits in the vocabulary's order.
        self._digit_of_code = np.array([ORDER.index(base) for base in BASES])
        singles = len(SPECIAL) + len(ORDER) ** k
        self._id_of_code = np.append(singles + self._digit_of_code, self.unk_id)

    def _relabelled(self, labels: list[str]) -> "KmerTokenizer":
        return KmerTokenizer(self.k, labels)

    def _encode(self, sequences: list[str], lengths: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # A run is a stretch of known bases within one sequence, or one unknown base. In a run of n bases come
        # n // k k-mers, then n % k single bases; an unknown base is a run of n = 1.
        begins = codes == UNKNOWN
        begins[1:] |= begins[:-1].copy()
        ends = np.cumsum(lengths)
        begins[(ends - lengths)[lengths > 0]] = True
        starts = np.flatnonzero(begins)
        run_lengths = np.diff(starts, append=len(codes))
        whole = run_lengths // self.k
        tokens = whole + run_lengths % self.k
        number = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)  # of the token in its run
        singles = number - np.repeat(whole, tokens)  # from 0 on for single bases, below for k-mers
        first = np.repeat(starts, tokens) + np.where(
            singles < 0, number * self.k, singles + np.repeat(whole * self.k, tokens)
        )
        ids = self._id_of_code[codes[first]]
        is_kmer = singles < 0
        first, kmers = first[is_kmer], 0
        for place in range(self.k):
            kmers = kmers * len(ORDER) + self._digit_of_code[codes[first + place]]
        ids[is_kmer] = len(SPECIAL) + kmers
        of_run = np.searchsorted(ends, starts, side="right")
        counts = np.bincount(of_run, weights=tokens, minlength=len(sequences)).astype(np.int64)
        return ids.astype(self.dtype), counts

    def layout(self, length: int) -> np.ndarray:
        return np.repeat([self.k, 1], [length // self.k, length % self.k])

    def _named(self) -> dict[str, str | None]:
        return {**self.special, "unk": NO_TOKEN}

    def _content(self) -> dict[str, Any]:
        ambiguous = {"Regex": f"[{AMBIGUOUS.replace(UNKNOWN_BASE, '')}]"}
        return {
            **word_level(self, f"[{BASES}]{{{self.k}}}|.", NO_TOKEN),
            "normalizer": {"type": "Replace", "pattern": ambiguous, "content": UNKNOWN_BASE},
        }


def overlapping_refused(what: str) -> UserError:
    """The reason why overlapping k-mers will not do. what: names the file or setting that asks for them."""
    return UserError(
        f"{what}: these are overlapping k-mers (as in DNABERT-1), in which the neighbours of a masked token spell the "
        "bases that it hides. A model learns to copy them, and tokens drawn one by one do not agree on a sequence.",
        "Use single bases, non-overlapping k-mers or BPE, and a model trained on one of these.",
    )
