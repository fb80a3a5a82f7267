"""DNA as tokens: single bases, non-overlapping k-mers or BPE, beside special tokens and one token a label.

Knows numpy and the tokenizers library: no model, no torch. What differs between tokenizers is read from their
attributes and algebra (``vocabulary.Tokenizer``), so that the rest of the package need not assume one base a token.
"""

from diffusion_bert.tokens.bases import BaseTokenizer
from diffusion_bert.tokens.bpe import BpeTokenizer
from diffusion_bert.tokens.kmers import KmerTokenizer, overlapping_refused
from diffusion_bert.tokens.load import load_tokenizer
from diffusion_bert.tokens.vocabulary import AMBIGUOUS, BASES, NO_LABEL, Tokenizer

__all__ = [
    "AMBIGUOUS",
    "BASES",
    "NO_LABEL",
    "BaseTokenizer",
    "BpeTokenizer",
    "KmerTokenizer",
    "Tokenizer",
    "load_tokenizer",
    "overlapping_refused",
]
