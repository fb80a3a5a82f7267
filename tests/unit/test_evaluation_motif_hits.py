"""Exports: hits as BED, motifs in MEME format, read back by other programs' rules."""

import csv
from pathlib import Path

import numpy as np
import pytest
from Bio import motifs as bio
from evaluation_cases import LIBRARY, as_sets, motif, real

from diffusion_bert.evaluation.motif_hits import hits_table, write_hits
from diffusion_bert.evaluation.motif_library import Motif, load_motifs, write_meme
from diffusion_bert.evaluation.motifs import evaluate_motifs, motif_background
from diffusion_bert.evaluation.scan import GRID, Scan, make_scanners

SKEWED = np.array([0.3, 0.2, 0.2, 0.3])


def read_bed(path: Path) -> list[dict]:
    """BED6 as its specification says: tabs, no header, six fields."""
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))
    names = ("chrom", "start", "end", "name", "score", "strand")
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def evaluated():
    sets = as_sets(generated=real(40, 100), ceiling=real(40, 200), reference=real(40, 1))
    _, details = evaluate_motifs(sets, LIBRARY, bootstrap=20, seed=1)
    return sets, details


def test_each_hit_of_the_bed_file_scores_what_biopython_says(evaluated, tmp_path):
    sets, details = evaluated
    write_hits(details["hits"], tmp_path / "hits.bed")
    rows = read_bed(tmp_path / "hits.bed")
    background = motif_background(sets)
    shares = dict(zip("ACGT", background, strict=True))
    table = details["enrichment"].query("label == 'all'").set_index("matrix_id")
    sequence_of = dict(zip(sets["name"], sets["sequence"], strict=True))
    found = set()
    for row in rows:
        matrix_id, name = row["name"].split(":")
        one = next(one for one in LIBRARY if one.matrix_id == matrix_id)
        assert one.name == name
        counts = {base: one.counts[i].tolist() for i, base in enumerate("ACGT")}
        pwm = bio.Motif(counts=counts).counts.normalize({base: 0.8 * share for base, share in shares.items()})
        pssm = pwm.log_odds(shares)
        start, end = int(row["start"]), int(row["end"])
        assert end - start == one.width
        matrix = pssm if row["strand"] == "+" else pssm.reverse_complement()
        bits = matrix.calculate(sequence_of[row["chrom"]][start:end])
        threshold, rounding = table.loc[matrix_id, "threshold_bits"], one.width / GRID / 2 + 1e-4
        assert bits >= threshold - rounding
        expected = 1000 * (bits - threshold) / (pssm.max - threshold)
        assert int(row["score"]) == pytest.approx(expected, abs=1 + 1000 * 3 * rounding / (pssm.max - threshold))
        found.add(row["chrom"])
    names = sets["name"].tolist()
    assert found <= set(sets.loc[sets["set"] == "generated", "name"])
    place = [(names.index(row["chrom"]), int(row["start"])) for row in rows]
    assert place == sorted(place)


def test_the_bed_file_holds_all_hits_of_the_motifs_that_are_enriched_and_of_no_other(evaluated):
    sets, details = evaluated
    hits, rates = details["hits"], details["rates"].query("set == 'generated' and label == 'all'").set_index("name")
    of_name = hits["name"].str.split(":").str[1]
    assert sorted(of_name.unique()) == ["GATA", "HNF"]
    for name in ("GATA", "HNF"):
        with_hit = hits.loc[of_name == name, "chrom"].nunique()
        assert with_hit / 80 == pytest.approx(rates.loc[name, "rate"])


def test_scores_run_from_the_threshold_to_the_best_site_and_names_hold_no_space():
    spaced = Motif("M 1", "two words", LIBRARY[0].counts)
    scanners = make_scanners([spaced, motif("six", "GATTAC")], np.full(4, 0.25), 1e-3)
    scan = Scan(["TT" + "AGATAAGGC" + "TT" + "AGATAAGGA" + "TTGATTACTT"], scanners)
    table = hits_table(scan.sites([0, 1]), scanners, ["s1"])
    best, weaker, short = (table.iloc[i] for i in range(3))
    assert best.tolist() == ["s1", 2, 11, "M_1:two_words", 1000, "+"]
    assert (weaker["start"], weaker["end"], weaker["strand"]) == (13, 22, "+")
    assert 0 <= weaker["score"] < 1000
    assert (short["name"], short["score"]) == ("M_six:six", 1000)  # its threshold is its best site


def test_no_hit_is_an_empty_file(tmp_path):
    scanners = make_scanners(LIBRARY, np.full(4, 0.25), 1e-4)
    write_hits(hits_table(Scan(["A" * 40], scanners).sites([0]), scanners, ["s1"]), tmp_path / "hits.bed")
    assert (tmp_path / "hits.bed").read_bytes() == b""


def test_biopython_reads_the_same_matrices_from_the_meme_file(tmp_path):
    library = load_motifs("jaspar", "nematodes")[:30]
    write_meme(library, SKEWED, tmp_path / "motifs.meme")
    with (tmp_path / "motifs.meme").open() as handle:
        record = bio.parse(handle, "minimal")
    assert record.version == "4"
    assert record.background == pytest.approx(dict(zip("ACGT", SKEWED, strict=True)))
    assert [one.name for one in record] == [one.matrix_id for one in library]
    for one, read in zip(library, record, strict=True):
        # Biopython makes whole counts of frequencies and nsites.
        expected = one.counts / one.counts.sum(axis=0) * round(one.counts.sum(axis=0).max())
        assert np.array([read.counts[base] for base in "ACGT"]) == pytest.approx(expected, abs=0.51)


def test_our_own_reader_reads_the_same_frequencies_from_the_meme_file(tmp_path):
    library = [*LIBRARY, Motif("M 1", "two words", np.array([[0.1, 0], [0.2, 3], [0.1, 1], [0, 0]]))]
    write_meme(library, SKEWED, tmp_path / "motifs.meme")
    again = load_motifs(str(tmp_path / "motifs.meme"))
    assert [one.matrix_id for one in again] == [*(one.matrix_id for one in LIBRARY), "M_1"]
    assert again[-1].name == "two_words"
    for one, read in zip(library, again, strict=True):
        assert read.counts / read.counts.sum(axis=0) == pytest.approx(one.counts / one.counts.sum(axis=0), abs=1e-6)
