"""The simulated genome: its truth is found again in the files by means other than those that wrote them."""

import copy
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx
import pytest
from Bio import motifs
from Bio.Seq import Seq

from diffusion_bert.errors import UserError
from diffusion_bert.genome.bigbed import NARROW_PEAK, write_narrow_peaks
from diffusion_bert.genome.simulate import (
    MAX_MODULE,
    SUMMIT_JITTER,
    TRUTH,
    check_settings,
    simulate,
    track_files,
)
from diffusion_bert.tables import read_tsv

SETTINGS = {
    "chromosomes": 3,
    "chromosome_length": 100_030,
    "enhancers_per_label": 160,
    "grammar": {
        "erythroid": {
            "sites": [
                {"motif": "MA0841.2", "strand": "+", "probability": 0.9},
                {"motif": "MA0140.3", "strand": "+", "probability": 0.7},
                {"motif": "MA0493.3", "strand": "-", "probability": 0.8},
            ],
            "spacing": [3, 6],
            "module_strand": "either",
        },
        "lymphoid": {
            "sites": [{"motif": "MA1419.2", "strand": "either", "probability": 1.0}],
            "spacing": [0, 0],
            "module_strand": "+",
        },
        "hepatic": {
            "sites": [
                {"motif": "MA1494.2", "strand": "+", "probability": 0.5},
                {"motif": "MA0466.4", "strand": "+", "probability": 0.5},
            ],
            "spacing": [4, 4],
            "module_strand": "+",
        },
    },
}


def changed(*keys, value):
    """SETTINGS with one value set."""
    settings = copy.deepcopy(SETTINGS)
    place = settings
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return settings


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation")
    simulate(folder, settings=SETTINGS, seed=1)
    return folder


@pytest.fixture(scope="module")
def genome(folder, tmp_path_factory):
    with pyfaidx.Fasta(str(folder / "genome.fa"), indexname=str(tmp_path_factory.mktemp("index") / "fai")) as fasta:
        return {name: str(fasta[name]) for name in fasta.keys()}  # noqa: SIM118 - a Fasta iterates over records


@pytest.fixture(scope="module")
def truth(folder):
    return read_tsv(folder / "truth.tsv", TRUTH)


@pytest.fixture(scope="module")
def summits(folder):
    """Chromosome, peak and summit of every peak, as a reader of the formats sees them."""
    rows = []
    for label in ("erythroid", "lymphoid"):
        with pyBigWig.open(str(folder / "tracks" / f"{label}.bb")) as track:
            for chrom, size in track.chroms().items():
                for start, end, rest in track.entries(chrom, 0, size):
                    name, score, strand, signal, _, _, offset = rest.split("\t")
                    rows.append(
                        (label, chrom, start, end, start + int(offset), int(score), strand, float(signal), name)
                    )
    for line in (folder / "tracks" / "hepatic.bed").read_text().splitlines():
        chrom, start, end, name, score, strand = line.split("\t")
        middle = (int(start) + int(end)) // 2
        rows.append(("hepatic", chrom, int(start), int(end), middle, int(score), strand, np.nan, name))
    names = ["label", "chrom", "start", "end", "summit", "score", "strand", "signal", "name"]
    return pd.DataFrame(rows, columns=names)


def test_the_files(folder):
    assert list(digests(folder)) == [
        "genome.fa",
        "grammar.json",
        "tracks/erythroid.bb",
        "tracks/hepatic.bed",
        "tracks/lymphoid.bb",
        "truth.tsv",
    ]
    assert track_files(["a", "b"]) == {"a": "tracks/a.bb", "b": "tracks/b.bed"}
    assert track_files(["a"]) == {"a": "tracks/a.bb"}


def test_same_seed_same_bytes_other_seed_others(folder, tmp_path):
    simulate(tmp_path / "again", settings=copy.deepcopy(SETTINGS), seed=1)
    assert digests(tmp_path / "again") == digests(folder)
    simulate(tmp_path / "other", settings=SETTINGS, seed=2)
    same = {name for name, digest in digests(tmp_path / "other").items() if digest == digests(folder)[name]}
    assert same == {"grammar.json"}


