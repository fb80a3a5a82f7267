"""Peak files of every kind to one table, and a message with file and line for those that are none."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from diffusion_bert.errors import UserError
from diffusion_bert.genome.tracks import read_aliases, read_peaks, read_tracks, track_chromosomes
from diffusion_bert.tables import PEAKS

SHARED = Path(__file__).parents[3] / "shared" / "data"
FILES, YEAST = SHARED / "track_files", SHARED / "yeast_saccer3"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real files are not beside this checkout")

NARROW = """track type=narrowPeak name="x"
browser position chr1:1-100
# a comment
chr2\t50\t60\tb\t7\t-\t1.5\t-1\t-1\t3

chr1\t10\t30\ta\t900\t+\t2.5\t9\t8\t0
chr1\t5\t9\tc\t1\t.\t0\t-1\t-1\t-1
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def peaks(path, **options):
    return read_peaks(path, track="t", label="l", **options)


def rows(frame, *columns):
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame[list(columns)].itertuples(False)]


def test_narrow_peak_rows_summits_strands_and_scores(tmp_path):
    frame = peaks(write(tmp_path / "x.narrowPeak", NARROW))
    assert list(frame) == list(PEAKS)
    assert rows(frame, "chrom", "start", "end", "strand", "summit", "score") == [
        ("chr2", 50, 60, "-", 53, 1.5),
        ("chr1", 5, 9, ".", None, 0.0),
        ("chr1", 10, 30, "+", 10, 2.5),
    ]
    assert set(frame["track"]) == {"t"}
    assert set(frame["label"]) == {"l"}


@pytest.mark.parametrize("name", ["x.bed", "x.narrowPeak.gz", "x.txt", "x"])
def test_the_format_is_found_by_columns_whatever_the_name_and_packing(tmp_path, name):
    path = tmp_path / name
    text = NARROW.replace("\n", "\r\n") if name == "x.txt" else NARROW
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert rows(peaks(path, chrom="chr1"), "start", "summit", "score") == [(5, None, 0.0), (10, 10, 2.5)]


def test_one_chromosome_is_all_chromosomes_cut_down(tmp_path):
    path = write(tmp_path / "x.narrowPeak", NARROW)
    whole = peaks(path)
    for chrom in ("chr1", "chr2"):
        expected = whole[whole["chrom"] == chrom].reset_index(drop=True)
        pd.testing.assert_frame_equal(peaks(path, chrom=chrom), expected)
    assert len(peaks(path, chrom="chr3")) == 0
    assert list(peaks(path, chrom="chr3")) == list(PEAKS)


def test_the_score_is_the_signal_when_any_of_the_track_is_above_zero(tmp_path):
    """A chromosome whose signals are all 0 must not be scored on another scale than the rest of its track."""
    path = write(tmp_path / "x.narrowPeak", NARROW.replace("\t1.5\t", "\t0\t"))
    assert rows(peaks(path, chrom="chr2"), "score") == [(0.0,)]
    path = write(tmp_path / "x.narrowPeak", NARROW.replace("\t1.5\t", "\t0\t").replace("\t2.5\t", "\t-1\t"))
    assert rows(peaks(path, chrom="chr2"), "score") == [(7.0,)]
    assert rows(peaks(path), "score") == [(7.0,), (1.0,), (900.0,)]


@pytest.mark.parametrize(
    ("line", "score", "strand", "summit"),
    [
        ("chr1\t1\t9", 0.0, ".", None),
        ("chr1\t1\t9\tHigh Signal Region", 0.0, ".", None),
        ("chr1\t1\t9\tn\t.\t+", 0.0, "+", None),
        ("chr1\t1\t9\tn\t12\t*", 12.0, ".", None),
        ("chr1 1 9  n 12 -", 12.0, "-", None),
        ('chr1\t1\t9\t"n\t3\t-', 3.0, "-", None),
        ("chr1\t1\t9\tn\t5\t+\t2\t8\t0,0,255", 5.0, "+", None),  # BED9: thick part in the interval
        ("chr1\t1\t9\tn\t5\t+\t2.25\t8\t1", 2.25, "+", None),  # broadPeak: signal, p, q
        ("chr1\t1\t9\tn\t5\t+\t22\t8\t1", 22.0, "+", None),
        ("chr1\t1\t9\tn\t5\t+\t1\t9\t0\t2\t3,3\t0,5", 5.0, "+", None),  # BED12
        ("chr1\t1\t9\tn\t5\t+\t3e1\t8\t1\t7", 30.0, "+", 8),
    ],
)
def test_one_line_of_each_kind(tmp_path, line, score, strand, summit):
    frame = peaks(write(tmp_path / "x.bed", line + "\n"))
    assert rows(frame, "chrom", "start", "end", "score", "strand", "summit") == [("chr1", 1, 9, score, strand, summit)]


