"""The genome's files: any usual form to one plain FASTA, its index, chromosome names and ranges."""

import gzip
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.genome import fasta, names
from diffusion_bert.genome.fasta import chromosome_sizes, index_genome, read_chromosome
from diffusion_bert.genome.names import expand_chroms

SHARED = Path(__file__).parents[3] / "shared" / "data"
RECORDS = {"chr1": "ACGTNacgtn" * 25 + "RYac", "chr2": "G" * 100, "chrM": "A" * 200}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def spelled(path: Path, chrom: str) -> str:
    return read_chromosome(path, chrom).tobytes().decode()


def wrapped(records: dict[str, str], width: int, end: str = "\n") -> str:
    return "".join(
        f">{name} more words{end}" + "".join(f"{s[i : i + width]}{end}" for i in range(0, len(s), width))
        for name, s in records.items()
    )


@pytest.mark.parametrize("width", [7, 60, 100, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_index_genome_keeps_every_letter_and_its_case(tmp_path, width, end):
    source = write(tmp_path / "in.fa", wrapped(RECORDS, width, end))
    out = tmp_path / "out.fa"
    assert index_genome(source, out) == {"chr1": 254, "chr2": 100, "chrM": 200}
    assert chromosome_sizes(tmp_path / "out.fa.fai") == {"chr1": 254, "chr2": 100, "chrM": 200}
    reader = pyfaidx.Fasta(str(out), rebuild=False)
    for name, sequence in RECORDS.items():
        assert spelled(out, name) == sequence
        assert str(reader[name]) == sequence
        assert str(reader[name][3:153]) == sequence[3:153]
    reader.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.fa", "out.fa", "out.fa.fai"]


def test_uneven_lines_blank_lines_and_no_last_line_end(tmp_path):
    source = write(tmp_path / "in.fa", "\n>a\nACG\n\nTTTTT\nA\n>b\nGG")
    index_genome(source, tmp_path / "out.fa")
    assert spelled(tmp_path / "out.fa", "a") == "ACGTTTTTA"
    assert spelled(tmp_path / "out.fa", "b") == "GG"


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_records_do_not_depend_on_the_chunks_that_are_read(tmp_path, monkeypatch, chunk):
    source = write(tmp_path / "in.fa", wrapped(RECORDS, 13))
    monkeypatch.setattr(fasta, "_CHUNK", max(chunk, fasta._LINE))
    handle = [source.read_bytes()]

    class Dribble:
        def read(self, _size):
            head, handle[0] = handle[0][:chunk], handle[0][chunk:]
            return head

    assert dict(fasta._fasta_records(source, Dribble())) == {n: s.encode() for n, s in RECORDS.items()}


def test_gzip_is_known_by_content_and_by_no_name(tmp_path):
    source = tmp_path / "genome"
    source.write_bytes(gzip.compress(wrapped(RECORDS, 60).encode()))
    index_genome(source, tmp_path / "out.fa")
    assert spelled(tmp_path / "out.fa", "chr1") == RECORDS["chr1"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real files are not beside this checkout")
@pytest.mark.parametrize("order", ["little", "big"])
def test_two_bit_of_both_byte_orders(tmp_path, order):
    from Bio import SeqIO

    source = SHARED / "track_files" / f"biopython_sequence.{order}endian.2bit"
    index_genome(source, tmp_path / "out.fa")
    with source.open("rb") as handle:
        expected = {record.id: str(record.seq) for record in SeqIO.parse(handle, "twobit")}
    assert len(expected) > 1
    assert {name: spelled(tmp_path / "out.fa", name) for name in expected} == expected


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real files are not beside this checkout")
def test_yeast_genome_from_bgzip(tmp_path):
    yeast = SHARED / "yeast_saccer3"
    index_genome(yeast / "sacCer3.fa.gz", tmp_path / "out.fa")
    stated = dict(line.split("\t") for line in (yeast / "sacCer3.chrom.sizes").read_text().splitlines())
    assert chromosome_sizes(tmp_path / "out.fa.fai") == {name: int(size) for name, size in stated.items()}
    with gzip.open(yeast / "sacCer3.fa.gz", "rt") as handle:
        text = handle.read().split(">chrV\n")[1].split(">")[0].replace("\n", "")
    assert spelled(tmp_path / "out.fa", "chrV") == text


def test_a_fasta_indexed_by_another_tool_is_read_with_its_own_lines(tmp_path):
    for ending in ("\n", ""):
        path = write(tmp_path / "other.fa", ">a\nACGTA\nCCCCC\n>b\nGGGGG" + ending)
        (tmp_path / "other.fa.fai").write_text("a\t10\t3\t5\t6\nb\t5\t18\t5\t6\n")
        assert spelled(path, "a") == "ACGTACCCCC"
        assert spelled(path, "b") == "GGGGG"
    assert read_chromosome(path, "a").dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\n>a\nAC\n", "two records named a"),
        (">a\n>b\nAC\n", "record a has no sequence"),
        (">a\nACGT\n>b\n", "record b has no sequence"),
        (">a\nACXGTX\n", r"record a holds 'X' \(2 such letters\)"),
        (">a\nACGU\n", "holds 'U'"),
        ("chr1\t1\t5\n", "is no FASTA: it begins with 'chr1"),
        (">\nACGT\n", "record without a name follows the beginning"),
        (">a\nAC\n> b\nACGT\n", "record without a name follows a"),
        ("", "holds no sequence"),
    ],
)
def test_what_is_no_genome_is_one_clear_message_and_leaves_nothing(tmp_path, text, message):
    source = write(tmp_path / "in.fa", text)
    with pytest.raises(UserError, match=message):
        index_genome(source, tmp_path / "out.fa")
    assert [p.name for p in tmp_path.iterdir()] == ["in.fa"]


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match="absent.fa does not exist"):
        index_genome(tmp_path / "absent.fa", tmp_path / "out.fa")
    whole = gzip.compress(wrapped(RECORDS, 60).encode())
    (tmp_path / "cut.fa.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut.fa.gz is damaged"):
        index_genome(tmp_path / "cut.fa.gz", tmp_path / "out.fa")
    (tmp_path / "cut.2bit").write_bytes(b"\x43\x27\x41\x1a\x07\x00\x00\x00")
    with pytest.raises(UserError, match="cut.2bit is damaged"):
        index_genome(tmp_path / "cut.2bit", tmp_path / "out.fa")