def test_another_grammar_leaves_the_background(genome, truth, tmp_path):
    simulate(tmp_path, settings=changed("grammar", "lymphoid", "sites", 0, "motif", value="MA0105.4"), seed=1)
    with pyfaidx.Fasta(str(tmp_path / "genome.fa")) as fasta:
        for chrom, sequence in genome.items():
            old, new = (np.frombuffer(text.encode(), np.uint8) for text in (sequence, str(fasta[chrom])))
            modules = np.zeros(len(old), bool)
            for row in truth[(truth["chrom"] == chrom) & (truth["label"] == "lymphoid")].itertuples():
                modules[row.start - 1 : row.end + 1] = True
            assert (old != new).any()
            assert not (old != new)[~modules].any()


def test_the_genome_has_lengths_lines_gaps_and_soft_masked_repeats(folder, genome):
    assert {name: len(sequence) for name, sequence in genome.items()} == dict.fromkeys(
        ["chr1", "chr2", "chr3"], 100_030
    )
    assert {len(line) for line in (folder / "genome.fa").read_text().splitlines() if line[0] != ">"} == {60, 10}
    for sequence in genome.values():
        assert set(sequence) == set("ACGTacgtN")
        assert sequence.startswith("N" * 1000)
        assert sequence.endswith("N" * 1000)
        assert "N" * 1000 in sequence[1000:-1000]
        assert 0.01 < sum(map(str.islower, sequence)) / len(sequence) < 0.2


def test_composition_varies_by_region(genome):
    upper = "".join(genome.values()).upper()
    blocks = [upper[at : at + 2000] for at in range(0, len(upper), 2000)]
    gc = [(block.count("G") + block.count("C")) / len(block) for block in blocks if "N" not in block]
    # Independent bases would spread by sqrt(.25 / 2000) = 0.011.
    assert np.std(gc) > 0.035
    assert np.percentile(gc, 95) - np.percentile(gc, 5) > 0.12
    expected = upper.count("C") * upper.count("G") / len(upper.replace("N", ""))
    assert upper.count("CG") < 0.8 * expected  # depleted, as in vertebrates


def test_neighbours_depend_on_each_other(genome):
    """Information between neighbours is more than what a mixture of compositions gives to bases 20 bp apart."""
    codes = np.frombuffer(
        genome["chr1"].upper().replace("N", "").translate(str.maketrans("ACGT", "0123")).encode(), "u1"
    )
    codes = codes - ord("0")

    def information(distance):
        joint = np.bincount(4 * codes[:-distance] + codes[distance:], minlength=16).reshape(4, 4) / len(codes)
        return (joint * np.log2(joint / joint.sum(1, keepdims=True) / joint.sum(0))).sum()

    assert information(1) > 3 * information(20)


def test_planted_sites_score_under_their_matrix_on_the_stated_strand(folder, genome, truth):
    grammar = json.loads((folder / "grammar.json").read_text())
    for matrix_id, rows in truth.groupby("matrix_id"):
        matrix = motifs.Motif("ACGT", counts=grammar["motifs"][matrix_id]["counts"])
        pssm = matrix.counts.normalize(0.5).log_odds()
        scores, other = [], []
        for row in rows.itertuples():
            site = Seq(genome[row.chrom][row.start : row.end].upper())
            if row.strand == "-":
                site = site.reverse_complement()
            assert len(site) == matrix.length
            scores.append(pssm.calculate(site))
            shifted = genome[row.chrom][row.start + 40 : row.end + 40].upper()
            other.append(pssm.calculate(Seq(shifted)))
        # A sample of a matrix has the matrix's information as its mean score.
        assert np.mean(scores) == pytest.approx(pssm.mean(), abs=1.0), matrix_id
        assert np.mean(scores) > np.mean(other) + 8


def test_order_spacing_strand_and_probability_are_the_grammars(truth):
    for label, grammar in SETTINGS["grammar"].items():
        here = truth[truth["label"] == label]
        modules: dict[tuple, list] = {}
        for row in here.itertuples():
            modules.setdefault((row.chrom, row.module_start, row.module_end, row.module_strand), []).append(row)
        assert len(modules) == SETTINGS["enhancers_per_label"]
        gaps = set()
        for (_, start, end, strand), rows in modules.items():
            rows.sort(key=lambda row: row.start)
            assert (rows[0].start, rows[-1].end) == (start, end)
            gaps |= {later.start - earlier.end for earlier, later in zip(rows, rows[1:], strict=False)}
            places = [row.site for row in rows]
            assert places == sorted(set(places), reverse=strand == "-")
            for row in rows:
                stated = grammar["sites"][row.site]
                assert row.matrix_id == stated["motif"]
                if stated["strand"] != "either":
                    assert (row.strand == stated["strand"]) == (strand == "+")
        low, high = grammar["spacing"]
        assert gaps == (set(range(low, high + 1)) if len(grammar["sites"]) > 1 else set())
        assert set(here["module_strand"]) == ({"+", "-"} if grammar["module_strand"] == "either" else {"+"})
        # Probabilities given that at least one site is there.
        none = np.prod([1 - site["probability"] for site in grammar["sites"]])
        for number, site in enumerate(grammar["sites"]):
            expected = site["probability"] / (1 - none)
            spread = 4 * np.sqrt(expected * (1 - expected) / len(modules))
            assert (here["site"] == number).sum() / len(modules) == pytest.approx(expected, abs=spread + 1e-9)
    assert set(truth.loc[truth["label"] == "lymphoid", "strand"]) == {"+", "-"}


