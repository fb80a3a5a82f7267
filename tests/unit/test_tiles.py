"""Tiles of the genome against a slice a tile, and the promise that held-out chromosomes stay unseen."""

import numpy as np
import pandas as pd
import pytest

from diffusion_bert.errors import UserError
from diffusion_bert.genome import tiles as module
from diffusion_bert.genome.fasta import index_genome
from diffusion_bert.genome.tiles import tile_genome, tiles
from diffusion_bert.tables import FUNNEL, TILES, read_parquet, read_tsv

LENGTHS = {"chr1": 1003, "chr2": 400, "chr3": 620, "chr4": 350, "chr5": 90}
EVERYTHING = {
    "width": 50,
    "stride": 50,
    "max_n": 0.0,
    "max_lower_case": 1.0,
    "number": None,
    "validation_number": None,
    "blacklist": None,
    "aliases": None,
    "seed": 7,
}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """(path, letters by chromosome): chromosomes of several lengths, with N, soft-masked stretches and IUPAC codes."""
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(0)
    letters = {}
    for chrom, length in LENGTHS.items():
        row = rng.choice(list("ACGT"), length)
        row[100:130] = "N"
        row[200:290] = np.char.lower(row[200:290])
        row[320:322] = "R"
        letters[chrom] = "".join(row)
    (folder / "in.fa").write_text("".join(f">{chrom}\n{row}\n" for chrom, row in letters.items()))
    index_genome(folder / "in.fa", folder / "genome.fa")
    (folder / "blacklist.bed").write_text("chr1\t499\t501\nchr3\t0\t60\n")
    (folder / "alias.bed").write_text("one\t499\t501\nthree\t0\t60\n")
    return folder / "genome.fa", letters


def expected(letters, chroms, width, stride, max_n=0.0, max_lower_case=1.0, blacklist=()):
    """One slice at a time."""
    rows = []
    for chrom in chroms:
        for start in range(0, len(letters[chrom]), stride):
            tile = letters[chrom][start : start + width]
            touched = any(c == chrom and a < start + width and start < b for c, a, b in blacklist)
            if len(tile) < width or touched:
                continue
            unknown = sum(base.upper() not in "ACGT" for base in tile) / width
            lower = sum(base.islower() for base in tile) / width
            if unknown <= max_n and lower <= max_lower_case:
                tile = "".join(base if base in "ACGT" else "N" for base in tile.upper())
                rows.append((chrom, start, start + width, tile))
    return rows


def listed(frame):
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("settings", [{}, {"max_n": 0.2}, {"max_lower_case": 0.3}, {"max_n": 0.7, "max_lower_case": 0}])
@pytest.mark.parametrize(("width", "stride"), [(50, 50), (50, 20), (31, 47)])
def test_every_tile_is_a_slice(genome, width, stride, settings):
    fasta, letters = genome
    frame, funnel = tiles(fasta, ["chr1", "chr3"], width=width, stride=stride, **settings)
    assert listed(frame) == expected(letters, ["chr1", "chr3"], width, stride, **settings)
    assert frame.columns.tolist() == list(TILES)
    assert funnel.loc[funnel["stage"] == "windows", "kept"].sum() == len(frame)
    laid = [max(0, (LENGTHS[chrom] - width) // stride + 1) for chrom in ("chr1", "chr3")]
    assert funnel.loc[funnel["stage"] == "peaks", "kept"].tolist() == laid


@pytest.mark.parametrize("aliases", [None, {"one": "chr1", "three": "chr3"}])
def test_the_blacklist(genome, aliases):
    fasta, letters = genome
    blacklist = fasta.parent / ("alias.bed" if aliases else "blacklist.bed")
    frame, _ = tiles(fasta, ["chr1", "chr3"], width=50, stride=50, blacklist=blacklist, aliases=aliases)
    excluded = [("chr1", 499, 501), ("chr3", 0, 60)]
    assert listed(frame) == expected(letters, ["chr1", "chr3"], 50, 50, blacklist=excluded)
    assert not frame["start"][frame["chrom"] == "chr1"].isin([450, 500]).any()


def test_a_sample_depends_on_the_seed_and_not_on_the_order(genome):
    fasta, _ = genome

    def drawn(chroms, seed=1, number=12):
        return tiles(fasta, chroms, width=20, stride=20, number=number, seed=seed)[0]

    one, other = drawn(["chr1", "chr2", "chr3"]), drawn(["chr3", "chr1", "chr2"])
    assert len(one) == 12
    assert set(listed(one)) == set(listed(other))
    assert one["chrom"].tolist() == sorted(one["chrom"])
    assert set(listed(one)) != set(listed(drawn(["chr1", "chr2", "chr3"], seed=2)))
    every, _ = tiles(fasta, ["chr1", "chr2", "chr3"], width=20, stride=20)
    assert set(listed(one)) < set(listed(every))
    pd.testing.assert_frame_equal(drawn(["chr1", "chr2", "chr3"], number=10_000), every)


def test_a_sample_takes_each_chromosome_as_its_length_is(genome):
    fasta, _ = genome
    counts = sum(
        tiles(fasta, ["chr1", "chr4"], width=10, stride=10, number=30, seed=seed)[0]["chrom"].eq("chr1").sum()
        for seed in range(40)
    )
    every = tiles(fasta, ["chr1", "chr4"], width=10, stride=10)[0]["chrom"].eq("chr1").mean()
    assert counts / (40 * 30) == pytest.approx(every, abs=0.05)


def made(genome, folder, **changes):
    paths = (folder / "train.parquet", folder / "validation.parquet", folder / "funnel.tsv")
    given = {"chroms": ["chr1", "chr2", "chr3", "chr4"], "validation": ["chr2"], "test": ["chr3"]}
    tile_genome(genome[0], **{**EVERYTHING, **given, **changes}, destinations=paths)
    return [*(read_parquet(path, TILES) for path in paths[:2]), read_tsv(paths[2], FUNNEL)]


def test_no_tile_lies_where_it_must_not(genome, tmp_path):
    train, validation, funnel = made(genome, tmp_path)
    assert set(train["chrom"]) == {"chr1", "chr4"}
    assert set(validation["chrom"]) == {"chr2"}
    assert dict(funnel.groupby("label")["chrom"].unique().map(list)) == {
        "train": ["chr1", "chr4"],
        "validation": ["chr2"],
    }
    train, validation, _ = made(genome, tmp_path, number=5, validation_number=3)
    assert (len(train), len(validation)) == (5, 3)


def test_it_is_checked_that_no_tile_does(genome, tmp_path, monkeypatch):
    """A mistake in ``tiles`` must not reach a model."""
    real = tiles
    monkeypatch.setattr(module, "tiles", lambda fasta, chroms, **more: real(fasta, [*chroms, "chr3"], **more))
    with pytest.raises(ValueError, match="train tiles lie on chr1, chr3, chr4"):
        made(genome, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_wide_or_leaves_nothing(genome, tmp_path):
    with pytest.raises(UserError, match=r"tiles\.width is 100, but chromosome chr5 has 90 bp\. Make tiles narrower"):
        made(genome, tmp_path, chroms=list(LENGTHS), width=100)
    with pytest.raises(UserError, match=r"no tile of 350 bp is left for validation \(chromosomes: chr2\)\. Raise"):
        made(genome, tmp_path, width=350, max_n=0.001)
    with pytest.raises(UserError, match=r"left for train \(chromosomes: none\)"):
        made(genome, tmp_path, chroms=["chr2", "chr3"])
