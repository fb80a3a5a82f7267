"""A tokenizer from a folder: one that was saved here, or a published one."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.tokens.bases import BaseTokenizer
from diffusion_bert.tokens.bpe import BpeTokenizer, without_labels
from diffusion_bert.tokens.kmers import LONGEST, KmerTokenizer, overlapping_refused
from diffusion_bert.tokens.vocabulary import NO_LABEL, ROLES, Tokenizer

REMEDY = (
    "Point to a model folder that this workflow wrote, or to DNABERT-2 or a Nucleotide Transformer v2 as published, "
    "complete with its tokenizer files."
)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a folder: its class and k from the vocabulary, its labels from tokenizer_config.json.

    Read are tokenizer.json and tokenizer_config.json (what ``save`` writes; DNABERT-2 as published and other BPE), or
    vocab.txt where there is no tokenizer.json (a Nucleotide Transformer as published).
    Raises UserError where files are missing or hold another kind of tokenizer, overlapping k-mers among them.
    """
    folder = Path(folder)
    file = folder / "tokenizer.json"
    if not file.is_file() and (folder / "vocab.txt").is_file():
        return _from_words(folder / "vocab.txt", (folder / "vocab.txt").read_text().split(), None)
    config, content = _read(folder / "tokenizer_config.json"), _read(file)
    try:
        labels, kind = config.get("labels", []), content["model"]["type"]
        if kind == "WordLevel":
            vocabulary = {i: token for token, i in content["model"]["vocab"].items()}
            return _from_words(file, [vocabulary.get(i, "") for i in range(len(content["model"]["vocab"]))], labels)
        if kind == "BPE":
            made = BpeTokenizer(without_labels(content), _special(config), labels, what=str(file))
            _same_labels(folder, [token["content"] for token in content["added_tokens"]], made)
            return made
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{folder}: the tokenizer files are not those of bases, k-mers or BPE.", REMEDY) from None
    raise UserError(f"{file}: its model is {kind}; bases, k-mers or BPE were expected.", REMEDY)


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{file} is missing.", REMEDY) from None
    except ValueError:
        raise UserError(f"{file} is not JSON.", REMEDY) from None


def _from_words(file: Path, tokens: Sequence[str], labels: Sequence[str] | None) -> Tokenizer:
    """labels: None for a published vocabulary, which ends before the tokens of labels."""
    lengths = {len(token) for token in tokens if re.fullmatch("[ACGT]+", token)}
    if not lengths:
        raise UserError(f"{file}: no token of the vocabulary spells DNA.", REMEDY)
    k = max(lengths)
    if k > 1 and lengths == {k}:  # without single bases, k-mers reach a sequence's end only if they overlap
        raise overlapping_refused(str(file))
    if not lengths <= {1, k} or k > LONGEST:
        raise UserError(f"{file}: the vocabulary is neither single bases nor k-mers of one k up to {LONGEST}.", REMEDY)
    made = BaseTokenizer(labels or ()) if k == 1 else KmerTokenizer(k, labels or ())
    if tokens != (made.tokens if labels is not None else made.tokens[: made.no_label_id]):
        what = "single bases" if k == 1 else f"the Nucleotide Transformer v2's {k}-mers"
        raise UserError(f"{file}: the vocabulary is not that of {what}{' and these labels' if labels else ''}.", REMEDY)
    return made


def _same_labels(folder: Path, added: Sequence[str], made: Tokenizer) -> None:
    """added: the tokens that tokenizer.json adds to its vocabulary; those of a published one have no labels."""
    written = added[added.index(NO_LABEL) :] if NO_LABEL in added else made.tokens[made.no_label_id :]
    if written != made.tokens[made.no_label_id :]:
        raise UserError(f"{folder}: tokenizer.json and tokenizer_config.json have different labels.", REMEDY)


def _special(config: Mapping[str, Any]) -> dict[str, str | None]:
    """transformers writes a special token as its text, or as a mapping with the text under ``content``."""
    found = {role: config.get(f"{role}_token") for role in ROLES}
    return {role: token["content"] if isinstance(token, dict) else token for role, token in found.items()}
