"""Byte-pair encoding: tokens of varying length, as in DNABERT-2, or trained on the sequences at hand."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import models
from tokenizers.trainers import BpeTrainer

from diffusion_bert.errors import UserError
from diffusion_bert.tokens.vocabulary import BASES, CODES, NO_LABEL, ROLES, Tokenizer

# As DNABERT-2's: Zhou et al. 2023, arXiv:2306.15006.
SPECIAL = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
_AT_ONCE = 4096  # sequences a call: what the library returns for each token takes far more room than its id


class BpeTokenizer(Tokenizer):
    """A tokenizer of the tokenizers library whose tokens, each base among them, spell the sequence.

    content: its tokenizer.json, without the tokens of labels. special: the token of each of ROLES (``sep`` may be
    None); ``unk`` stands for one letter that is not A, C, G, T. what: names it in messages.

    A sequence has many spellings in such a vocabulary and ``encode`` gives one of them. Encoding is greedy from merges,
    not from the left: a token depends on its neighbours on both sides, and the reverse complement's tokens are not the
    reversed tokens. Merges are never left out at random (BPE dropout), whatever the file says: what a sequence is
    encoded as must not change from run to run. Raises UserError where the file cannot be read, or its vocabulary lacks
    a base or a special token.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        special: Mapping[str, str | None] = SPECIAL,
        labels: Sequence[str] = (),
        what: str = "the tokenizer",
    ):
        model = {**content["model"], "dropout": None}
        self._json = {**content, "truncation": None, "padding": None, "model": model}
        self._what = what
        try:
            self._backend = Backend.from_str(json.dumps(self._json))
        except Exception as error:  # the library has no class of its own for this
            raise UserError(f"{what}: the tokenizers library cannot read it: {error}.", "Get the file anew.") from None
        ids = self._backend.get_vocab(with_added_tokens=True)
        vocabulary = sorted(ids, key=ids.__getitem__)
        needed = [*BASES, *(special[role] for role in ROLES if role != "sep" or special[role] is not None)]
        missing = [role for role in ROLES if role != "sep" and special[role] is None]
        missing += [token for token in needed if token is not None and token not in ids]
        if missing or sorted(ids.values()) != list(range(len(ids))):
            raise UserError(
                f"{what}: " + (f"it has no token for {', '.join(missing)}." if missing else "its ids have gaps."),
                "Choose a tokenizer that has each base and the special tokens for padding, masks, unknown letters and "
                "the start of a row.",
            )
        super().__init__(vocabulary, special, labels)

    @classmethod
    def trained(cls, sequences: Sequence[str], vocab_size: int, labels: Sequence[str] = ()) -> "BpeTokenizer":
        """A vocabulary of the most frequent merges in the sequences (upper-case DNA).

        vocab_size: tokens without labels, special tokens and single bases included. The special tokens and bases have
        DNABERT-2's ids. Merges do not reach across unknown bases. The same sequences give the same vocabulary.
        Raises UserError where the sequences hold too few pairs of tokens, each at least twice, for so many merges.
        """
        backend = Backend(models.BPE(unk_token=SPECIAL["unk"]))
        trainer = BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL.values()),
            initial_alphabet=list(BASES),
            limit_alphabet=len(BASES),
            show_progress=False,
        )
        backend.train_from_iterator(_known(sequences), trainer)
        found = backend.get_vocab_size()
        if found != vocab_size:
            raise UserError(
                f"a vocabulary of {vocab_size} tokens was asked for, but the sequences make one of {found}.",
                f"Ask for {found} tokens, or train it on more sequences."
                if found < vocab_size
                else f"Ask for at least {found} tokens: the special ones and the bases.",
            )
        return cls(json.loads(backend.to_str()), labels=labels)

    def _relabelled(self, labels: list[str]) -> "BpeTokenizer":
        return BpeTokenizer(self._json, self.special, labels, self._what)

    def _encode(self, sequences: list[str], lengths: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts, counts = [np.empty(0, dtype=self.dtype)], np.zeros(len(sequences), dtype=np.int64)
        for start in range(0, len(sequences), _AT_ONCE):
            found = self._backend.encode_batch_fast(sequences[start : start + _AT_ONCE], add_special_tokens=False)
            rows = [row.ids for row in found]
            counts[start : start + _AT_ONCE] = [len(row) for row in rows]
            parts.append(np.fromiter(chain.from_iterable(rows), dtype=self.dtype))
        ids = np.concatenate(parts)
        row_of = np.repeat(np.arange(len(sequences)), counts)
        spelled = np.bincount(row_of, weights=self.bases_per_token[ids], minlength=len(sequences))
        wrong = spelled != lengths
        if not wrong.any():  # nor may a normaliser have put other letters in their place
            other = np.flatnonzero(CODES[self._spell(ids)] != codes)
            wrong[np.searchsorted(np.cumsum(lengths), other, side="right")] = True
        if wrong.any():
            raise UserError(
                f"{self._what}: the tokens of sequence {int(np.argmax(wrong)) + 1} do not spell it.",
                "Choose a tokenizer that was made for DNA: one that keeps each letter and makes one token of each N.",
            )
        return ids, counts

    def layout(self, length: int) -> None:
        return None

    def _content(self) -> dict[str, Any]:
        added = [*self._json["added_tokens"], *self._added(range(self.no_label_id, self.vocab_size))]
        return {**self._json, "added_tokens": added, "post_processor": self._frame_template()}


def without_labels(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer.json that ``save`` was given labels for, as it was without them."""
    tokens = [token["content"] for token in content["added_tokens"]]
    kept = tokens.index(NO_LABEL) if NO_LABEL in tokens else len(tokens)
    return {**content, "added_tokens": content["added_tokens"][:kept], "post_processor": None}


def _known(sequences: Sequence[str]) -> Iterator[str]:
    return (run for sequence in sequences for run in re.findall(f"[{BASES}]+", sequence))