def test_read_chromosome_refuses_what_does_not_fit(tmp_path):
    index_genome(write(tmp_path / "in.fa", wrapped(RECORDS, 60)), tmp_path / "out.fa")
    with pytest.raises(UserError, match="no chromosome chr9; it has chr1, chr2, chrM"):
        read_chromosome(tmp_path / "out.fa", "chr9")
    (tmp_path / "out.fa").write_bytes((tmp_path / "out.fa").read_bytes()[:-5])
    (tmp_path / "out.fa.fai").touch()
    with pytest.raises(UserError, match="shorter than its index says"):
        read_chromosome(tmp_path / "out.fa", "chrM")
    (tmp_path / "out.fa.fai").write_text("chr1\tmany\n")
    with pytest.raises(UserError, match=r"out.fa.fai, line 1: name, length"):
        chromosome_sizes(tmp_path / "out.fa.fai")


HUMAN = [f"chr{i}" for i in range(1, 23)] + ["chrX", "chrY", "chrM"]


@pytest.mark.parametrize("pattern", ["chr1-22", "chr1-chr22", "1-22"])
def test_a_range_means_all_22_the_last_included(pattern):
    assert expand_chroms([pattern], HUMAN) == HUMAN[:22]


def test_expand_chroms():
    assert expand_chroms(["1-3", "X"], HUMAN) == ["chr1", "chr2", "chr3", "chrX"]
    assert expand_chroms(["chr2", "chr1-3", 3], HUMAN) == ["chr2", "chr1", "chr3"]
    assert expand_chroms(["chr1-2"], ["1", "2"]) == ["1", "2"]
    assert expand_chroms(["chr1-3"]) == ["chr1", "chr2", "chr3"]
    assert expand_chroms(["4-4"]) == ["4"]
    assert expand_chroms(["HLA-A", "A-2"], ["HLA-A", "A-2"]) == ["HLA-A", "A-2"]
    assert expand_chroms(["chrI-chrXVI"]) == expand_chroms(["chrI-XVI"])
    assert expand_chroms(["chrI-XVI"])[8:] == [
        "chrIX",
        "chrX",
        "chrXI",
        "chrXII",
        "chrXIII",
        "chrXIV",
        "chrXV",
        "chrXVI",
    ]


@given(st.integers(1, 120), st.integers(0, 30))
def test_every_range_includes_both_ends(low, more):
    assert expand_chroms([f"c{low}-{low + more}"]) == [f"c{n}" for n in range(low, low + more + 1)]
    assert names._arabic(names._roman(low)) == low


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("chr1-30", r"Chromosome chr23 \(of chr1-30\) is not in the genome, which has chr1, .* and 17 more"),
        ("chr77", "Chromosome chr77 is not in the genome"),
        ("chr22-1", "chr22-1 runs backwards"),
        ("chr1-X", "chr1-X does not go from one number to another"),
        ("chrX-Y", "chrX-Y does not go from one number to another"),
        ("", "name is empty"),
    ],
)
def test_mistaken_chromosomes(pattern, message):
    with pytest.raises(UserError, match=message):
        expand_chroms([pattern], HUMAN)
