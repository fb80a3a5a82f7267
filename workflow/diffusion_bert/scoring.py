"""A trained model's opinion of sequences that lie in a file."""

import logging
import re
from pathlib import Path

import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.reproducible import reproducible
from diffusion_bert.tables import MODEL_SCORES, SEQUENCE_SCORES, read_fasta, write_parquet, write_tsv
from diffusion_bert.tokens import AMBIGUOUS, BASES
from diffusion_bert.training.checkpoints import load_model_folder

# Sequences that go through the model together have at most so many letters, whatever their length: it bounds memory.
_LETTERS_A_PASS = 1 << 17


def score_sets(model: str | Path, sets: str | Path, *, samples: int, seed: int, destination: str | Path) -> None:
    """Write MODEL_SCORES: for each row of the table of sets the bound under the model, given its label.

    model: a model folder. sets: Parquet with columns set, name, label, sequence. samples: masks a sequence.
    """
    table = pd.read_parquet(sets)
    with reproducible():
        value, error = bits_per_base(
            load_model_folder(model), list(table["sequence"]), list(table["label"]), samples=samples, seed=seed
        )
    scores = table[["set", "name"]].assign(bits_per_base=value, standard_error=error)
    write_parquet(scores, destination, MODEL_SCORES)


def score_fasta(
    model: str | Path, fasta: str | Path, *, label: str | None, samples: int, seed: int, destination: str | Path
) -> None:
    """Write SEQUENCE_SCORES: for each record of a FASTA (plain or gzip) the bound under the model.

    model: a model folder. label: that all records are scored with, None for none. samples: passes a sequence.
    Lower case is turned into upper case, which the log tells. N and the other IUPAC codes of several bases are shown to
    the model as unknown; neither ``log2_p`` nor ``bits_per_base`` counts them. Raises UserError, with the record, for
    what is no letter of DNA, and for a file without a record.
    """
    records = read_fasta(fasta)
    if not len(records):
        raise UserError(f"{fasta} holds no sequence.", "Give a FASTA file with at least one record.")
    sequences = records["sequence"].str.upper()
    if lower := int((sequences != records["sequence"]).sum()):
        logging.info("%s: %d of %d sequences hold lower case, read as upper case.", fasta, lower, len(records))
    for name, sequence in zip(records["name"], sequences, strict=True):
        if found := re.search(f"[^{BASES}{AMBIGUOUS}]", sequence):
            raise UserError(
                f"{fasta}: record {name} holds {found[0]!r} at position {found.start() + 1}, no letter of DNA.",
                "Remove gaps, spaces and protein or RNA letters.",
            )
    longest = int(sequences.str.len().max())
    with reproducible():
        value, error = bits_per_base(
            load_model_folder(model),
            list(sequences),
            [label] * len(records),
            samples=samples,
            seed=seed,
            batch_size=max(1, min(256, _LETTERS_A_PASS // longest)),
        )
    known = sequences.str.count(f"[{BASES}]").to_numpy()
    scores = records[["name"]].assign(
        length=sequences.str.len(), bits_per_base=value, standard_error=error, log2_p=-value * known
    )
    write_tsv(scores, destination, SEQUENCE_SCORES)