def test_a_stated_format_wins(tmp_path):
    path = write(tmp_path / "x.bed", "chr1\t1\t9\tn\t5\t+\t2\t8\t0\t4\n")
    assert rows(peaks(path), "score", "summit") == [(2.0, 5)]
    assert rows(peaks(path, format="broadpeak"), "score", "summit") == [(2.0, None)]
    assert rows(peaks(path, format="bed"), "score", "summit") == [(5.0, None)]


def test_aliases_map_the_files_names_to_the_genomes(tmp_path):
    path = write(tmp_path / "x.bed", "1\t1\t9\nchr1\t20\t30\n2\t3\t4\n")
    aliases = {"1": "chr1", "2": "chr2"}
    assert rows(peaks(path, chrom="chr1", aliases=aliases), "chrom", "start") == [("chr1", 1), ("chr1", 20)]
    assert rows(peaks(path, aliases=aliases), "chrom", "start") == [("chr1", 1), ("chr1", 20), ("chr2", 3)]
    assert track_chromosomes(path, aliases=aliases) == {"chr1": 2, "chr2": 1}
    assert track_chromosomes(path) == {"1": 1, "chr1": 1, "2": 1}


def test_many_tracks_are_one_table(tmp_path):
    one, two = write(tmp_path / "a.narrowPeak", NARROW), write(tmp_path / "b.bed", "chr1\t1\t9\n")
    frame = read_tracks([(("a", "x", "auto"), one), (("b", "y", "bed"), two)], chrom="chr1")
    parts = [
        read_peaks(one, track="a", label="x", chrom="chr1"),
        read_peaks(two, track="b", label="y", chrom="chr1"),
    ]
    pd.testing.assert_frame_equal(frame, pd.concat(parts, ignore_index=True))
    assert len(read_tracks([])) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\t9\nchr1\t5\n", r"x.bed, line 2: 2 columns, where the first line has 3: 'chr1\\t5'"),
        ("chr1\t1\n", "line 1: 2 columns, where BED has at least 3"),
        ("<html><body>no</body></html>\n", "line 1: 1 columns, where BED has at least 3"),
        ("# x\nchr1\t1\t9\nchr1\t1.5\t9\n", r"line 3: column 2 \(start\) is '1.5', where a whole number"),
        ("chr1\t1\t9\nchr1\t1\t\n", r"line 2: column 3 \(end\) is '', where a whole number"),
        ("chr1\t1\t9\tn\tbig\n", r"line 1: column 5 \(score\) is 'big', where a number"),
        ("chr1\t1\t9\tn\t1\t+\tx\t1\t1\t1\n", r"line 1: column 7 \(signalValue\) is 'x'"),
        ("chr1\t1\t9\tn\t1\t+\t1\t1\t1\t2.5\n", r"line 1: column 10 \(peak\) is '2.5'"),
        ("chr1\t1\t9\nchr1\t-1\t9\n", "line 2: a start below 0.*0-based"),
        ("track x\nchr1\t9\t9\n", "line 2: an end that is not beyond the start"),
        ("chr1\t1\t9\tn\t1\t+\t1\t1\t1\t8\n", r"line 1: a peak \(column 10\) outside its interval.*write -1"),
        ("chr1\t1\t99999999999999999999\n", "line 1.*99999999999999999999"),
    ],
)
def test_what_is_no_peak_is_told_with_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        peaks(write(tmp_path / "x.bed", text))


def test_columns_are_checked_on_every_chromosome_and_numbers_on_the_one_asked_for(tmp_path):
    path = write(tmp_path / "x.bed", "chr1\t1\t9\nchr2\tx\t9\n")
    assert len(peaks(path, chrom="chr1")) == 1
    with pytest.raises(UserError, match="line 2: column 2"):
        peaks(path, chrom="chr2")
    with pytest.raises(UserError, match="line 2: 2 columns"):
        peaks(write(tmp_path / "x.bed", "chr1\t1\t9\nchr2\t9\n"), chrom="chr1")