def test_every_peak_has_one_module_at_its_summit(genome, truth, summits):
    assert summits.groupby("label").size().to_dict() == dict.fromkeys(SETTINGS["grammar"], 160)
    assert summits.groupby(["label", "chrom"]).size().min() == 53
    modules = truth.drop_duplicates(["chrom", "module_start"])
    merged = summits.merge(modules.drop(columns=["start", "end", "strand"]), on=["chrom", "label"])
    merged = merged[(merged["module_start"] >= merged["start"]) & (merged["module_end"] <= merged["end"])]
    assert len(merged) == len(summits) == len(modules)
    middle = merged["module_start"] + (merged["module_end"] - merged["module_start"]) // 2
    assert set(middle - merged["summit"]) == set(range(-SUMMIT_JITTER, SUMMIT_JITTER + 1))


def test_windows_of_300_bp_overlap_neither_each_other_nor_gaps(genome, summits):
    for _, rows in summits.groupby("chrom"):
        assert rows["summit"].sort_values().diff().min() >= 300
    assert not any("N" in genome[row.chrom][row.summit - 150 : row.summit + 150] for row in summits.itertuples())


def test_peaks_are_what_the_formats_say(folder, summits):
    assert set(summits["strand"]) == {"."}
    assert summits["name"].is_unique
    assert summits["score"].between(0, 1000).all()
    narrow = summits[summits["label"] != "hepatic"]
    assert (narrow["summit"] != (narrow["start"] + narrow["end"]) // 2).all()
    assert set(np.sign(narrow["summit"] - (narrow["start"] + narrow["end"]) // 2)) == {-1, 1}
    path = folder / "tracks" / "erythroid.bb"
    assert struct.unpack("<HH", path.read_bytes()[32:36]) == (10, 6)  # fieldCount, definedFieldCount: bed6+4
    with pyBigWig.open(str(path)) as track:
        assert b"table narrowPeak" in track.SQL()
        assert track.chroms() == dict.fromkeys(["chr1", "chr2", "chr3"], 100_030)


def test_scores_grow_with_the_number_of_sites(truth, summits):
    sizes = truth.groupby(["label", "chrom", "module_start"]).size().reset_index(name="sites")
    merged = summits.merge(sizes, on=["label", "chrom"])
    merged = merged[(merged["module_start"] > merged["start"]) & (merged["module_start"] < merged["end"])]
    for label in ("erythroid", "hepatic"):
        means = merged[merged["label"] == label].groupby("sites")["score"].mean()
        assert means.is_monotonic_increasing
        assert len(means) >= 2
    erythroid = merged[merged["label"] == "erythroid"]
    assert np.corrcoef(erythroid["signal"], erythroid["sites"])[0, 1] > 0.7


def test_the_grammar_is_written_beside(folder):
    grammar = json.loads((folder / "grammar.json").read_text())
    assert grammar["labels"]["hepatic"] == {
        "sites": [
            {"matrix_id": "MA1494.2", "strand": "+", "probability": 0.5},
            {"matrix_id": "MA0466.4", "strand": "+", "probability": 0.5},
        ],
        "spacing": [4, 4],
        "module_strand": "+",
    }
    assert set(grammar["motifs"]) == {"MA0841.2", "MA0140.3", "MA0493.3", "MA1419.2", "MA1494.2", "MA0466.4"}
    gata = grammar["motifs"]["MA0140.3"]
    assert gata["name"] == "GATA1::TAL1"
    assert {base: len(counts) for base, counts in gata["counts"].items()} == dict.fromkeys("ACGT", 17)
    assert sum(counts[0] for counts in gata["counts"].values()) == 4955


def test_narrow_peaks_are_sorted_on_writing_and_name_only_chromosomes_with_rows(tmp_path):
    rows = [
        ("chr2", 5, 30, "c", 7, "+", 1.5, 2.0, -1.0, 3),
        ("chr10", 50, 90, "b", 1000, "-", 0.25, 2.0, 3.0, -1),
        ("chr10", 10, 20, "a", 0, ".", 12.0, 2.0, 3.0, 0),
    ]
    write_narrow_peaks(
        pd.DataFrame(rows, columns=list(NARROW_PEAK)), tmp_path / "x.bb", {"chr1": 9, "chr10": 100, "chr2": 50}
    )
    with pyBigWig.open(str(tmp_path / "x.bb")) as track:
        assert track.chroms() == {"chr10": 100, "chr2": 50}
        assert track.entries("chr2", 0, 50) == [(5, 30, "c\t7\t+\t1.5000\t2.0000\t-1.0000\t3")]
        assert [entry[:2] for entry in track.entries("chr10", 0, 100)] == [(10, 20), (50, 90)]
        assert track.entries("chr10", 60, 61)[0][2] == "b\t1000\t-\t0.2500\t2.0000\t3.0000\t-1"
    with pytest.raises(UserError, match="missing: peak"):
        write_narrow_peaks(pd.DataFrame(rows, columns=list(NARROW_PEAK)).drop(columns="peak"), tmp_path / "y.bb", {})


SITE = {"motif": "MA0140.3", "strand": "+", "probability": 0.9}


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["chromosomes"], 0, "0 chromosomes with 160 enhancers per label; at least one chromosome"),
        (["enhancers_per_label"], 2, "3 chromosomes with 2 enhancers per label.*Raise enhancers_per_label"),
        (["chromosome_length"], 9_999, "chromosome_length: 9999 bp is below the least of 10000 bp"),
        (["grammar"], {}, "simulate.grammar: no label"),
        (["grammar", "T cell"], SETTINGS["grammar"]["hepatic"], "the label 'T cell' names a file.*Rename"),
        (["grammar", "hepatic", "sites"], [], r"simulate\.grammar\.hepatic\.sites: no site"),
        (["grammar", "hepatic", "spacing"], [5, 2], r"hepatic\.spacing: \[5, 2\].*Put the smaller number first"),
        (["grammar", "hepatic", "spacing"], [-1, 2], r"hepatic\.spacing: \[-1, 2\]"),
        (["grammar", "hepatic", "module_strand"], "-", "hepatic.module_strand: '-'; '\\+' or 'either' was expected"),
        (["grammar", "hepatic", "sites", 1, "strand"], ".", "hepatic: site 2 has strand '.'.*Quote"),
        (["grammar", "hepatic", "sites", 1, "probability"], 0.0, "site 2 has probability 0.0; more than 0"),
        (["grammar", "hepatic", "sites", 1, "probability"], 1.5, "site 2 has probability 1.5"),
        (["grammar", "hepatic", "sites", 1, "motif"], "MA9999.1", "hepatic: site 2 names the motif 'MA9999.1', which"),
        (["grammar", "hepatic", "sites", 1, "motif"], "MA0140", "'MA0140', which JASPAR2026 does not have; .* version"),
        (["grammar", "hepatic", "sites", 1, "motif"], "GATA1", "names the motif 'GATA1'.*jaspar.elixir.no"),
        (["grammar", "hepatic", "sites"], [SITE] * 9, r"make 185 bp; a module holds at most 160 bp.*Take fewer"),
    ],
)
def test_mistakes_in_the_settings(keys, value, message, tmp_path):
    with pytest.raises(UserError, match=message):
        simulate(tmp_path, settings=changed(*keys, value=value), seed=1)
    assert not list(tmp_path.iterdir())


def test_modules_up_to_the_limit_are_fine():
    settings = changed("grammar", "hepatic", "sites", value=[SITE] * 8)
    settings["grammar"]["hepatic"]["spacing"] = [0, 3]
    assert MAX_MODULE >= 8 * 17 + 7 * 3
    assert check_settings(settings)["MA0140.3"][1].shape == (17, 4)


def test_more_enhancers_than_room(tmp_path):
    with pytest.raises(UserError, match="of 100030 bp has room for [0-9]+ enhancers; 300 were to lie on one.*Raise"):
        simulate(tmp_path, settings=changed("enhancers_per_label", value=300), seed=1)
