"""Labelled sequences in place of peaks and a genome: FASTA, TSV, CSV or Parquet in, windows out.

Coordinates, where given, are bp, 0-based half-open, and serve the split by chromosome and the report.
"""

import gzip
import logging
import re
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.tables import FUNNEL, SEQUENCES, WINDOWS, check, read_fasta

FIELDS = ("sequence", "label", "chrom", "start", "end", "strand")

_LOG = logging.getLogger(__name__)
_FORMATS = {
    ".fa": "fasta",
    ".fasta": "fasta",
    ".fna": "fasta",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_IUPAC = b"RYSWKMBDHV"
# Other letters become 0, so that one search finds them; the separator stays.
_CLEAN = bytes(
    letter if letter in b"ACGTN\n" else ord("N") if letter in _IUPAC else 0
    for letter in (bytes([code]).upper()[0] for code in range(256))
)
# What `bedtools getfasta` calls a record.
_LOCUS = re.compile(r"(?P<chrom>[^\s:]+):(?P<start>\d+)-(?P<end>\d+)(?:\((?P<strand>[+.-])\))?")


def read_labelled_sequences(
    path: str | Path,
    *,
    columns: Mapping[str, str | None],
    format: str = "auto",
    label: str | None = None,
    width: int | None = None,
    max_n: float = 0.0,
    key: str = "sequences",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read sequences; returns WINDOWS (track = label, score 0, summit null) and a FUNNEL by label (chrom null)
    with the stages sequences (all there are), shorter_than_width and ambiguous_bases.

    columns: the file's names of ``sequence``, ``label`` and, where it has them, ``chrom``, ``start``, ``end``,
    ``strand``; a field that is null or left out is not read. In FASTA these are keys of ``key=value`` words in a
    record's description; where no coordinate key occurs at all and every name is ``chrom:start-end`` or
    ``chrom:start-end(strand)`` with end - start the length, as bedtools writes them, the coordinates are the name's.
    format: fasta, tsv, csv, parquet, or auto (by the file's extension); text may be gzipped.
    label: for a file in which all sequences have this one label; columns["label"] is then not read.
    width: longer sequences lose both ends, position ``length // 2`` becoming position ``width // 2``, shorter ones
    are dropped; None keeps each at its length. max_n: sequences with a higher fraction of N, after that, are dropped.

    key: what the config calls this source, for messages.

    Sequences are upper-cased; IUPAC codes of several bases count as N. With a strand of ``-`` the sequence is taken
    to be the reverse complement of the genome's, and stays so.
    Raises UserError, with the file and line (FASTA: record; Parquet: row), for a missing column, an empty file, an
    empty sequence or label, a letter that is not IUPAC DNA, and coordinates that are no interval of the sequence's
    length.
    """
    path = Path(path)
    wanted = {field: columns[field] for field in FIELDS if columns.get(field)}
    if label is not None:
        wanted.pop("label", None)
    if {"start", "end"} & set(wanted) and not {"chrom", "start", "end"} <= set(wanted):
        raise UserError(
            f"sequences.columns: {', '.join(name for name in ('chrom', 'start', 'end') if name in wanted)} without "
            "the others of chrom, start and end.",
            "Name all three, or chrom alone, or none.",
        )
    kind = _format(path, key) if format == "auto" else format
    raw, where = (_read_fasta if kind == "fasta" else _read_table)(path, kind, wanted, key)
    if not len(raw):
        raise UserError(f"{path}: holds no sequence.", "Give a file with at least one row below its header.")
    if label is not None:
        raw["label"] = label
    for field in ("sequence", "label"):
        empty = raw[field].isna() | (raw[field].str.strip() == "")
        if empty.any():
            raise UserError(
                f"{where(int(empty.to_numpy().argmax()))}: the {field} is empty.",
                "Fill it in or remove the row.",
            )
    frame = pd.DataFrame({"sequence": _clean(raw["sequence"].str.strip(), where), "label": raw["label"].str.strip()})
    frame = frame.join(_coordinates(raw, frame["sequence"].str.len(), where))

    funnel = [_count(frame["label"], np.ones(len(frame), bool), "sequences")]
    if width is not None:
        frame = _keep(frame, frame["sequence"].str.len().to_numpy() >= width, "shorter_than_width", funnel)
        frame = _trim(frame, width)
    lengths = frame["sequence"].str.len().to_numpy()
    frame = _keep(frame, frame["sequence"].str.count("N").to_numpy() <= max_n * lengths, "ambiguous_bases", funnel)
    if not len(frame):
        raise UserError(
            f"{path}: none of its {len(raw)} sequences is left: they are shorter than windows.width ({width}) or hold "
            f"more N than windows.max_n ({max_n}).",
            "Lower windows.width or raise windows.max_n.",
        )
    frame = frame.assign(summit=pd.NA, track=frame["label"], score=0.0)
    return check(frame[list(WINDOWS)], WINDOWS, str(path)), check(pd.concat(funnel), FUNNEL, str(path))


def _format(path: Path, key: str) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".bgz")]
    kind = _FORMATS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise UserError(
            f"{path}: its extension does not tell the format; one of {', '.join(_FORMATS)} was expected.",
            f"Set {key}.format to fasta, tsv, csv or parquet.",
        )
    return kind


def _read_table(path: Path, kind: str, wanted: Mapping[str, str], key: str):
    """The wanted columns by field name, as text, and what a row is called in messages."""
    try:
        if kind == "parquet":
            table = pd.read_parquet(path)
        else:
            with path.open("rb") as handle:
                compressed = handle.read(2) == b"\x1f\x8b"
            opener = gzip.open if compressed else open
            with opener(path, "rt", encoding="utf-8-sig", newline="") as handle, warnings.catch_warnings():
                # A row with more fields than the header would lose them with no more than a warning.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                # Blank lines are read, so that row numbers stay line numbers; those at the end are then dropped.
                table = pd.read_csv(
                    handle,
                    sep="\t" if kind == "tsv" else ",",
                    dtype="str",
                    keep_default_na=False,
                    na_values=[""],
                    skip_blank_lines=False,
                    index_col=False,
                )
            filled = np.flatnonzero(table.notna().any(axis=1).to_numpy())
            table = table.iloc[: filled[-1] + 1 if len(filled) else 0]
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: the file is empty.", "Give a file with a header and at least one row.") from None
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.", f"Mend the path at {key}.source.") from None
    # pandas' and pyarrow's errors of parsing are ValueErrors, a damaged gzip file's may be any of the others.
    except (ValueError, EOFError, OSError, zlib.error, pd.errors.ParserWarning) as error:
        raise UserError(
            f"{path}: cannot be read as {kind}: {' '.join(str(error).split())}.",
            f"Mend the file, or name the right {key}.format.",
        ) from error
    for field, name in wanted.items():
        if name not in table:
            raise UserError(
                f"{path}: there is no column {name!r} ({key}.columns.{field}); the columns are "
                f"{', '.join(map(str, table.columns))}.",
                f"Set {key}.columns.{field} to one of these.",
            )
    first = 1 if kind == "parquet" else 2
    unit = "row" if kind == "parquet" else "line"
    raw = pd.DataFrame({field: table[name].astype("str") for field, name in wanted.items()}).reset_index(drop=True)
    return raw, lambda row: f"{path}, {unit} {row + first}"


def _read_fasta(path: Path, kind: str, wanted: Mapping[str, str], key: str):
    """As _read_table, for key=value descriptions and names that are loci."""
    try:
        records = read_fasta(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.", f"Mend the path at {key}.source.") from None
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read as fasta: {error}.", f"Mend the file, or name the right {key}.format."
        ) from error
    raw = pd.DataFrame({"sequence": records["sequence"]})
    for field in wanted:
        if field != "sequence":
            pattern = rf"(?:^|\s){re.escape(wanted[field])}=(\S+)"
            raw[field] = records["description"].str.extract(pattern, expand=False)

    def where(row: int) -> str:
        return f"{path}, record {row + 1} ({records['name'].iloc[row]})"

    if "label" in raw and len(raw) and raw["label"].isna().any():
        row = int(raw["label"].isna().to_numpy().argmax())
        raise UserError(
            f"{where(row)}: its description has no {wanted['label']}=... word.",
            "Write one into each description, as in '>name label=liver', or bring a table with a column of labels.",
        )
    if not any(field in raw and raw[field].notna().any() for field in ("chrom", "start", "end")):
        raw = raw.drop(columns=["chrom", "start", "end"], errors="ignore")
        loci = records["name"].str.extract(f"^{_LOCUS.pattern}$")
        if len(raw) and loci["start"].notna().all():
            span = loci["end"].astype("int64") - loci["start"].astype("int64")
            if (span == raw["sequence"].str.len()).all():
                strand = raw["strand"] if "strand" in raw and raw["strand"].notna().any() else loci["strand"]
                raw = raw.assign(**loci[["chrom", "start", "end"]], strand=strand)
    return raw, where


def _clean(sequences: pd.Series, where) -> list[str]:
    """Upper case, IUPAC codes as N; a UserError names the first row with another letter, and the letter."""
    text = "\n".join(sequences)
    cleaned = text.encode("utf-8").translate(_CLEAN)
    if 0 in cleaned or cleaned.count(b"\n") != len(sequences) - 1:
        for row, sequence in enumerate(sequences):
            for position, letter in enumerate(sequence, start=1):
                if letter == "\n" or 0 in letter.encode("utf-8").translate(_CLEAN):
                    raise UserError(
                        f"{where(row)}: position {position} of the sequence is {letter!r}; A, C, G, T, N and the IUPAC "
                        "codes were expected.",
                        "Mend or remove the sequence"
                        + (" (write T for U)." if letter in "Uu" else ", or name the right column and format."),
                    )
    return cleaned.decode().split("\n")


def _coordinates(raw: pd.DataFrame, lengths: pd.Series, where) -> pd.DataFrame:
    """chrom, start, end, strand of each row, null (strand: '.') where the file has none."""
    out = pd.DataFrame({"chrom": pd.Series(pd.NA, index=raw.index, dtype="str"), "start": pd.NA, "end": pd.NA})
    if "chrom" in raw:
        out["chrom"] = raw["chrom"]
    if "start" in raw:
        for field in ("start", "end"):
            numbers = pd.to_numeric(raw[field], errors="coerce")
            wrong = (numbers.isna() & raw[field].notna()) | (numbers % 1 != 0) & numbers.notna()
            if wrong.any():
                row = int(wrong.to_numpy().argmax())
                raise UserError(
                    f"{where(row)}: the {field} is {raw[field].iloc[row]!r}; a whole number was expected.",
                    "Mend it, or leave the coordinate columns out of sequences.columns.",
                )
            out[field] = numbers.astype("Int64")
        partly = out[["chrom", "start", "end"]].isna()
        mixed = partly.any(axis=1) & ~partly.all(axis=1)
        span = out["end"] - out["start"]
        wrong = mixed | ((span != lengths) | (out["start"] < 0)).fillna(False).astype(bool)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            values = ["nothing" if pd.isna(value) else value for value in out.loc[row, ["chrom", "start", "end"]]]
            raise UserError(
                f"{where(row)}: chrom {values[0]}, start {values[1]}, end {values[2]} and {lengths.iloc[row]} bases; "
                "0-based half-open coordinates with end - start the sequence's length were expected.",
                "Mend them (from 1-based coordinates subtract 1 from start), or leave them out of sequences.columns.",
            )
    strand = raw["strand"].fillna(".") if "strand" in raw else pd.Series(".", index=raw.index)
    wrong = ~strand.isin(["+", "-", "."])
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f"{where(row)}: the strand is {strand.iloc[row]!r}; '+', '-' or '.' was expected.",
            "Mend it, or leave strand out of sequences.columns.",
        )
    return out.assign(strand=strand)


def _trim(frame: pd.DataFrame, width: int) -> pd.DataFrame:
    """Sequences cut to the width about their middle, and their coordinates with them; none is shorter."""
    lengths = frame["sequence"].str.len()
    before = lengths // 2 - width // 2
    after = lengths - before - width
    minus = frame["strand"] == "-"
    cut = [text[first : first + width] for text, first in zip(frame["sequence"], before, strict=True)]
    return frame.assign(
        sequence=pd.Series(cut, index=frame.index, dtype="str"),
        start=frame["start"] + before.where(~minus, after),
        end=frame["end"] - after.where(~minus, before),
    )


def _count(labels: pd.Series, kept: np.ndarray, stage: str) -> pd.DataFrame:
    """FUNNEL rows of one stage, a label a row."""
    counts = pd.Series(kept, index=labels.index).groupby(labels).agg(["sum", "size"]).reset_index()
    return pd.DataFrame(
        {
            "chrom": None,
            "track": counts["label"],
            "label": counts["label"],
            "stage": stage,
            "kept": counts["sum"],
            "dropped": counts["size"] - counts["sum"],
        }
    )


def _keep(frame: pd.DataFrame, kept: np.ndarray, stage: str, funnel: list[pd.DataFrame]) -> pd.DataFrame:
    funnel.append(_count(frame["label"], kept, stage))
    return frame[kept].reset_index(drop=True)


def read_external(
    path: str | Path, *, name: str, columns: Mapping[str, str], format: str = "auto", label: str | None = None
) -> pd.DataFrame:
    """Sequences made by another generator, as SEQUENCES named ``{name}_1``, ``{name}_2``, ...

    columns, format, label: as read_labelled_sequences takes them. Those with letters other than A, C, G, T are left
    out, with a line in the log. Raises UserError as read_labelled_sequences does, and where none is left.
    """
    windows, _ = read_labelled_sequences(
        path, columns=columns, format=format, label=label, max_n=1.0, key=f"external.{name}"
    )
    kept = windows[~windows["sequence"].str.contains("N")].reset_index(drop=True)
    if len(kept) < len(windows):
        _LOG.info(
            "%d of %d sequences hold other letters than A, C, G, T: left out", len(windows) - len(kept), len(windows)
        )
    if kept.empty:
        raise UserError(
            f"{path}: each of its {len(windows)} sequences holds letters other than A, C, G and T.",
            "Give sequences as a generator makes them: of known bases.",
        )
    frame = pd.DataFrame(
        {
            "name": [f"{name}_{row}" for row in range(1, len(kept) + 1)],
            "label": kept["label"],
            "seed": pd.NA,
            "length": kept["sequence"].str.len(),
            "bits_per_base": np.nan,
            "sequence": kept["sequence"],
        }
    )
    return check(frame, SEQUENCES, str(path))
