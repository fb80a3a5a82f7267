"""The tables that flow between the steps: their columns, stated once; one check; Parquet, TSV and FASTA.

A table's columns are listed in order with a kind: ``text``, ``int``, ``float``, ``vector`` (of floats). A kind with
``?`` may be null.
Coordinates are bp, 0-based half-open. Sequences are upper case.
"""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from diffusion_bert.errors import UserError

Columns = Mapping[str, str]

# One peak of one track. ``summit`` is the absolute position of the summit (bp), null where the file has none.
PEAKS: Columns = {
    "chrom": "text",
    "start": "int",
    "end": "int",
    "strand": "text",
    "summit": "int?",
    "score": "float",
    "track": "text",
    "label": "text",
}

# One fixed-width window. Labelled sequences without coordinates have null chrom, start, end and summit.
WINDOWS: Columns = {
    "chrom": "text?",
    "start": "int?",
    "end": "int?",
    "strand": "text",
    "summit": "int?",
    "track": "text",
    "label": "text",
    "score": "float",
    "sequence": "text",
}

# One tile of the genome; its strand is unknown and it has no label.
TILES: Columns = {"chrom": "text", "start": "int", "end": "int", "sequence": "text"}

# What became of a track's peaks on one chromosome: one row a filter, in the order the filters apply.
FUNNEL: Columns = {"chrom": "text?", "track": "text", "label": "text", "stage": "text", "kept": "int", "dropped": "int"}

# How many windows of each label went where.
SPLIT_SUMMARY: Columns = {"label": "text", "train": "int", "validation": "int", "test": "int"}

# Generated (or floor, or external) sequences. ``bits_per_base`` is at least -log2 p / length under the model.
SEQUENCES: Columns = {
    "name": "text",
    "label": "text",
    "seed": "int?",
    "length": "int",
    "bits_per_base": "float?",
    "sequence": "text",
}

# Every evaluation, one number a row. ``set``: generated, ceiling, or a floor's name. ``label``: "all" or one label.
# A number that cannot be had is null and its ``note`` says why.
EVALUATION: Columns = {
    "metric": "text",
    "label": "text",
    "set": "text",
    "value": "float?",
    "ci_low": "float?",
    "ci_high": "float?",
    "n": "int",
    "note": "text?",
}

# What a model thinks of each sequence of the matched sets: a bound on bits a base and its Monte Carlo error.
MODEL_SCORES: Columns = {"set": "text", "name": "text", "bits_per_base": "float?", "standard_error": "float?"}

# What the LSTM thinks of each of them: exact bits a base.
LSTM_SCORES: Columns = {"set": "text", "name": "text", "bits_per_base": "float?"}

# A FASTA under a model, one record a row. ``log2_p``: the bound on log2 p(sequence), bits; ``standard_error`` is that
# of ``bits_per_base``. Null where no base is known.
SEQUENCE_SCORES: Columns = {
    "name": "text",
    "length": "int",
    "bits_per_base": "float?",
    "standard_error": "float?",
    "log2_p": "float?",
}

# Variants under a model, one alternative allele a row. ``pos`` is 1-based, as in VCF. ``log2_p_*``: bounds on log2 p of
# the window, bits, averaged over the strands; ``difference`` is alternative - reference, with its ``standard_error``.
VARIANT_SCORES: Columns = {
    "chrom": "text",
    "pos": "int",
    "id": "text?",
    "ref": "text",
    "alt": "text",
    "log2_p_reference": "float",
    "log2_p_alternative": "float",
    "difference": "float",
    "standard_error": "float",
}

# What a model makes of windows: one vector each. ``row`` is the window's row in its split's table, counted from 1.
EMBEDDINGS: Columns = {"split": "text", "row": "int", "label": "text", "embedding": "vector"}

# What each step took. ``of``: the wildcards of one job, null where the rule has none. Memory is the peak, MB.
RUN_TIMES: Columns = {
    "rule": "text",
    "of": "text?",
    "seconds": "float",
    "cpu_seconds": "float?",
    "peak_memory_mb": "float?",
}

# A file that the run rests on: what it is, where it came from, and its content's size and digest.
SOURCES: Columns = {"name": "text", "source": "text", "bytes": "int", "sha256": "text"}

# How well a linear classifier tells the labels apart from one kind of features.
UNDERSTANDING: Columns = {
    "features": "text",
    "metric": "text",
    "value": "float?",
    "ci_low": "float?",
    "ci_high": "float?",
    "n": "int",
    "note": "text?",
}

# How well an oracle tells labels apart on test windows. ``label`` against the other ``labels``, or against
# ``background`` (shuffles of the same windows); ``positives`` of ``n`` are of the label.
ORACLE_PERFORMANCE: Columns = {
    "metric": "text",
    "label": "text",
    "against": "text",
    "value": "float?",
    "ci_low": "float?",
    "ci_high": "float?",
    "n": "int",
    "positives": "int",
    "note": "text?",
}

# What the judge says of each sequence of the matched sets. ``predicted``: the most probable label; ``activity``: log p
# of the requested label - log p of the background; ``probabilities``: of its labels, sorted, and the background last.
JUDGEMENTS: Columns = {
    "set": "text",
    "name": "text",
    "label": "text",
    "predicted": "text?",
    "activity": "float?",
    "probabilities": "vector",
    "embedding": "vector",
}

