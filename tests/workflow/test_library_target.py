"""A library to order, of sequences made elsewhere, so that no model need be trained; and what an edit of it re-runs."""

import random

import pandas as pd
import pytest

from diffusion_bert.design.order import OLIGOS
from diffusion_bert.tables import read_fasta, read_tsv


@pytest.fixture
def ordering(windowed):
    """The tiny data, one external set of both labels, and a small library."""
    config = windowed.config
    del config["models"], config["samplers"], config["generate"]
    draw = random.Random(1)
    labels = list(config["simulate"]["grammar"])
    made = [("".join(draw.choices("ACGT", k=100)), labels[i % 2]) for i in range(40)]
    pd.DataFrame(made, columns=["sequence", "label"]).to_csv(windowed.folder / "theirs.csv", index=False)
    config["external"] = {"theirs": {"source": "theirs.csv"}}
    windowed.config = config
    return windowed


LIBRARY = {
    "number": 4,
    "controls": {"shuffled": 2, "positive": 3, "background": 3},
    "adapters": {"five_prime": "ACTGGCCGCTTGACG", "linker": "GGTACC", "three_prime": "CACTGCGGCTCCTGC"},
    "barcodes": {"length": 10, "per_sequence": 2},
    "forbidden": ["KpnI"],
}
ALL = {"choose_library": 1, "order_library": 1, "draw_library": 1}


def test_a_library_is_made_once_and_belongs_to_a_whole_run_where_it_is_asked_for(ordering):
    assert "choose_library" not in ordering.stale()
    done = ordering.run("library", check=False)
    assert done.returncode != 0
    assert "The target library needs the key library in the config." in done.stdout
    ordering.edit(library=LIBRARY)
    assert ordering.stale().items() >= ALL.items()
    ordering.run("library")
    folder = ordering.folder / "results/library"
    table = read_tsv(folder / "oligos.tsv", OLIGOS)
    assert table.groupby("category").size().to_dict() == {"background": 12, "design": 16, "positive": 12, "shuffled": 8}
    assert set(table["run"].dropna()) == {"theirs/external"}
    assert (table["oligo"].str.count("GGTACC") == 1).all()
    assert table["barcode"].is_unique
    assert list(read_fasta(folder / "oligos.fasta")["sequence"]) == list(table["oligo"])
    assert (folder / "library.svg").stat().st_size > 1000
    assert not (ordering.folder / "results/oracles/judge").exists()
    assert ordering.stale("library") == {}
    ordering.edit(library__barcodes__per_sequence=3)
    assert ordering.stale("library") == {"order_library": 1}
    ordering.edit(library__barcodes__per_sequence=2, library__top=0.5)
    assert ordering.stale("library") == ALL
    ordering.edit(library__top=0.25, library__longest=140)
    done = ordering.run("library", check=False)
    assert done.returncode != 0
    assert "has at least 146 nt" in done.stdout
    assert "Traceback" not in done.stdout