def test_mistaken_files_and_formats(tmp_path):
    path = write(tmp_path / "x.bed", "chr1\t1\t9\n")
    with pytest.raises(UserError, match="absent.bed does not exist.*track sheet"):
        peaks(tmp_path / "absent.bed")
    with pytest.raises(UserError, match="format gff is unknown.*bigbed, narrowpeak"):
        peaks(path, format="gff")
    with pytest.raises(UserError, match="x.bed is not a bigBed file"):
        peaks(path, format="bigbed")
    with pytest.raises(UserError, match="x.bed has 3 columns; narrowpeak has 10"):
        peaks(path, format="narrowpeak")
    (tmp_path / "x.bed.gz").write_bytes(gzip.compress(b"chr1\t1\t9\n" * 99)[:-9])
    with pytest.raises(UserError, match="x.bed.gz is damaged"):
        peaks(tmp_path / "x.bed.gz")
    (tmp_path / "x.bb").write_bytes(b"\x87\x89\xf2\xeb" + bytes(60))
    with pytest.raises(UserError, match="x.bb is a big-endian bigBed file.*bigBedToBed"):
        peaks(tmp_path / "x.bb")
    (tmp_path / "x.bb").write_bytes(b"\xeb\xf2\x89\x87" + bytes(60))
    with pytest.raises(UserError, match="x.bb is a damaged bigBed file"):
        peaks(tmp_path / "x.bb")


def test_aliases(tmp_path):
    path = write(tmp_path / "a.tsv", "# ucsc\tother\nchr1\t1\tNC_1\n\nchr2\t2\t\n")
    assert read_aliases(path) == {"1": "chr1", "NC_1": "chr1", "2": "chr2"}
    assert read_aliases(path, ["2"]) == {"chr2": "2"}
    with pytest.raises(UserError, match="a.tsv, line 2: 1 stands for chr2, but also for chr1"):
        read_aliases(write(tmp_path / "a.tsv", "chr1\t1\nchr2\t1\n"))


@pytest.fixture(scope="module")
def bigbeds(tmp_path_factory):
    """NARROW as bigBed, as declared by writers that state all fields, and by those that state three."""
    pytest.importorskip("Bio")
    import numpy as np
    from Bio.Align import Alignment, Alignments, bigbed
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    fields = (
        ("string", "chrom"), ("uint", "chromStart"), ("uint", "chromEnd"), ("string", "name"), ("uint", "score"),
        ("char[1]", "strand"), ("float", "signalValue"), ("float", "pValue"), ("float", "qValue"), ("int", "peak"),
    )  # fmt: skip
    table = bigbed.AutoSQLTable("narrowPeak", "x", [bigbed.Field(kind, name, name) for kind, name in fields])
    targets = {name: SeqRecord(Seq(None, length=1000), id=name) for name in ("chr1", "chr2")}
    lines = [line.split("\t") for line in NARROW.splitlines() if line.startswith("chr")]
    alignments = []
    for chrom, start, end, name, score, strand, signal, p, q, peak in sorted(lines, key=lambda f: (f[0], int(f[1]))):
        size = int(end) - int(start)
        row = Alignment(
            [targets[chrom], SeqRecord(Seq(None, length=size), id=name)], np.array([[int(start), int(end)], [0, size]])
        )
        row.score = int(score)
        row.annotations = {"strand": strand, "signalValue": signal, "pValue": p, "qValue": q, "peak": peak}
        alignments.append(row)
    alignments = Alignments(alignments)
    alignments.targets = list(targets.values())
    folder = tmp_path_factory.mktemp("bigbed")
    with (folder / "declared.bb").open("wb") as out:
        bigbed.AlignmentWriter(out, bedN=5, declaration=table).write(alignments)
    raw = bytearray((folder / "declared.bb").read_bytes())
    raw[32:36] = b"\x03\x00\x03\x00"  # fieldCount and definedFieldCount
    (folder / "three.bb").write_bytes(raw)
    raw[44:52] = bytes(8)  # no autoSql either
    (folder / "silent.bb").write_bytes(raw)
    return folder


