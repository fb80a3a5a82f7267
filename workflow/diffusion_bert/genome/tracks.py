"""Peak tracks: bigBed, narrowPeak, broadPeak and BED files to one PEAKS table.

Coordinates are bp, 0-based half-open. Formats: https://genome.ucsc.edu/FAQ/FAQformat.html.

- score: signalValue (column 7) of a narrowPeak or broadPeak when any of the track's is above 0, else the score column
  (column 5), else 0. The choice is made for the whole track, so that all its chromosomes are on one scale.
- summit: start + the peak column (column 10) of a narrowPeak, null where that is -1 and in all other formats.
- strand: column 6 where it is + or -, else ``.``.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from diffusion_bert.errors import UserError
from diffusion_bert.tables import PEAKS, check, empty

FORMATS = ("auto", "bigbed", "narrowpeak", "broadpeak", "bed")

_BIGBED, _BIGBED_BIG_ENDIAN = b"\xeb\xf2\x89\x87", b"\x87\x89\xf2\xeb"
_BIGWIG = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")
_LEAST_COLUMNS = {"narrowpeak": 10, "broadpeak": 9, "bed": 3}
_NAMES = {0: "chromosome", 1: "start", 2: "end", 4: "score", 5: "strand", 6: "signalValue", 9: "peak"}
_TYPES = {0: pa.string(), 1: pa.int64(), 2: pa.int64(), 4: pa.float64(), 5: pa.string(), 6: pa.float64(), 9: pa.int64()}
_NULLS = ["", ".", "nan", "NaN", "NA"]
_STRANDS = pa.array(["+", "-"])


@dataclass(frozen=True)
class _Rows:
    """Rows of a file that share a number of columns, not yet taken apart.

    lines: the row's text, its columns from ``first`` on (3 where start and end came in binary form).
    where(i): how a message calls row i. declared: field names of a bigBed's autoSql, lower case.
    """

    lines: list
    first: int
    columns: int
    where: Callable[[int], str]
    chrom: str | None = None
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    declared: tuple[str, ...] = ()


def read_peaks(
    path: str | Path,
    *,
    track: str,
    label: str,
    format: str = "auto",
    chrom: str | None = None,
    aliases: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A track's peaks as a PEAKS table, sorted by chromosome (in the file's order), start and end.

    format: what the columns mean. ``auto`` and ``bigbed`` go by autoSql, the file's suffix and the columns that are
    there (fieldCount is not trusted: some writers state 3 whatever the rows hold). bigBed is recognised by content.
    chrom: only this chromosome (by the genome's name); none of it in the file gives an empty table.
    aliases: the file's chromosome names to the genome's.
    Raises UserError, naming file and line, where a row is no peak, and for big-endian bigBed and bigWig files.
    """
    return read_tracks([((track, label, format), path)], chrom=chrom, aliases=aliases)


