"""The track sheet, and the formats of track files."""

import csv
import json
import re
from pathlib import Path

from diffusion_bert.errors import UserError
from diffusion_bert.settings.messages import mistakes, repeated, suggest
from diffusion_bert.settings.sources import ACCESSION

TRACK_FORMATS = {
    "bigbed": (".bb", ".bigbed"),
    "narrowpeak": (".narrowpeak",),
    "broadpeak": (".broadpeak",),
    "bed": (".bed",),
}


def read_track_sheet(path: str | Path, schema: Path) -> list[dict[str, str]]:
    """The rows of the track sheet (TSV), with ``format`` resolved from the source's name where that tells it.

    UserError lists every mistake: missing or unknown column, bad value, a name given twice, the same source twice.
    """
    path = Path(path)
    properties = json.loads(Path(schema).read_text())["properties"]
    required = json.loads(Path(schema).read_text())["required"]
    if not path.is_file():
        raise UserError(f"The track sheet {path} does not exist.", "Set the key tracks to your sheet.")
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = [(number, row) for number, row in enumerate(csv.reader(handle, delimiter="\t"), start=1)]
    rows = [(n, row) for n, row in rows if any(cell.strip() for cell in row) and not row[0].startswith("#")]
    if not rows:
        raise UserError(f"The track sheet {path} is empty.", f"Name the columns first: {', '.join(required)}.")
    line, header = rows[0]
    problems = [
        f"{path}, line {line}: the column {name} is missing. Columns are separated by tabs; needed are "
        f"{', '.join(required)}."
        for name in required
        if name not in header
    ]
    problems += [
        f"{path}, line {line}: the column {name!r} is not known.{suggest(name, properties)}"
        for name in header
        if name not in properties
    ]
    problems += [f"{path}, line {line}: the column {name} stands twice. Remove one." for name in repeated(header)]
    if problems:
        raise mistakes(problems)
    tracks: list[dict[str, str]] = []
    first: dict[tuple[str, str], int] = {}
    for number, cells in rows[1:]:
        if len(cells) > len(header):
            problems.append(
                f"{path}, line {number}: {len(cells)} fields, but the header names {len(header)} columns. "
                "Separate columns by single tabs."
            )
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
        for name in required:
            if name not in row:
                problems.append(f"{path}, line {number}: no {name}. {properties[name]['description']}")
        for name, cell in row.items():
            rule = properties[name]
            if ("pattern" in rule and not re.match(rule["pattern"], cell)) or (
                "enum" in rule and cell not in rule["enum"]
            ):
                choices = f" One of {', '.join(rule['enum'])}." if "enum" in rule else ""
                problems.append(f"{path}, line {number}: {name} {cell!r} will not do. {rule['description']}{choices}")
        for name in ("name", "source"):
            key = (name, row.get(name, ""))
            if key[1] and first.setdefault(key, number) != number:
                problems.append(
                    f"{path}, line {number}: the {name} {key[1]!r} stands in line {first[key]} already. "
                    + ("Give each track a name of its own." if name == "name" else "Remove one of the two lines.")
                )
        row.setdefault("format", "auto")
        row.setdefault("checksum", "")
        if row["format"] == "auto":
            row["format"] = format_of(row.get("source", ""))
        tracks.append(row)
    if not problems and not tracks:
        problems.append(f"{path} names no track. Add a line for each peak file.")
    if problems:
        raise mistakes(problems)
    return tracks


def format_of(source: str) -> str:
    """The track format that a file's name tells, or ``auto``. An ENCODE accession is fetched as bigBed."""
    if ACCESSION.match(source):
        return "bigbed"
    name = source.split("?")[0].lower().removesuffix(".gz")
    for form, suffixes in TRACK_FORMATS.items():
        if name.endswith(suffixes):
            return form
    return "auto"