# A convolutional network's attempt to tell each set from the reference: out-of-fold scores, log-odds of ``opposing``,
# of its sequences and of the reference's (which have a score against each set); of one scale within a fold.
CNN_SCORES: Columns = {
    "opposing": "text",
    "set": "text",
    "name": "text",
    "label": "text",
    "fold": "int",
    "score": "float",
}

# The training curve: one row a validation.
TRAINING: Columns = {
    "step": "int",
    "epoch": "float",
    "train_bits_per_base": "float",
    "validation_bits_per_base": "float",
    "learning_rate": "float",
}

_DTYPES = {
    "vector": "object",
    "text": "str",
    "int": "int64",
    "int?": "Int64",
    "float": "float64",
    "float?": "float64",
    "text?": "str",
}


def check(frame: pd.DataFrame, columns: Columns, what: str) -> pd.DataFrame:
    """The frame with exactly these columns, in this order and of these kinds; a UserError names what is amiss.

    what: how the message calls the table (a path, mostly).
    """
    missing = [name for name in columns if name not in frame]
    extra = [name for name in frame if name not in columns]
    if missing or extra:
        raise UserError(
            f"{what}: columns {', '.join(columns)} were expected;"
            + (f" missing: {', '.join(missing)};" if missing else "")
            + (f" not expected: {', '.join(map(str, extra))};" if extra else ""),
            "Remove the file so that the step which writes it runs again.",
        )
    out = {}
    for name, kind in columns.items():
        column = frame[name]
        if not kind.endswith("?") and column.isna().any():
            raise UserError(
                f"{what}: column {name} has no value in row {int(column.isna().to_numpy().argmax()) + 1}.",
                "Remove the file so that the step which writes it runs again.",
            )
        out[name] = column.astype(_DTYPES[kind])
    return pd.DataFrame(out, columns=list(columns)).reset_index(drop=True)


def empty(columns: Columns) -> pd.DataFrame:
    """A table of these columns without rows."""
    return check(pd.DataFrame({name: [] for name in columns}), columns, "an empty table")


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed onto it when the block ends well, removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_parquet(frame: pd.DataFrame, path: str | Path, columns: Columns) -> None:
    """Check, then write atomically (zstd, no index)."""
    frame = check(frame, columns, str(path))
    with written_beside(path) as part:
        frame.to_parquet(part, index=False, compression="zstd")


def read_parquet(path: str | Path, columns: Columns) -> pd.DataFrame:
    """Read and check a table that this workflow wrote."""
    return check(pd.read_parquet(path), columns, str(path))


def write_tsv(frame: pd.DataFrame, path: str | Path, columns: Columns) -> None:
    """Check, then write atomically, tab-separated with a header; null is the empty field."""
    frame = check(frame, columns, str(path))
    with written_beside(path) as part:
        frame.to_csv(part, sep="\t", index=False)


def read_tsv(path: str | Path, columns: Columns) -> pd.DataFrame:
    """Read and check a table that this workflow wrote; only the empty field is null."""
    frame = pd.read_csv(
        path,
        sep="\t",
        keep_default_na=False,
        na_values=[""],
        dtype={name: "str" for name, kind in columns.items() if kind.startswith("text")},
    )
    return check(frame, columns, str(path))


def write_fasta(frame: pd.DataFrame, path: str | Path, sampler: str | None = None) -> None:
    """Write SEQUENCES rows as FASTA: ``>name label=... seed=... sampler=... bits_per_base=...``, one line a sequence.

    What is null is left out; sampler: the name of the one that made them all.
    """
    frame = check(frame, SEQUENCES, str(path))
    with written_beside(path) as part, part.open("w") as handle:
        for row in frame.itertuples(index=False):
            fields = [row.name, f"label={row.label}"]
            if not pd.isna(row.seed):
                fields.append(f"seed={row.seed}")
            if sampler is not None:
                fields.append(f"sampler={sampler}")
            if not pd.isna(row.bits_per_base):
                fields.append(f"bits_per_base={row.bits_per_base:.4f}")
            handle.write(f">{' '.join(fields)}\n{row.sequence}\n")


def read_fasta(path: str | Path) -> pd.DataFrame:
    """The records of a FASTA file (plain or gzip) as columns ``name``, ``description``, ``sequence`` (as written).

    Raises UserError, with the line, where the file is not FASTA or a record is empty.
    """
    path = Path(path)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    names, descriptions, sequences = [], [], []
    parts: list[str] = []

    def finish(line: int) -> None:
        if names and not parts:
            raise UserError(
                f"{path}: record {names[-1]} that ends before line {line} has no sequence.",
                "Remove the record or give it one.",
            )
        if names:
            sequences.append("".join(parts))
            parts.clear()

    with (gzip.open if compressed else open)(path, "rt") as handle:
        number = 0
        for number, line in enumerate(handle, start=1):  # noqa: B007 - the last number is used below
            line = line.strip()
            if line.startswith(">"):
                finish(number)
                name, _, description = line[1:].strip().partition(" ")
                if not name:
                    raise UserError(f"{path}, line {number}: a record without a name.", "Write a name after the '>'.")
                names.append(name)
                descriptions.append(description)
            elif line:
                if not names:
                    raise UserError(
                        f"{path}, line {number}: FASTA begins with a line that starts with '>', this one does not.",
                        "Give a FASTA file, or name the right format.",
                    )
                parts.append(line)
        finish(number + 1)
    return pd.DataFrame({"name": names, "description": descriptions, "sequence": sequences}, dtype="str")