@pytest.mark.parametrize("name", ["declared", "three", "silent"])
def test_bigbed_is_read_by_the_columns_that_are_there(tmp_path, bigbeds, name):
    key = ["chrom", "start"]
    expected = peaks(write(tmp_path / "x.narrowPeak", NARROW)).sort_values(key, ignore_index=True)
    for form in ("auto", "bigbed", "narrowpeak"):
        pd.testing.assert_frame_equal(peaks(bigbeds / f"{name}.bb", format=form), expected)
    assert rows(peaks(bigbeds / f"{name}.bb", format="bed", chrom="chr2"), "score", "summit") == [(7.0, None)]
    aliased = peaks(bigbeds / f"{name}.bb", chrom="one", aliases={"chr1": "one"})
    assert rows(aliased, "chrom", "start", "summit") == [("one", 5, None), ("one", 10, 10)]
    assert track_chromosomes(bigbeds / f"{name}.bb") == {"chr1": 2, "chr2": 1}
    assert len(peaks(bigbeds / f"{name}.bb", chrom="chr9")) == 0


@shared
@pytest.mark.parametrize("name", ["ATAC_hmmratac", "Reb1", "Sua7", "promoter_RP", "promoter_TFO"])
def test_yeast_bigbed_rows_are_the_text_rows(name):
    (text,) = (YEAST / "tracks").glob(f"{name}.*")
    expected = peaks(text)
    expected["score"] = expected["score"].clip(upper=1000)  # the bigBed format's limit
    key = ["chrom", "start", "end", "strand", "score"]
    found = peaks(YEAST / "tracks_bigbed" / f"{name}.bb").sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected.sort_values(key, ignore_index=True))
    assert found["summit"].notna().all() == (name == "ATAC_hmmratac")
    counts = track_chromosomes(text)
    assert counts == track_chromosomes(YEAST / "tracks_bigbed" / f"{name}.bb")
    assert sum(counts.values()) == len(expected)


@shared
def test_yeast_original_names_are_refused_without_aliases_and_fit_with_them():
    path, chroms = YEAST / "original_names" / "Reb1_CX.bed", ["chrI", "chrII", "chrIII"]
    assert not set(track_chromosomes(path)) & set(chroms)
    aliases = read_aliases(YEAST / "chrom_alias.tsv", [f"chr{n}" for n in ("I", "II", "III", "IV", "X", "XVI")])
    assert aliases["chr16"] == "chrXVI"
    renamed = read_aliases(YEAST / "chrom_alias.tsv")
    assert set(track_chromosomes(path, aliases=renamed)) >= {"chrII", "chrXVI"}
    renamed = peaks(path, chrom="chrII", aliases=aliases)
    assert rows(renamed, "start", "score") == rows(
        peaks(YEAST / "tracks" / "Reb1.bed.gz", chrom="chrII"), "start", "score"
    )


@shared
@pytest.mark.parametrize(
    ("name", "number", "first"),
    [
        ("bigtools_mini.bb", 5, ("chr1", 1, 3, ".", None, 0.0)),
        ("biopython_bed3.bb", 2, ("chr22", 1000, 5000, ".", None, 0.0)),
        ("biopython_bed6.bb", 2, ("chr22", 1000, 5000, "+", None, 960.0)),
        ("biopython_bed9.bb", 2, ("chr22", 1000, 5000, "+", None, 960.0)),
        ("biopython_bigbed_extended.littleendian.bb", 10, ("chr7", 60328, 61569, "-", None, 0.0)),
        ("pybigwig_test.bigBed", 19, None),
        ("weng_testbb.bigbed", 437, ("chr21", 9928613, 10012791, "-", None, 0.0)),
        ("weng_broadpeak.bigbed", 100_071, ("chr1", 181108, 181230, ".", None, 25.0)),  # its signals are all -1
        ("weng_idrpeak.bigbed", 2189, ("chr1", 1116078, 1116107, "-", None, 164.0)),
        ("macs_ctcf_chr22_peaks.narrowPeak", 730, ("chr22", 17255466, 17255847, ".", 17255632, 13.2158)),
        ("macs_ctcf_chr22_peaks.broadPeak", 746, ("chr22", 17255466, 17255847, ".", None, 8.20787)),
    ],
)
def test_real_files_of_every_kind(name, number, first):
    frame = peaks(FILES / name)
    assert len(frame) == number
    assert first in (None, rows(frame, "chrom", "start", "end", "strand", "summit", "score")[0])
    assert sum(track_chromosomes(FILES / name).values()) == number


@shared
def test_a_bigwig_is_no_track():
    with pytest.raises(UserError, match="pybigwig_test.bw is a bigWig file: signal, not peaks.*called from"):
        peaks(FILES / "pybigwig_test.bw")
