"""What all tokenizers share: special tokens, labels, the frame of a row, decoding, saving, and the algebra of tokens.

The layout of a framed row, whatever the tokenizer, is

    [CLS] [label or NO_LABEL] x1 ... xT [SEP] ([PAD] ...)

where a vocabulary without a [SEP] leaves it out. NO_LABEL and the labels stand behind the vocabulary proper, so the
ids of a published vocabulary are those that its model was trained with.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside

BASES = "ACGT"
# Upper-case IUPAC letters other than A, C, G, T: a base is there, but which is not known.
AMBIGUOUS = "NRYSWKMBDHV"
NO_LABEL = "[NO_LABEL]"
LABEL = "[label:{}]"
ROLES = ("pad", "cls", "sep", "mask", "unk")

# Bits: A 1, C 2, G 4, T 8. IUPAC-IUB, Cornish-Bowden 1985, doi:10.1093/nar/13.9.3021.
_IUPAC = {
    **dict(zip(BASES, (1, 2, 4, 8), strict=True)),
    **dict(zip(AMBIGUOUS, (15, 5, 10, 6, 9, 12, 3, 14, 13, 11, 7), strict=True)),
}
_BITS = np.zeros(256, dtype=np.uint8)
_BITS[[ord(letter) for letter in _IUPAC]] = list(_IUPAC.values())

# A, C, G, T are 0..3 in what ``_encode`` gets; everything else that is a letter of DNA is UNKNOWN.
UNKNOWN = 4
_NO_DNA = 255
CODES = np.full(256, _NO_DNA, dtype=np.uint8)
CODES[[ord(letter) for letter in AMBIGUOUS]] = UNKNOWN
CODES[[ord(letter) for letter in BASES]] = range(len(BASES))


class Tokenizer:
    """DNA as token ids. A subclass says how sequences are cut into tokens and what its files hold.

    vocabulary: the token of each id, without labels. special: the token of each of ROLES, None where there is none;
    ``unk`` is the token of a base that is not known. labels: distinct names, in the order their ids take.

    Attributes: ``pad_id, cls_id, mask_id, unk_id, no_label_id, vocab_size``; ``sep_id``, None where no token closes a
    row; ``labels`` and ``label_ids`` (name -> id); ``tokens`` (the name of each id); ``spelled`` (the DNA of each id,
    "" for a special token, "N" for an unknown base); ``bases_per_token`` (its length, int64); ``is_base`` (V,) bool
    (what may be predicted: it spells nothing but A, C, G, T) and ``base_ids`` (the same as ids, int64, ascending);
    ``known_bases`` (bases_per_token of what may be predicted, 0 for the rest); ``dtype`` (the smallest integer type
    that holds the vocabulary); ``extra_tokens`` (how many tokens the frame has). ``content`` cuts the DNA out of framed
    rows of equal length.
    """

    def __init__(self, vocabulary: Sequence[str], special: Mapping[str, str | None], labels: Sequence[str]):
        labels = list(labels)
        if len(set(labels)) != len(labels):
            raise ValueError(f"labels must be distinct, got {labels}")
        self.labels = labels
        self.special = dict(special)
        self.tokens = [*vocabulary, NO_LABEL, *map(LABEL.format, labels)]
        self.vocab_size = len(self.tokens)
        ids = {token: i for i, token in enumerate(self.tokens)}
        self.pad_id, self.cls_id, self.sep_id, self.mask_id, self.unk_id = (
            None if self.special[role] is None else ids[self.special[role]] for role in ROLES
        )
        self.no_label_id = len(vocabulary)
        self.label_ids = {name: self.no_label_id + 1 + i for i, name in enumerate(labels)}
        self.spelled = [token if set(token) <= set(BASES) else "" for token in self.tokens]
        self.is_base = np.array([dna != "" for dna in self.spelled])
        self.spelled[self.unk_id] = "N"
        self.base_ids = np.flatnonzero(self.is_base)
        self.bases_per_token = np.array([len(dna) for dna in self.spelled])
        self.known_bases = np.where(self.is_base, self.bases_per_token, 0)
        self.dtype = np.dtype(next(kind for kind in (np.uint8, np.int16, np.int32) if self._holds(kind)))
        self.extra_tokens = 2 if self.sep_id is None else 3
        self.content = slice(2, None if self.sep_id is None else -1)
        self._letters = np.frombuffer("".join(self.spelled).encode(), dtype=np.uint8)
        self._first_letter = np.cumsum(self.bases_per_token) - self.bases_per_token

    def _holds(self, kind: type) -> bool:
        return self.vocab_size - 1 <= np.iinfo(kind).max

    def with_labels(self, labels: Sequence[str]) -> "Tokenizer":
        """The same vocabulary with more labels: those it has keep their ids, those it has not come behind them."""
        return self._relabelled([*self.labels, *(label for label in labels if label not in self.label_ids)])

    def _relabelled(self, labels: list[str]) -> "Tokenizer":
        raise NotImplementedError

    # Encoding and decoding

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        """The ids of upper-case DNA, (n, most tokens) of ``dtype``; shorter rows end in PAD. Each ambiguous letter is
        an unknown base, one token.

        Raises UserError for lower case (it is turned into upper case where windows are made, once its share has been
        measured) and for anything that is no letter of DNA.
        """
        sequences = list(sequences)
        lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        codes = CODES[np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8)]
        if codes.max(initial=0) == _NO_DNA:
            self._refuse(sequences, lengths, int(np.argmax(codes)))
        ids, counts = self._encode(sequences, lengths, codes)
        longest = int(counts.max(initial=0))
        if (counts == longest).all():
            return ids.reshape(len(sequences), longest)
        out = np.full((len(sequences), longest), self.pad_id, dtype=self.dtype)
        out[np.arange(longest) < counts[:, None]] = ids
        return out

    def _encode(self, sequences: list[str], lengths: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ids of all sequences in a row (of ``dtype``), and how many each sequence has (n,).

        lengths (n,) bp; codes: of all letters in a row, 0..3 for A, C, G, T and UNKNOWN.
        """
        raise NotImplementedError

    @staticmethod
    def _refuse(sequences: list[str], lengths: np.ndarray, at: int) -> None:
        ends = np.cumsum(lengths)
        row = int(np.searchsorted(ends, at, side="right"))
        position = at - int(ends[row] - lengths[row])
        letter = sequences[row][position]
        if letter.upper() in BASES + AMBIGUOUS:
            raise UserError(
                f"sequence {row + 1}: lower-case {letter!r} at position {position + 1}; upper-case DNA was expected.",
                "Turn the sequences into upper case first.",
            )
        raise UserError(
            f"sequence {row + 1}: {letter!r} at position {position + 1} is no letter of DNA (A, C, G, T, N or IUPAC).",
            "Remove gaps, spaces and protein or RNA letters from the sequences.",
        )

    def decode(self, ids: np.ndarray) -> list[str]:
        """The DNA of ids (n, anything), framed or not: special tokens spell nothing, an unknown base N.

        Raises ValueError where a mask is left: such a sequence is not finished.
        """
        ids = np.asarray(ids)
        if (ids == self.mask_id).any():
            row = int(np.flatnonzero((ids == self.mask_id).any(axis=1))[0])
            raise ValueError(f"row {row} still holds {self.special['mask']}")
        text = self._spell(ids.ravel()).tobytes().decode()
        return [text[a:b] for a, b in pairwise([0, *np.cumsum(self.bases_per_token[ids].sum(axis=1)).tolist()])]

    def _spell(self, ids: np.ndarray) -> np.ndarray:
        """The letters (ASCII, uint8) that ids (n,) spell, all in a row."""
        lengths = self.bases_per_token[ids]
        before = np.cumsum(lengths) - lengths
        return self._letters[np.arange(lengths.sum()) + np.repeat(self._first_letter[ids] - before, lengths)]

    # Frames and labels

    def frame(
        self, ids: np.ndarray, labels: Sequence[str | None], dtype: np.dtype | type = np.int64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows as the model reads them: ids (n, T) -> input_ids and attention_mask (n, T + extra_tokens) of ``dtype``.

        labels: one a row; None is NO_LABEL. PAD at the end of a row of ids stays at the end, after [SEP].
        Raises UserError for a label that the tokenizer does not have.
        """
        ids = np.asarray(ids)
        n, longest = ids.shape
        out = np.full((n, longest + self.extra_tokens), self.pad_id, dtype=dtype)
        out[:, 0] = self.cls_id
        out[:, 1] = self.label_tokens(labels)
        out[:, 2 : 2 + longest] = ids
        if self.sep_id is not None:
            out[np.arange(n), 2 + (ids != self.pad_id).sum(axis=1)] = self.sep_id
        return out, (out != self.pad_id).astype(dtype)

    def label_tokens(self, labels: Sequence[str | None]) -> np.ndarray:
        """The ids (n,) of labels; None is NO_LABEL. Raises UserError for an unknown one."""
        known = {None: self.no_label_id, **self.label_ids}
        unknown = sorted({label for label in labels if label not in known})
        if unknown:
            raise UserError(
                f"label {', '.join(unknown)}: the model was not trained on it; "
                f"it knows {', '.join(self.labels) or 'no label'}.",
                "Ask for one of the labels it knows.",
            )
        return np.array([known[label] for label in labels], dtype=np.int64)

    # The algebra

    def layout(self, length: int) -> np.ndarray | None:
        """How many bases the token at each position has, (T,) int64, for every sequence of this length (bp) that has
        no unknown base; None where that differs between sequences of one length."""
        raise NotImplementedError

    def fits(self, template: str, offset: int) -> np.ndarray:
        """Which tokens may stand at offset (0-based, bp) of a template in IUPAC letters: (V,) bool, False for whatever
        may not be predicted and for what would reach beyond the template's end.

        Raises UserError for a template with another letter, ValueError for an offset outside it.
        """
        allowed = _allowed(template)
        if not 0 <= offset <= len(allowed):
            raise ValueError(f"offset {offset} is outside a template of {len(allowed)} bp")
        longest = self._base_bits.shape[1]
        window = np.zeros(longest, dtype=np.uint8)
        part = allowed[offset : offset + longest]
        window[: len(part)] = part
        out = np.zeros(self.vocab_size, dtype=bool)
        out[self.base_ids] = ((self._base_bits & window) == self._base_bits).all(axis=1)
        return out

    @cached_property
    def _base_bits(self) -> np.ndarray:
        """(tokens that may be predicted, bases of the longest) uint8: the bit of each base, 0 behind a token's end."""
        spelled = np.array([self.spelled[i] for i in self.base_ids], dtype=bytes)
        return _BITS[spelled.view(np.uint8).reshape(len(spelled), -1)]

    # Files

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and tokenizer_config.json, which transformers' PreTrainedTokenizerFast opens too."""
        folder = Path(folder)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "labels": self.labels,
            **{f"{role}_token": token for role, token in self._named().items() if token is not None},
        }
        for name, content in (("tokenizer.json", self._content()), ("tokenizer_config.json", config)):
            with written_beside(folder / name) as part:
                part.write_text(json.dumps(content, indent=1) + "\n")

    def _named(self) -> dict[str, str | None]:
        """The special tokens by the names that transformers has for them."""
        return self.special

    def _content(self) -> dict[str, Any]:
        """What stands in tokenizer.json."""
        raise NotImplementedError

    def _added(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The entries of ``added_tokens`` for special tokens."""
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        return [{"id": int(i), "content": self.tokens[i], **flags} for i in ids]

    def _frame_template(self) -> dict[str, Any]:
        """The post-processor that frames a sequence without a label."""
        around = [self.special["cls"], NO_LABEL, "A", *([] if self.sep_id is None else [self.special["sep"]])]
        return {
            "type": "TemplateProcessing",
            "single": [{"Sequence" if t == "A" else "SpecialToken": {"id": t, "type_id": 0}} for t in around],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {t: {"id": t, "ids": [self.tokens.index(t)], "tokens": [t]} for t in around if t != "A"},
        }


def word_level(tokenizer: Tokenizer, pattern: str, unknown: str) -> dict[str, Any]:
    """The tokenizer.json of a vocabulary whose tokens are what a regular expression cuts out, left to right."""
    special = [i for i, token in enumerate(tokenizer.tokens) if not tokenizer.spelled[i] or token == unknown]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokenizer._added(special),
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        "post_processor": tokenizer._frame_template(),
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {token: i for i, token in enumerate(tokenizer.tokens)},
            "unk_token": unknown,
        },
    }


@lru_cache(maxsize=256)
def _allowed(template: str) -> np.ndarray:
    """The bases that each letter of an IUPAC template allows, as bits: (L,) uint8."""
    bits = _BITS[np.frombuffer(template.encode("ascii", "replace"), dtype=np.uint8)]
    if not bits.all():
        at = int(np.flatnonzero(bits == 0)[0])
        raise UserError(
            f"the template's position {at + 1} is {template[at]!r}; an upper-case IUPAC letter of DNA was expected.",
            f"Write templates in {BASES} and {AMBIGUOUS}.",
        )
    bits.flags.writeable = False
    return bits