def read_tracks(
    tracks: Iterable[tuple[tuple[str, str, str], str | Path]],
    *,
    chrom: str | None = None,
    aliases: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """``read_peaks`` of several tracks, one below the other, in one PEAKS table.

    tracks: ((name, label, format), path) of each. Many small tables cost more to make than to fill, so this is the way
    to read many tracks.
    """
    parts = []
    for (track, label, format), path in tracks:
        for part in _read_track(Path(path), format, chrom, aliases or {}):
            n = len(part["start"])
            parts.append(part | {"track": pa.repeat(track, n), "label": pa.repeat(label, n)})
    if not parts:
        return empty(PEAKS)
    columns = {}
    for name in PEAKS:
        pieces = [part[name] for part in parts]
        text = isinstance(pieces[0], pa.Array)
        columns[name] = pa.chunked_array(pieces).to_pandas() if text else np.concatenate(pieces)
    columns["summit"] = pd.arrays.IntegerArray(columns["summit"], columns["summit"] < 0)
    return check(pd.DataFrame(columns), PEAKS, "the peaks read")


def track_chromosomes(
    path: str | Path, format: str = "auto", aliases: Mapping[str, str] | None = None
) -> dict[str, int]:
    """How many peaks a track has on each chromosome (by the genome's name); chromosomes without any are left out."""
    path, aliases = Path(path), aliases or {}
    counts: Counter[str] = Counter()
    if _is_bigbed(path, format):
        with _opened(path) as file:
            for name, length in file.chroms().items():
                counts[aliases.get(name, name)] += len(_entries(path, file, name, length, strings=False))
    else:
        for rows in _text_rows(path, aliases, None):
            names = Counter(line.partition(b"\t")[0] for line in rows.lines)
            for name, number in names.items():
                counts[_spelled(name, aliases)] += number
    return {name: number for name, number in counts.items() if number}


def read_aliases(path: str | Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """Other names of chromosomes to the genome's, from a table with one chromosome a row (tabs; gzip is fine).

    names: the genome's chromosomes, whichever column holds them; rows without one are passed over. Without ``names``
    the first column holds them. Lines that begin with ``#`` are skipped (UCSC's chromAlias.txt is read as it is).
    Raises UserError, with the line, for an alias that stands for two chromosomes.
    """
    path, known = Path(path), None if names is None else set(names)
    aliases = {name: name for name in known or ()}
    for number, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if line.startswith("#") or not cells:
            continue
        name = cells[0] if known is None else next((cell for cell in cells if cell in known), None)
        for cell in cells if name else ():
            if aliases.setdefault(cell, name) != name:
                raise UserError(
                    f"{path}, line {number}: {cell} stands for {name}, but also for {aliases[cell]}.",
                    "Let each alias stand for one chromosome.",
                )
    return {alias: name for alias, name in aliases.items() if alias != name}


def _is_bigbed(path: Path, format: str) -> bool:
    if format not in FORMATS:
        raise UserError(f"{path}: the format {format} is unknown.", f"Use one of {', '.join(FORMATS)}.")
    if not path.is_file():
        raise UserError(f"The track file {path} does not exist.", "Mend its source in the track sheet.")
    with path.open("rb") as handle:
        magic = handle.read(4)
    if magic == _BIGBED_BIG_ENDIAN:
        raise UserError(
            f"{path} is a big-endian bigBed file, which cannot be read here.",
            "Convert it with UCSC's bigBedToBed and give the BED file.",
        )
    if magic in _BIGWIG:
        raise UserError(f"{path} is a bigWig file: signal, not peaks.", "Give the peaks called from that signal.")
    if format == "bigbed" and magic != _BIGBED:
        raise UserError(f"{path} is not a bigBed file.", "Mend the track's format in the sheet, or leave it out.")
    return magic == _BIGBED


def _opened(path: Path):
    import pyBigWig

    try:
        return pyBigWig.open(str(path))
    except RuntimeError as error:
        raise UserError(f"{path} is a damaged bigBed file: {error}.", "Fetch the file again.") from error


def _entries(path: Path, file, name: str, length: int, *, strings: bool = True) -> list[tuple]:
    try:
        return file.entries(name, 0, length, strings) or []
    except (RuntimeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged on {name}: {error}.", "Fetch the file again.") from error


def _bigbed_rows(path: Path, aliases: Mapping[str, str], chrom: str | None) -> Iterator[_Rows]:
    """One query a chromosome; the rows of each as they come."""
    with _opened(path) as file:
        declared = _declared(file)
        for name, length in file.chroms().items():
            known = aliases.get(name, name)
            if chrom not in (None, known) or not (entries := _entries(path, file, name, length)):
                continue
            start, end, lines = zip(*entries, strict=True)
            yield _Rows(
                lines=list(lines),
                first=3,
                columns=3 + (lines[0].count("\t") + 1 if lines[0] else 0),
                where=lambda i, s=start, e=end, n=name: f"{path}, peak {n}:{s[i]}-{e[i]}",
                chrom=known,
                start=np.array(start, dtype=np.int64),
                end=np.array(end, dtype=np.int64),
                declared=declared,
            )


def _text_rows(path: Path, aliases: Mapping[str, str], chrom: str | None) -> Iterator[_Rows]:
    """All rows, or those of one chromosome, in one piece; none where there are none.

    The number of columns is checked in every line of the file, whatever chromosome is asked for.
    """
    text = _read(path)
    numbers, lines = [], []
    for number, line in enumerate(text.replace(b"\r", b"").split(b"\n"), start=1):
        if line.strip() and not line.startswith(b"#") and line.split(None, 1)[0] not in (b"track", b"browser"):
            numbers.append(number)
            lines.append(line)
    if not lines:
        return
    if b"\t" not in lines[0]:
        lines = [b"\t".join(line.split()) for line in lines]
    columns = lines[0].count(b"\t") + 1
    for number, line in zip(numbers, lines, strict=True):
        here = line.count(b"\t") + 1
        if here != columns or columns < 3:
            raise UserError(
                f"{path}, line {number}: {here} columns, where "
                + ("BED has at least 3" if columns < 3 else f"the first line has {columns}")
                + f": {line[:60].decode('utf-8', 'replace')!r}.",
                "Give tab-separated BED, narrowPeak or broadPeak with the same number of columns in each line.",
            )
    if chrom is not None:
        kept = [i for i, line in enumerate(lines) if _spelled(line.partition(b"\t")[0], aliases) == chrom]
        if not kept:
            return
        numbers, lines = [numbers[i] for i in kept], [lines[i] for i in kept]
    yield _Rows(lines=lines, first=0, columns=columns, where=lambda i: f"{path}, line {numbers[i]}", chrom=chrom)


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}.", "Fetch the file again.") from error


def _spelled(name: bytes, aliases: Mapping[str, str]) -> str:
    text = name.decode("utf-8", "replace")
    return aliases.get(text, text)


def _some(names: Iterable[str], limit: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _kind(path: Path, rows: _Rows, format: str) -> str:
    """narrowpeak, broadpeak or bed: what the columns mean."""
    if format in _LEAST_COLUMNS:
        if rows.columns < _LEAST_COLUMNS[format]:
            raise UserError(
                f"{path} has {rows.columns} columns; {format} has {_LEAST_COLUMNS[format]}.",
                "Mend the track's format in the sheet, or leave it out.",
            )
        return format
    name = path.name.lower().removesuffix(".gz")
    for kind in ("narrowpeak", "broadpeak"):
        if name.endswith(f".{kind}") and rows.columns >= _LEAST_COLUMNS[kind]:
            return kind
    names = rows.declared
    if names[6:7] == ("signalvalue",) and rows.columns == len(names):
        return "narrowpeak" if names[9:10] == ("peak",) else "broadpeak"
    documented = names and len(names) == rows.columns and not re.match(r"field\d", names[-1])
    if documented or rows.columns not in (9, 10):
        return "bed"
    return "narrowpeak" if rows.columns == 10 else _nine_columns(rows)


def _declared(file) -> tuple[str, ...]:
    """The field names of a bigBed's autoSql, lower case; none where it has no autoSql."""
    sql = file.SQL() or b""
    text = sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql
    return tuple(name.lower() for name in re.findall(r"^\s*[\w\[\]]+\s+(\w+)\s*;", text, flags=re.MULTILINE))


def _nine_columns(rows: _Rows) -> str:
    """BED9 has a thick part that lies in the interval, broadPeak has signal and p there; a look at the first rows."""
    for i, line in enumerate(rows.lines[:100]):
        fields = (line.decode("utf-8", "replace") if isinstance(line, bytes) else line).split("\t")
        start, end = (rows.start[i], rows.end[i]) if rows.first else fields[1:3]
        thick = fields[6 - rows.first : 8 - rows.first]
        whole = [str(field) for field in (start, end, *thick)]
        if not all(field.isdigit() for field in whole):
            return "broadpeak"
        if not int(start) <= int(thick[0]) <= int(thick[1]) <= int(end):
            return "broadpeak"
    return "bed"


def _read_track(path: Path, format: str, chrom: str | None, aliases: Mapping[str, str]) -> list[dict]:
    """The track's columns in pieces, in PEAKS' order; numbers as numpy arrays (no summit is -1), text as Arrow's."""
    bigbed = _is_bigbed(path, format)
    read = partial(_bigbed_rows if bigbed else _text_rows, path, aliases)
    parts, kind = [], "bed"
    for rows in read(chrom):
        kind = _kind(path, rows, format)
        parts.append(_columns(rows, kind, aliases))
    signal = any((part["signal"] > 0).any() for part in parts)
    if not signal and parts and kind != "bed" and chrom is not None:
        signal = any((_numbers(_parse(rows, [6])[6], null=0.0) > 0).any() for rows in read(None) if rows.columns > 6)
    for part in parts:
        other = part.pop("signal")
        if signal:
            part["score"] = other
    return parts


def _columns(rows: _Rows, kind: str, aliases: Mapping[str, str]) -> dict:
    """PEAKS' columns without track and label, and signal (0 where the format has none), checked and sorted."""
    wanted = [0, 1, 2] if not rows.first else []
    wanted += [column for column in (4, 5) if column < rows.columns]
    wanted += {"narrowpeak": [6, 9], "broadpeak": [6], "bed": []}[kind]
    fields = _parse(rows, wanted) if wanted else {}
    n = len(rows.lines)
    start, end = (rows.start, rows.end) if rows.first else (_numbers(fields[1]), _numbers(fields[2]))
    _refuse(rows, start < 0, "a start below 0", "Coordinates are 0-based; mend the line.")
    _refuse(rows, end <= start, "an end that is not beyond the start", "Give start < end (0-based, half-open).")
    offset = _numbers(fields[9], null=-1) if 9 in fields else np.full(n, -1)
    _refuse(
        rows,
        (offset < -1) | (offset >= end - start),
        "a peak (column 10) outside its interval",
        "The column counts from start; write -1 where there is no summit.",
    )
    strand = fields[5].combine_chunks() if 5 in fields else pa.repeat(".", n)
    numbers = {
        "start": start,
        "end": end,
        "summit": np.where(offset < 0, -1, start + offset),
        "score": _numbers(fields[4], null=0.0) if 4 in fields else np.zeros(n),
        "signal": _numbers(fields[6], null=0.0) if 6 in fields else np.zeros(n),
    }
    text = {"strand": pc.if_else(pc.is_in(strand, _STRANDS), strand, "."), "chrom": pa.repeat(rows.chrom or "", n)}
    codes = np.zeros(n, dtype=np.int64)
    if rows.chrom is None:
        names = fields[0].combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy()
        spelled = [aliases.get(name, name) for name in names.dictionary.to_pylist()]
        text["chrom"] = pa.array(spelled, pa.string()).take(names.indices)
    order = np.lexsort((end, start, codes))
    at = pa.array(order)
    return {name: values[order] for name, values in numbers.items()} | {n: v.take(at) for n, v in text.items()}


def _parse(rows: _Rows, wanted: list[int]) -> dict[int, pa.ChunkedArray]:
    text = (b"\n" if isinstance(rows.lines[0], bytes) else "\n").join(rows.lines)
    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(text if isinstance(text, bytes) else text.encode()),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=[str(column) for column in range(rows.first, rows.columns)]
            ),
            pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            pyarrow.csv.ConvertOptions(
                include_columns=[str(column) for column in wanted],
                column_types={str(column): _TYPES[column] for column in wanted},
                null_values=_NULLS,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        _locate(rows, wanted)
        raise UserError(f"{rows.where(0)} and on: {error}.", "Mend the file.") from error
    if any(table[str(column)].null_count for column in wanted if column in (1, 2)):
        _locate(rows, wanted)
    return {column: table[str(column)] for column in wanted}


def _locate(rows: _Rows, wanted: list[int]) -> None:
    """Raise a UserError that names the first row with a wrong column, where there is one."""
    for i, line in enumerate(rows.lines):
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        fields = text.split("\t")
        if len(fields) != rows.columns - rows.first:
            raise UserError(
                f"{rows.where(i)}: {len(fields) + rows.first} columns, where the first has {rows.columns}.",
                "Give the same number of columns in each row.",
            )
        for column in wanted:
            value, kind = fields[column - rows.first], _TYPES[column]
            if kind == pa.string() or (column > 2 and value in _NULLS):
                continue
            pattern = r"-?\d{1,18}" if kind == pa.int64() else r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?"
            if not re.fullmatch(pattern, value):
                raise UserError(
                    f"{rows.where(i)}: column {column + 1} ({_NAMES[column]}) is {value!r}, where "
                    f"{'a whole number' if kind == pa.int64() else 'a number'} was expected.",
                    "Mend the line, or name the track's format in the sheet.",
                )


def _refuse(rows: _Rows, wrong: np.ndarray, what: str, remedy: str) -> None:
    if wrong.any():
        raise UserError(f"{rows.where(int(wrong.argmax()))}: {what}.", remedy)


def _numbers(column: pa.ChunkedArray, null: float | None = None) -> np.ndarray:
    return (column if null is None else column.fill_null(null)).to_numpy()
