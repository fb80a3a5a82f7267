"""What the results rest on: each source file's size and digest, for the report and for whoever wants to repeat it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from diffusion_bert.tables import SOURCES, write_tsv


def list_sources(files: Iterable[tuple[str, str, str | Path]], destination: str | Path) -> None:
    """Write SOURCES. files: name, source as the user gave it, and the path of the file here."""
    rows = []
    for name, source, path in files:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        rows.append((name, source, Path(path).stat().st_size, digest))
    write_tsv(pd.DataFrame(rows, columns=list(SOURCES)), destination, SOURCES)
