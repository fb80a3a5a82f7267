"""Labelled sequences from each format: the same windows, and a message with the place for every mistake."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.genome.sequences import FIELDS, read_labelled_sequences
from diffusion_bert.tables import FUNNEL, WINDOWS, check, read_fasta

SHARED = Path(__file__).parents[3] / "shared" / "data" / "human_tf_chipseq_100bp"
ALL = {field: field for field in FIELDS}
PLAIN = {"sequence": "sequence", "label": "label"}
HEAD = "sequence\tlabel\tchrom\tstart\tend\tstrand\n"
TABLE = pd.DataFrame(
    {
        "sequence": ["acgtACGTAA", "GGGGCCCC", "TTTTTTAAAA"],
        "label": ["liver", "NA", "liver"],
        "chrom": ["chr1", "chr2", "chr1"],
        "start": [100, 0, 7],
        "end": [110, 8, 17],
        "strand": ["+", ".", "-"],
    }
)


def written(folder: Path, kind: str, table: pd.DataFrame = TABLE) -> Path:
    """The table in one of the formats, by extension."""
    path = folder / f"sequences.{kind}"
    if kind.startswith(("tsv", "csv", "txt")):
        table.to_csv(path, sep="," if kind.startswith("csv") else "\t", index=False)
    elif kind.startswith("parquet"):
        table.to_parquet(path)
    else:
        words = [" ".join(f"{name}={value}" for name, value in row.items() if name != "sequence")
                 for row in table.to_dict("records")]  # fmt: skip
        text = "".join(
            f">s{i} {w}\n{s[:6]}\n{s[6:]}\n" for i, (w, s) in enumerate(zip(words, table["sequence"], strict=True))
        )
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return path


def text(folder: Path, content: str | bytes, name: str = "s.tsv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", ["tsv", "tsv.gz", "txt", "csv", "csv.gz", "parquet", "fa", "fasta.gz"])
def test_every_format_gives_the_same_windows(tmp_path, kind):
    frame, funnel = read_labelled_sequences(written(tmp_path, kind), columns=ALL)
    assert frame.drop(columns="summit").to_dict("list") == {
        "chrom": ["chr1", "chr2", "chr1"],
        "start": [100, 0, 7],
        "end": [110, 8, 17],
        "strand": ["+", ".", "-"],
        "track": ["liver", "NA", "liver"],
        "label": ["liver", "NA", "liver"],
        "score": [0.0, 0.0, 0.0],
        "sequence": ["ACGTACGTAA", "GGGGCCCC", "TTTTTTAAAA"],
    }
    assert frame["summit"].isna().all()
    check(frame, WINDOWS, "windows")
    check(funnel, FUNNEL, "funnel")
    assert funnel.drop(columns="chrom").to_dict("records") == [
        {"track": label, "label": label, "stage": stage, "kept": n, "dropped": 0}
        for stage in ("sequences", "ambiguous_bases")
        for label, n in (("NA", 1), ("liver", 2))
    ]


@pytest.mark.parametrize("kind", ["tsv", "parquet", "fa"])
def test_without_coordinates(tmp_path, kind):
    frame, _ = read_labelled_sequences(written(tmp_path, kind), columns={**PLAIN, "chrom": None, "strand": None})
    assert frame[["chrom", "start", "end", "summit"]].isna().all(axis=None)
    assert list(frame["strand"]) == [".", ".", "."]
    check(frame, WINDOWS, "windows")


def test_chrom_alone_and_columns_of_other_names(tmp_path):
    table = TABLE.rename(columns={"sequence": "seq", "label": "cell type", "chrom": "Chr"})
    path = written(tmp_path, "csv", table)
    frame, _ = read_labelled_sequences(path, columns={"sequence": "seq", "label": "cell type", "chrom": "Chr"})
    assert list(frame["chrom"]) == ["chr1", "chr2", "chr1"]
    assert list(frame["label"]) == ["liver", "NA", "liver"]
    assert frame["start"].isna().all()


def test_one_label_for_a_whole_file_and_an_explicit_format(tmp_path):
    path = text(tmp_path, "sequence,label\r\nACGT,x\r\nGGGG,\r\n", "s.data")
    frame, _ = read_labelled_sequences(path, columns=PLAIN, format="csv", label="heart")
    assert list(frame["label"]) == ["heart", "heart"]
    assert list(frame["track"]) == ["heart", "heart"]


def test_byte_order_mark_blank_end_and_spaces(tmp_path):
    path = text(tmp_path, "\ufeffsequence\tlabel\n ACGT \t x \nGGGG\tx\n\n\n")
    frame, _ = read_labelled_sequences(path, columns=PLAIN)
    assert list(frame["sequence"]) == ["ACGT", "GGGG"]
    assert list(frame["label"]) == ["x", "x"]


def test_loci_as_bedtools_writes_them(tmp_path):
    path = text(tmp_path, ">chr1:10-14(-)\nACGT\n>HLA:9:3-5(+)\nAC\n", "s.fa")
    with pytest.raises(UserError, match="its description has no label"):
        read_labelled_sequences(path, columns=ALL)
    path = text(tmp_path, ">chr1:10-14(-)\nACGT\n>chrUn_x.1:3-5(+)\nAC\n", "s.fa")
    frame, _ = read_labelled_sequences(path, columns=ALL, label="x")
    assert frame[["chrom", "start", "end", "strand"]].to_numpy().tolist() == [
        ["chr1", 10, 14, "-"],
        ["chrUn_x.1", 3, 5, "+"],
    ]
    # 1-based names, as samtools writes them, are not taken for 0-based ones.
    path = text(tmp_path, ">chr1:10-13\nACGT\n", "s.fa")
    assert read_labelled_sequences(path, columns=ALL, label="x")[0]["chrom"].isna().all()


def test_iupac_codes_count_as_n(tmp_path):
    path = text(tmp_path, "sequence\tlabel\nACRYSWKMBDHVNacgtn\tx\nACGTACGTAN\ty\nAACCGGTTAA\ty\n")
    frame, funnel = read_labelled_sequences(path, columns=PLAIN, max_n=0.1)
    assert list(frame["sequence"]) == ["ACGTACGTAN", "AACCGGTTAA"]
    last = funnel[funnel["stage"] == "ambiguous_bases"]
    assert dict(zip(last["label"], last["dropped"], strict=True)) == {"x": 1, "y": 0}
    frame, _ = read_labelled_sequences(path, columns=PLAIN, max_n=1.0)
    assert frame["sequence"].iloc[0] == "ACNNNNNNNNNNNACGTN"


def test_width_trims_to_the_middle_drops_shorter_ones_and_moves_coordinates(tmp_path):
    table = pd.DataFrame(
        {
            "sequence": ["AACGTC", "AACGTC", "AACGT", "ACG", "NACGTN"],
            "label": "x",
            "chrom": "chr1",
            "start": [10, 20, 30, 40, 50],
            "end": [16, 26, 35, 43, 56],
            "strand": ["+", "-", "-", ".", "."],
        }
    )
    frame, funnel = read_labelled_sequences(written(tmp_path, "tsv", table), columns=ALL, width=4)
    # Position length // 2 becomes position width // 2; five bases lose their last on the strand they are written on.
    assert list(frame["sequence"]) == ["ACGT", "ACGT", "AACG", "ACGT"]
    assert list(frame["start"]) == [11, 21, 31, 51]
    assert list(frame["end"]) == [15, 25, 35, 55]
    assert funnel[["stage", "kept", "dropped"]].to_numpy().tolist() == [
        ["sequences", 5, 0],
        ["shorter_than_width", 4, 1],
        ["ambiguous_bases", 4, 0],
    ]


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from("+-."), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_trimmed_windows_still_lie_where_they_say(tmp_path_factory, length, width, strand, start):
    genome = "".join(np.random.default_rng(length).choice(list("ACGT"), 100))
    pairs = str.maketrans("ACGT", "TGCA")

    def read(start, end):
        piece = genome[start:end]
        return piece[::-1].translate(pairs) if strand == "-" else piece

    piece = read(start, start + length)
    path = tmp_path_factory.getbasetemp() / "trimmed.tsv"
    path.write_text(f"{HEAD}{piece}\tx\tchr1\t{start}\t{start + length}\t{strand}\n")
    if width > length:
        with pytest.raises(UserError, match="none of its 1 sequences is left"):
            read_labelled_sequences(path, columns=ALL, width=width)
        return
    row = read_labelled_sequences(path, columns=ALL, width=width)[0].iloc[0]
    assert row["end"] - row["start"] == width == len(row["sequence"])
    assert read(row["start"], row["end"]) == row["sequence"]


@pytest.mark.parametrize(
    ("content", "name", "options", "message"),
    [
        ("", "s.tsv", {}, r"s\.tsv: the file is empty.*header"),
        ("sequence\tlabel\n", "s.tsv", {}, r"s\.tsv: holds no sequence"),
        ("", "s.fa", {}, r"s\.fa: holds no sequence"),
        ("seq\tlabel\nA\tx\n", "s.tsv", {}, r"there is no column 'sequence' \(sequences.columns.seq.*are seq, l"),
        ("sequence\tgroup\nA\tx\n", "s.csv", {}, r"no column 'sequence'.* the columns are sequence\tgroup"),
        ("sequence\tgroup\nA\tx\n", "s.tsv", {}, r"no column 'label' .*Set sequences.columns.label to one of these"),
        ("sequence\tlabel\nACGT\tx\n\t\nAC\tx\n", "s.tsv", {}, r"s\.tsv, line 3: the sequence is empty"),
        ("sequence\tlabel\nACGT\tx\nAC\t\n", "s.tsv", {}, r"line 3: the label is empty.*remove the row"),
        ("sequence\tlabel\nACGT\tx\nAC\t \n", "s.tsv", {}, "line 3: the label is empty"),
        ("sequence\tlabel\nACGT\tx\nACXT\tx\n", "s.tsv", {}, "line 3: position 3 of the sequence is 'X'; A, C, G"),
        ("sequence\tlabel\nAC-T\tx\n", "s.tsv", {}, "line 2: position 3 of the sequence is '-'"),
        ("sequence\tlabel\nACU\tx\n", "s.tsv", {}, r"position 3 of the sequence is 'U'.*\(write T for U\)\."),
        ("sequence\tlabel\nAC\u00c4\tx\n", "s.tsv", {}, "position 3 of the sequence is '\u00c4'"),
        ('sequence\tlabel\n"AC\nGT"\tx\n', "s.tsv", {}, r"position 3 of the sequence is '\\n'"),
        ("sequence\tlabel\nA\tx\ty\tz\n", "s.tsv", {}, "cannot be read as tsv: .*Mend the file"),
        (b"sequence\tlabel\nAC\xff\tx\n", "s.tsv", {}, "cannot be read as tsv: .*decode"),
        (b"\x1f\x8b\x08\x00rubbish", "s.tsv.gz", {}, r"s\.tsv\.gz: cannot be read as tsv"),
        (b"\x1f\x8b\x08\x00rubbish", "s.fa.gz", {}, r"s\.fa\.gz: cannot be read as fasta"),
        ("rubbish", "s.parquet", {}, "cannot be read as parquet"),
        ("rubbish", "s.fa", {}, r"s\.fa, line 1: FASTA begins with a line that starts with '>'"),
        ("rubbish", "s.xlsx", {}, "its extension does not tell the format.*Set sequences.format"),
        ("rubbish", "rubbish", {}, "its extension does not tell the format"),
        (">a label=x\nACGT\n>b\nACGT\n", "s.fa", {}, r"s\.fa, record 2 \(b\): its description has no label=... word"),
        (">a label=x\nACGT\n>b label=x\nA*GT\n", "s.fa", {}, r"record 2 \(b\): position 2 of the sequence is '\*'"),
        (HEAD + "ACGT\tx\tchr1\t1\t5\tf\n", "s.tsv", {"columns": ALL}, "line 2: the strand is 'f'; .*leave strand out"),
        (HEAD + "ACGT\tx\tchr1\ta\t5\t+\n", "s.tsv", {"columns": ALL}, "line 2: the start is 'a'; a whole number"),
        (HEAD + "ACGT\tx\tchr1\t1\t5.5\t+\n", "s.tsv", {"columns": ALL}, "line 2: the end is '5.5'; a whole number"),
        (HEAD + "ACGT\tx\tchr1\t1\t4\t+\n", "s.tsv", {"columns": ALL}, "start 1, end 4 and 4 bases; .*1-based"),
        (HEAD + "ACGT\tx\tchr1\t-1\t3\t+\n", "s.tsv", {"columns": ALL}, "chrom chr1, start -1, end 3 and 4 bases"),
        (HEAD + "ACGT\tx\t\t1\t5\t+\n", "s.tsv", {"columns": ALL}, "line 2: chrom nothing, start 1, end 5"),
        ("", "s.tsv", {"columns": {**PLAIN, "start": "s"}}, "columns: start without the others.*or chrom alone"),
        ("sequence\tlabel\nAC\tx\n", "s.tsv", {"width": 3}, r"none of its 1 sequences is left: .*windows.width \(3\)"),
        ("sequence\tlabel\nNN\tx\n", "s.tsv", {}, r"hold more N than windows.max_n \(0.0\).*raise windows.max_n"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path, content, name, options, message):
    with pytest.raises(UserError, match=message):
        read_labelled_sequences(text(tmp_path, content, name), **{"columns": PLAIN} | options)


@pytest.mark.parametrize("name", ["none.fa", "none.tsv", "none.parquet"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: there is no such file.*sequences.source"):
        read_labelled_sequences(tmp_path / name, columns=PLAIN)


def test_parquet_mistakes_name_the_row(tmp_path):
    table = TABLE.assign(label=["x", None, "y"])
    with pytest.raises(UserError, match=r"sequences\.parquet, row 2: the label is empty"):
        read_labelled_sequences(written(tmp_path, "parquet", table), columns=PLAIN)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not beside the repository")
def test_real_windows(tmp_path):
    columns = {**PLAIN, "chrom": "chrom", "start": "start", "end": "end"}
    frame, funnel = read_labelled_sequences(SHARED / "human_tf_100bp.tsv.gz", columns=columns)
    assert frame["label"].value_counts().to_dict() == {"CTCF": 39_184, "PU.1": 28_677}
    assert set(frame["sequence"].str.len()) == {100}
    assert funnel["dropped"].sum() == 0
    fasta, _ = read_labelled_sequences(SHARED / "pu1.fa.gz", columns=columns, label="PU.1")
    both = [
        set(zip(f["chrom"], f["start"], f["sequence"], strict=True)) for f in (frame[frame["label"] == "PU.1"], fasta)
    ]
    assert both[0] == both[1]
    assert len(read_fasta(SHARED / "pu1.fa.gz")) == len(fasta)
