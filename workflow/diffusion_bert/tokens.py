"""DNA as token ids: one id a base, beside the special tokens and one token a label.

Knows numpy only: no model, no torch. The layout of a framed row is

    [CLS] [label or NO_LABEL] x1 ... xL [SEP] ([PAD] ...)

A tokenizer of several bases a token has the same attributes: ``spelled`` (the DNA an id stands for) and
``bases_per_token`` are what the rest of the package reads instead of assuming one base a token.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
BASES = "ACGT"
NO_LABEL = "[NO_LABEL]"
# Upper-case IUPAC letters other than A, C, G, T: a base is there, but which is not known.
AMBIGUOUS = "NRYSWKMBDHV"
_LABEL = "[label:{}]"
_COMPLEMENT = dict(zip(BASES, reversed(BASES), strict=True))


class BaseTokenizer:
    """One token a base. ids: PAD 0, CLS 1, SEP 2, MASK 3, UNK 4, A 5, C 6, G 7, T 8, NO_LABEL 9, labels from 10.

    labels: distinct names, in the order their ids take.

    Attributes: ``pad_id, cls_id, sep_id, mask_id, unk_id, no_label_id, vocab_size``; ``labels`` and ``label_ids``
    (name -> id); ``tokens`` (the name of each id); ``spelled`` (the DNA of each id, "" for a special token, "N" for
    UNK); ``bases_per_token`` (its length, int64); ``base_ids`` (the ids that may be predicted, int64) and ``is_base``
    (the same as a mask over the vocabulary); ``complement`` (id of the complementary token; itself for specials);
    ``dtype`` (the smallest integer type that holds the vocabulary). ``content`` cuts the DNA out of framed rows of
    equal length.
    """

    content = slice(2, -1)
    extra_tokens = 3  # [CLS], label, [SEP]

    def __init__(self, labels: Sequence[str] = ()):
        labels = list(labels)
        if len(set(labels)) != len(labels):
            raise ValueError(f"labels must be distinct, got {labels}")
        self.labels = labels
        self.tokens = [*SPECIAL, *BASES, NO_LABEL, *map(_LABEL.format, labels)]
        self.pad_id, self.cls_id, self.sep_id, self.mask_id, self.unk_id = range(len(SPECIAL))
        first = len(SPECIAL)
        self.base_ids = np.arange(first, first + len(BASES))
        self.no_label_id = first + len(BASES)
        self.label_ids = {name: self.no_label_id + 1 + i for i, name in enumerate(labels)}
        self.vocab_size = len(self.tokens)
        self.is_base = np.zeros(self.vocab_size, dtype=bool)
        self.is_base[self.base_ids] = True
        self.spelled = [token if token in BASES else "" for token in self.tokens]
        self.spelled[self.unk_id] = "N"
        self.bases_per_token = np.array([len(dna) for dna in self.spelled])
        self.complement = np.arange(self.vocab_size)
        for base, other in _COMPLEMENT.items():
            self.complement[first + BASES.index(base)] = first + BASES.index(other)
        self.dtype = np.dtype(np.uint8 if self.vocab_size <= 256 else np.int16)
        self._id_of_byte = np.zeros(256, dtype=self.dtype)  # 0: no letter of DNA
        for i, base in enumerate(BASES):
            self._id_of_byte[ord(base)] = first + i
        for letter in AMBIGUOUS:
            self._id_of_byte[ord(letter)] = self.unk_id
        self._byte_of_id = np.array([ord(dna or "\0") for dna in self.spelled], dtype=np.uint8)

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        """The ids of upper-case DNA, (n, longest) of ``dtype``; shorter rows end in PAD. Any ambiguous letter is UNK.

        Raises UserError for lower case (it is turned into upper case where windows are made, once its share has been
        measured) and for anything that is no letter of DNA.
        """
        sequences = list(sequences)
        lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        ids = self._id_of_byte[np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8)]
        if not ids.all():
            self._refuse(sequences, lengths, int(np.flatnonzero(ids == 0)[0]))
        longest = int(lengths.max(initial=0))
        if (lengths == longest).all():
            return ids.reshape(len(sequences), longest)
        out = np.full((len(sequences), longest), self.pad_id, dtype=self.dtype)
        out[np.arange(longest) < lengths[:, None]] = ids
        return out

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
        """The DNA of ids (n, anything), framed or not: special tokens spell nothing, UNK spells N.

        Raises ValueError where a [MASK] is left: such a sequence is not finished.
        """
        ids = np.asarray(ids)
        if (ids == self.mask_id).any():
            row = int(np.flatnonzero((ids == self.mask_id).any(axis=1))[0])
            raise ValueError(f"row {row} still holds [MASK]")
        letters = self._byte_of_id[ids]
        if letters.size and letters.all():
            return np.ascontiguousarray(letters).view(f"S{letters.shape[1]}")[:, 0].astype(str).tolist()
        return [row.tobytes().replace(b"\0", b"").decode() for row in letters]

    def frame(
        self, ids: np.ndarray, labels: Sequence[str | None], dtype: np.dtype | type = np.int64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows as the model reads them: ids (n, L) -> input_ids (n, L + 3) and attention_mask (n, L + 3) of ``dtype``.

        labels: one a row; None is NO_LABEL. PAD at the end of a row of ids stays at the end, after [SEP].
        Raises UserError for a label that the tokenizer does not have.
        """
        ids = np.asarray(ids)
        n, longest = ids.shape
        lengths = (ids != self.pad_id).sum(axis=1)
        out = np.full((n, longest + self.extra_tokens), self.pad_id, dtype=dtype)
        out[:, 0] = self.cls_id
        out[:, 1] = self.label_tokens(labels)
        out[:, 2:-1] = ids
        out[np.arange(n), 2 + lengths] = self.sep_id
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

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and tokenizer_config.json, which transformers' PreTrainedTokenizerFast opens too."""
        folder = Path(folder)
        names = {"pad": 0, "cls": 1, "sep": 2, "mask": 3, "unk": 4}
        special = [i for i, token in enumerate(self.tokens) if token not in BASES]
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        template = ["[CLS]", NO_LABEL, "A", "[SEP]"]
        tokenizer = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": i, "content": self.tokens[i], **flags} for i in special],
            "normalizer": None,
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"Sequence" if t == "A" else "SpecialToken": {"id": t, "type_id": 0}} for t in template],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {
                    t: {"id": t, "ids": [self.tokens.index(t)], "tokens": [t]} for t in template if t != "A"
                },
            },
            "decoder": {"type": "Fuse"},
            "model": {
                "type": "WordLevel",
                "vocab": {token: i for i, token in enumerate(self.tokens)},
                "unk_token": "[UNK]",
            },
        }
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "labels": self.labels,
            **{f"{name}_token": self.tokens[i] for name, i in names.items()},
        }
        for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", config)):
            with written_beside(folder / name) as part:
                part.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> "BaseTokenizer":
        """The tokenizer that ``save`` wrote; UserError where the folder holds none or another kind."""
        file = Path(folder) / "tokenizer.json"
        remedy = "Point to a model folder that this workflow wrote, complete with its tokenizer files."
        try:
            config = json.loads(file.with_name("tokenizer_config.json").read_text())
            vocab = json.loads(file.read_text())["model"]["vocab"]
            tokenizer = cls(config["labels"])
        except FileNotFoundError as error:
            raise UserError(f"{error.filename} is missing.", remedy) from None
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{file.parent}: the tokenizer files are not those of single bases and labels.", remedy
            ) from None
        if vocab != {token: i for i, token in enumerate(tokenizer.tokens)}:
            raise UserError(f"{file}: the vocabulary is not that of single bases and these labels.", remedy)
        return tokenizer
