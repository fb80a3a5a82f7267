"""Sequences as arrays of letter codes: A 0, C 1, G 2, T 3, anything else (and padding) 4."""

from collections.abc import Sequence

import numpy as np

OTHER = 4
_CODE = np.full(256, OTHER, dtype=np.uint8)
_CODE[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4)
_LETTER = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = str.maketrans("ACGTRYKMBVDHacgtrykmbvdh", "TGCAYRMKVBHDtgcayrmkvbhd")


def lengths_of(sequences: Sequence[str]) -> np.ndarray:
    """The length of each sequence (bp), shape (n,)."""
    return np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))


def encode(sequences: Sequence[str]) -> np.ndarray:
    """Letter codes, shape (n, longest), uint8; shorter sequences are padded at their end with 4."""
    lengths = lengths_of(sequences)
    flat = _CODE[np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8)]
    longest = int(lengths.max(initial=0))
    if (lengths == longest).all():
        return flat.reshape(len(sequences), longest)
    codes = np.full((len(sequences), longest), OTHER, dtype=np.uint8)
    codes[np.arange(longest) < lengths[:, None]] = flat
    return codes


def decode(codes: np.ndarray, lengths: np.ndarray | None = None) -> list[str]:
    """The sequences of codes (n, longest), cut to their lengths (default: whole rows); code 4 is written N."""
    lengths = np.full(len(codes), codes.shape[1]) if lengths is None else lengths
    text = _LETTER[codes]
    return [row[:length].tobytes().decode() for row, length in zip(text, lengths, strict=True)]


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3'; IUPAC letters are complemented, others kept."""
    return sequence.translate(_COMPLEMENT)[::-1]
