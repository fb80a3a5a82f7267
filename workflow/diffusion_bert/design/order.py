"""The table of oligos, as it is sent to a supplier and read by who analyses the experiment."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_bert.design.barcodes import Barcodes
from diffusion_bert.design.choose import INSERTS
from diffusion_bert.design.oligos import Oligos
from diffusion_bert.evaluation.novelty import Library, nearest
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import WINDOWS, Columns, check, read_parquet, read_tsv, write_tsv, written_beside

# One oligo a row. ``name``: of the insert, with _b and the barcode's number where there are several of each insert.
# ``activity``: to the guide, for ``label``. ``identity``: of the insert to its nearest training window, as in novelty.
OLIGOS: Columns = {
    "name": "text",
    "category": "text",
    "label": "text",
    "run": "text?",
    "source": "text",
    "insert": "text",
    "barcode": "text?",
    "oligo": "text",
    "length": "int",
    "activity": "float?",
    "identity": "float",
}
_LOG = logging.getLogger(__name__)


def as_oligos(inserts: pd.DataFrame, training: list[str], settings: Mapping[str, Any], *, seed: int) -> pd.DataFrame:
    """The OLIGOS of an INSERTS frame. training: sequences. settings: the config's ``library`` with every key given.

    Barcodes are given out in the order of the rows. Raises UserError where they do not suffice.
    """
    oligos = Oligos.from_settings(settings)
    frame = inserts.assign(identity=nearest(inserts["insert"].tolist(), Library(training))["identity"].to_numpy())
    if settings["barcodes"] is None:
        frame["barcode"] = None
    else:
        each = settings["barcodes"]["per_sequence"]
        barcodes = Barcodes(oligos, settings["barcodes"]["distance"], derive_seed(seed, "barcodes"))
        frame = frame.loc[frame.index.repeat(each)].reset_index(drop=True)
        frame["barcode"] = [barcodes.take(insert) for insert in frame["insert"]]
        if each > 1:
            frame["name"] = [f"{name}_b{row % each + 1}" for row, name in enumerate(frame["name"])]
    tags = frame["barcode"].fillna("") if settings["barcodes"] else [""] * len(frame)
    frame["oligo"] = [oligos.oligo(*row) for row in zip(frame["insert"], tags, strict=True)]
    frame["length"] = frame["oligo"].str.len()
    return check(frame[list(OLIGOS)], OLIGOS, "the oligos")


def order_library(
    inserts: str | Path,
    train: str | Path,
    settings: Mapping[str, Any],
    *,
    seed: int,
    table: str | Path,
    fasta: str | Path,
) -> None:
    """Write the OLIGOS of a file of INSERTS, and the same as FASTA. train: WINDOWS file."""
    training = read_parquet(train, WINDOWS)["sequence"].tolist()
    oligos = as_oligos(read_tsv(inserts, INSERTS), training, settings, seed=seed)
    counts = ", ".join(f"{n} {category}" for category, n in oligos["category"].value_counts(sort=False).items())
    _LOG.info(
        "%d oligos of %d to %d nt: %s",
        *(len(oligos), oligos["length"].min(), oligos["length"].max(), counts),
    )
    write_tsv(oligos, table, OLIGOS)
    with written_beside(fasta) as part, part.open("w") as handle:
        for row in oligos.itertuples(index=False):
            handle.write(f">{row.name} category={row.category} label={row.label}\n{row.oligo}\n")
