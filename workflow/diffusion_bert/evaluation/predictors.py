"""What predictors made elsewhere say of the sequences: from a function of the user's, or from a table of scores.

A predictor has one output or several (cell types, say). Nothing is known of what an output means, but that real
sequences show what real sequences score.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffusion_bert.entry_points import function_at
from diffusion_bert.errors import UserError
from diffusion_bert.tables import Columns, check

# One row a sequence and output; output is empty where a predictor has one that needs no name. score: null where a
# table has none for the sequence.
PREDICTIONS: Columns = {
    "set": "text",
    "name": "text",
    "label": "text",
    "predictor": "text",
    "output": "text",
    "score": "float?",
}
SEQUENCE = "sequence"
_SEPARATORS = {".tsv": "\t", ".tab": "\t", ".txt": "\t", ".csv": ","}
_LOG = logging.getLogger(__name__)


def predict(sets: pd.DataFrame, predictor: str, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The PREDICTIONS of one predictor for all sequences of a SETS frame, output by output.

    settings: ``entry_point`` (package.module:function) or ``scores`` (path of a table), the other one null; of the
    config's ``evaluation.predictors.NAME``. Raises UserError for what is wrong with either.
    """
    key = f"evaluation.predictors.{predictor}"
    sequences = sets["sequence"].str.upper().tolist()
    if settings["entry_point"] is not None:
        scores = scores_of_function(sequences, settings["entry_point"], key=f"{key}.entry_point")
    else:
        scores = scores_of_table(sequences, settings["scores"])
    said = sets[["set", "name", "label"]]
    parts = [said.assign(predictor=predictor, output=output, score=score) for output, score in scores.items()]
    return check(pd.concat(parts, ignore_index=True), PREDICTIONS, f"what {predictor} says")


def scores_of_function(sequences: Sequence[str], entry: str, *, key: str) -> dict[str, np.ndarray]:
    """Output -> scores, (n,), of the function that stands at ``entry``.

    It is called once, with a list of all distinct sequences in upper case, in the order in which they first come. It
    returns an array (n,), which is one output without a name; an array (n, k), whose outputs are called 1 to k; or a
    frame, or a mapping of names to (n,), of named outputs. Raises UserError for anything else, and for numbers that
    are not finite. What the function itself raises is raised on.
    """
    function = function_at(entry, key)
    distinct = list(dict.fromkeys(sequences))
    _LOG.info("%s is asked about %d sequences", entry, len(distinct))
    found = function(list(distinct))
    wanted = f"an array of shape ({len(distinct)},), or ({len(distinct)}, k), or named columns of that length"
    try:
        outputs = _outputs(found)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{key}: {entry} returned {type(found).__name__}, which is no table of numbers ({error}).",
            f"Let it return {wanted}.",
        ) from error
    shapes = sorted({values.shape for values in outputs.values()})
    if shapes != [(len(distinct),)]:
        got = f"numbers of shape {', '.join(map(str, shapes))}" if shapes else "no column"
        raise UserError(
            f"{key}: {entry} was given {len(distinct)} sequences and returned {got}.",
            f"Let it return {wanted}, in the order of the sequences.",
        )
    for output, values in outputs.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"{key}: {entry} returned {values[bad[0]]} for {len(bad)} of {len(distinct)} sequences"
                f"{f' (output {output})' if output else ''}, the first of them {_short(distinct[bad[0]])}.",
                "Let it return a finite number for each sequence.",
            )
    place = {sequence: row for row, sequence in enumerate(distinct)}
    rows = np.array([place[sequence] for sequence in sequences], dtype=np.int64)
    return {output: values[rows] for output, values in outputs.items()}


def _outputs(found: Any) -> dict[str, np.ndarray]:
    if found is None:
        raise TypeError("is a return missing?")
    if isinstance(found, (pd.DataFrame, Mapping)):
        return {str(name): np.asarray(found[name], dtype=np.float64) for name in found}
    values = np.asarray(found, dtype=np.float64)
    if values.ndim == 2:
        return {str(number + 1): column for number, column in enumerate(values.T)}
    return {"": values}


def scores_of_table(sequences: Sequence[str], path: str | Path) -> dict[str, np.ndarray]:
    """Output -> scores, (n,), from a table: a column ``sequence``, and a column of numbers for each output.

    TSV, CSV (plain or gzip) or Parquet, by the file's extension. A table with one column of scores is one output
    without a name. Sequences are compared in upper case, letter by letter, on the strand as written; one that the table
    lacks, or has no number for, is NaN. Raises UserError for a table without either kind of column, for a column that
    is not of numbers, and for a sequence with two different scores.
    """
    path = Path(path)
    table = _read(path)
    if SEQUENCE not in table:
        raise UserError(
            f"{path}: it has no column {SEQUENCE} (its columns: {', '.join(map(str, table.columns))}).",
            f"Name the column of sequences {SEQUENCE}.",
        )
    names = [name for name in table if name != SEQUENCE]
    if not names:
        raise UserError(f"{path}: it has no column of scores beside {SEQUENCE}.", "Add one, with a number a sequence.")
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce")
        bad = np.flatnonzero((numbers.isna() & table[name].notna()) | np.isinf(numbers))
        if len(bad):
            raise UserError(
                f"{path}: the column {name} holds {table[name].iloc[bad[0]]} in row {bad[0] + 1}, which is no finite "
                "number.",
                f"Remove the column, or give a number for each sequence; all columns but {SEQUENCE} are scores.",
            )
        table[name] = numbers.astype(np.float64)
    table[SEQUENCE] = table[SEQUENCE].astype("str").str.strip().str.upper()
    table = table.drop_duplicates()
    twice = table[SEQUENCE].duplicated()
    if twice.any():
        raise UserError(
            f"{path}: the sequence {_short(table.loc[twice, SEQUENCE].iloc[0])} has two different scores.",
            "Keep one row of each sequence.",
        )
    found = table.set_index(SEQUENCE).reindex(list(sequences))
    missing = int(found[names].isna().any(axis=1).sum())
    if missing:
        _LOG.info("%s: %d of %d sequences have no score", path, missing, len(sequences))
    outputs = [""] if len(names) == 1 else map(str, names)
    return {output: found[name].to_numpy(np.float64) for output, name in zip(outputs, names, strict=True)}


def _read(path: Path) -> pd.DataFrame:
    suffix = ([suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"] or [""])[-1]
    if suffix not in (*_SEPARATORS, ".parquet", ".pq"):
        raise UserError(
            f"{path}: its extension does not tell the format.",
            f"Give it one of {', '.join([*_SEPARATORS, '.parquet'])}.",
        )
    try:
        if suffix in _SEPARATORS:
            return pd.read_csv(path, sep=_SEPARATORS[suffix], dtype={SEQUENCE: "str"})
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors are of these
        raise UserError(f"{path}: it cannot be read as a table ({error}).", "Write it again.") from error


def _short(sequence: str) -> str:
    return sequence if len(sequence) <= 30 else f"{sequence[:27]}..."
