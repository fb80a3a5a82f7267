"""Motifs: files, exact thresholds, the scanner against Biopython, and the metrics."""

import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import motifs as bio
from evaluation_cases import (
    CONSENSUS,
    LIBRARY,
    as_sets,
    complement,
    motif,
    one_label,
    random_sequences,
    real,
    row,
    value,
)
from scipy import stats

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.composition import evaluate_composition
from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.scan import (
    GRID,
    Target,
    base_composition,
    log_odds,
    make_scanner,
    make_scanners,
    score_distribution,
)

UNIFORM = np.full(4, 0.25)
SKEWED = np.array([0.3, 0.2, 0.2, 0.3])
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

MOTIF M1 first
letter-probability matrix: alength= 4 w= 3 nsites= 10 E= 0
 0.97 0.01 0.01 0.01
 0.25 0.25 0.25 0.25
 0.0 0.0 0.0 1.0

MOTIF M2
letter-probability matrix: alength= 4
 0.5 0.5 0.0 0.0
 0.5 0.5 0.0 0.0
URL http://example.org
"""
JASPAR = """>MA0001.1 one
A [ 1 0 4 ]
C [ 2 0 0 ]
G [ 3 5 0 ]
T [ 4 5 6 ]
"""
TRANSFAC = """AC  T00001
XX
ID  thing
XX
P0      A      C      G      T
01      1      2      2      0      S
02      2      1      2      0      R
XX
//
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "motifs.txt"
    path.write_text(text)
    return str(path)


def test_meme_files_keep_their_frequencies(tmp_path):
    first, second = load_motifs(write(tmp_path, MEME))
    assert (first.matrix_id, first.name, first.width) == ("M1", "first", 3)
    assert first.counts[:, 0].tolist() == pytest.approx([9.7, 0.1, 0.1, 0.1])
    assert (second.matrix_id, second.name) == ("M2", "M2")
    assert second.counts.T.tolist() == [[10, 10, 0, 0]] * 2


def test_jaspar_and_transfac_files_are_told_by_their_content(tmp_path):
    (one,) = load_motifs(write(tmp_path, JASPAR))
    assert (one.matrix_id, one.name) == ("MA0001.1", "one")
    assert one.counts.tolist() == [[1, 0, 4], [2, 0, 0], [3, 5, 0], [4, 5, 6]]
    (two,) = load_motifs(write(tmp_path, TRANSFAC))
    assert (two.matrix_id, two.name) == ("T00001", "thing")
    assert two.counts.tolist() == [[1, 2], [2, 1], [2, 2], [0, 0]]


def test_jaspar_itself_comes_by_taxon():
    library = load_motifs("jaspar", "nematodes")
    assert len(library) == 103
    assert len({one.matrix_id for one in library}) == 103
    assert all(one.counts.shape[0] == 4 and one.width >= 4 for one in library)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no motif was found in the file. Give a file with motifs in MEME, JASPAR or TRANSFAC format"),
        ("some text\n", "no motif was found in the file"),
        ("MEME version 4\n", "no motif was found in the file"),
        ("MEME version 4\nMOTIF M1\n", "cannot be read: motif M1 has no letter-probability matrix"),
        (
            "MEME version 4\nMOTIF M1\nletter-probability matrix: w= 3\n 1 0 0 0\n",
            "the matrix of motif M1 has 1 rows of four numbers, not 3 rows",
        ),
        ("MEME version 4\nMOTIF M1\nletter-probability matrix:\n 0 0 0 0\n", "a column that is negative, empty"),
        (JASPAR.replace("T [ 4 5 6 ]", "T [ 4 x 6 ]"), "cannot be read: could not convert string to float: 'x'"),
        (JASPAR + JASPAR, "the motif MA0001.1 is in the file twice. Give every motif a name of its own"),
        (TRANSFAC.replace("01      1      2      2", "01      1"), "cannot be read: "),
    ],
)
def test_a_file_without_sound_motifs_is_one_message(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        load_motifs(write(tmp_path, text))
    assert "motifs.txt" in str(error.value)


def test_an_absent_file_and_an_unknown_taxon_are_one_message():
    with pytest.raises(UserError, match="there is no motif file nowhere.meme. Write jaspar, or the path"):
        load_motifs("nowhere.meme")
    with pytest.raises(UserError, match="evaluation.motifs.taxon is 'mammals'; JASPAR has vertebrates, plants"):
        load_motifs("jaspar", "mammals")


def test_the_score_distribution_is_that_of_all_words():
    one = motif("X", "GATTA", strength=0.7, sites=20)
    for background in (UNIFORM, SKEWED):
        scores = log_odds(one.counts, background)
        lowest, chance = score_distribution(scores, background)
        expected = np.zeros(len(chance))
        for word in product(range(4), repeat=5):
            expected[scores[word, range(5)].sum() - lowest] += background[list(word)].prod()
        assert chance == pytest.approx(expected)
        assert chance.sum() == pytest.approx(1)


def test_the_threshold_is_the_lowest_that_keeps_the_p_value():
    one = motif("X", "GATTACA", strength=0.7, sites=20)
    scores = log_odds(one.counts, SKEWED)
    words = np.array(list(product(range(4), repeat=7)))
    totals, chances = scores[words, range(7)].sum(axis=1), SKEWED[words].prod(axis=1)
    for p_value in (1e-2, 1e-3, 2e-4):
        scanner = make_scanner(one, SKEWED, p_value)
        assert chances[totals >= scanner.threshold].sum() == pytest.approx(scanner.p_value)
        assert scanner.p_value <= p_value
        next_lower = totals[totals < scanner.threshold].max()
        assert chances[totals >= next_lower].sum() > p_value


def test_short_motifs_count_their_best_site_or_are_left_out(caplog):
    caplog.set_level(logging.INFO)
    six, four, long = motif("six", "GATTAC"), motif("four", "GATT"), motif("long", "GATTACAGATTA")
    kept = make_scanners([six, four, long], UNIFORM, 1e-4)
    assert [scanner.motif.name for scanner in kept] == ["six", "long"]
    assert kept[0].p_value == pytest.approx(4.0**-6)
    assert kept[0].threshold == kept[0].scores.max(axis=0).sum()
    assert "2 of 3 motifs are too short for p < 0.0001: 1 count their best site only, 1 are left out" in caplog.text


def biopython(one, background):
    shares = dict(zip("ACGT", background, strict=True))
    counts = {base: one.counts[i].tolist() for i, base in enumerate("ACGT")}
    pwm = bio.Motif(counts=counts).counts.normalize(pseudocounts={base: 0.8 * share for base, share in shares.items()})
    return pwm.log_odds(shares)


@pytest.mark.parametrize("background", [UNIFORM, SKEWED])
def test_hits_and_scores_are_biopythons_on_both_strands(background):
    sequences = [*random_sequences(20, 1, shares=(0.25,) * 4), "NNNN" + CONSENSUS["ETS"] + "NACGT", "ACG", "", "N" * 30]
    target = Target(sequences)
    for one in [*LIBRARY, motif("weak", "RYACGTNN".replace("R", "A").replace("Y", "C").replace("N", "G"), 0.6)]:
        scanner = make_scanner(one, background, 1e-3)
        pssm = biopython(one, background)
        reverse = pssm.reverse_complement()
        expected = {}
        for row_number, sequence in enumerate(sequences):
            for strand, matrix in ((1, pssm), (-1, reverse)):
                if len(sequence) < one.width:
                    continue
                scores = np.atleast_1d(matrix.calculate(sequence))
                for start in np.flatnonzero(~np.isnan(scores)):
                    expected[row_number, int(start), strand] = scores[start]
        hits = target.scan(scanner)
        found = dict(
            zip(
                zip(hits.sequence.tolist(), hits.start.tolist(), hits.strand.tolist(), strict=True),
                hits.score,
                strict=True,
            )
        )
        rounding = one.width / GRID / 2 + 1e-4
        for key, score in found.items():
            assert score == pytest.approx(expected[key], abs=rounding)
        for key, score in expected.items():
            if score >= scanner.threshold / GRID + rounding:
                assert key in found


def test_hits_never_cross_sequences_or_other_letters():
    site = CONSENSUS["EBOX"]
    scanner = make_scanner(LIBRARY[2], UNIFORM, 1e-4)
    hits = Target([site[:5], site[5:], "AA" + site + "TT", site[:4] + "N" + site[5:], complement(site)]).scan(scanner)
    assert list(zip(hits.sequence, hits.start, hits.strand, strict=True)) == [(2, 2, 1), (4, 0, -1)]


def test_the_background_is_that_of_both_strands():
    assert base_composition(["AAAA", "AAGA"]) == pytest.approx([9 / 24, 3 / 24, 3 / 24, 9 / 24])


@pytest.fixture(scope="module")
def judged():
    reference, held = real(60, 1), real(60, 100)
    shuffled = held.assign(sequence=dinucleotide_shuffle(held["sequence"].tolist(), seed=1))
    wrong_label = held.assign(label=np.where(held["label"] == "blood", "gut", "blood"))
    off_centre = held.assign(sequence=held["sequence"].str[30:] + held["sequence"].str[:30])
    sets = as_sets(
        generated=shuffled, ceiling=held, ignores_label=wrong_label, off_centre=off_centre, reference=reference
    )
    return (*evaluate_motifs(sets, LIBRARY, bootstrap=200, seed=1), sets)


def test_rates_are_shares_of_sequences_with_a_hit(judged):
    evaluation, details, sets = judged
    rates = details["rates"].query("set == 'ceiling' and label == 'gut'").set_index("name")
    held = sets[(sets["set"] == "ceiling") & (sets["label"] == "gut")]
    site = CONSENSUS["HNF"]
    lowest = held["sequence"].map(lambda s: site in s or complement(site) in s).mean()
    assert lowest <= rates.loc["HNF", "rate"] <= lowest + 0.1
    assert rates.loc["GATA", "rate"] < 0.1
    assert (rates["n"] == 60).all()
    table = details["rates"].query("label == 'all'").pivot(index="matrix_id", columns="set", values="rate")
    for metric, function in (
        ("motif_rate_pearson", lambda x, y: stats.pearsonr(x, y).statistic),
        ("motif_rate_spearman", lambda x, y: stats.spearmanr(x, y).statistic),
        ("motif_rate_difference", lambda x, y: (x - y).abs().mean()),
    ):
        assert value(evaluation, metric, "ceiling") == pytest.approx(function(table["ceiling"], table["reference"]))


def test_planted_motifs_are_enriched_and_the_others_are_not(judged):
    table = judged[1]["enrichment"].set_index(["label", "name"])
    assert (table.loc["blood"].query("q_value_reference < 0.05").index == ["GATA"]).all()
    assert (table.loc["gut"].query("q_value_reference < 0.05").index == ["HNF"]).all()
    assert sorted(table.loc["all"].query("q_value_reference < 0.05").index) == ["GATA", "HNF"]
    assert table.loc[("gut", "HNF"), "site_p_value"] <= 1e-4


def test_dinucleotide_shuffles_are_caught(judged):
    evaluation = judged[0]
    assert row(evaluation, "motif_excess", "ceiling")["ci_low"] > 0.7
    assert row(evaluation, "motif_excess", "generated")["ci_high"] < 0.3
    assert value(evaluation, "motif_rate_difference") > 3 * value(evaluation, "motif_rate_difference", "ceiling")


def test_a_generator_that_ignores_the_label_is_caught(judged):
    evaluation = judged[0]
    assert value(evaluation, "motif_rate_pearson", "ignores_label") > 0.9
    assert value(evaluation, "motif_contrast_pearson", "ceiling") > 0.95
    assert value(evaluation, "motif_contrast_pearson", "ignores_label") < -0.95
    assert value(evaluation, "motif_contrast_pearson", "ceiling", "gut") > 0.95


def test_motifs_in_the_wrong_place_are_caught(judged):
    evaluation, details, _ = judged
    assert value(evaluation, "motif_rate_pearson", "off_centre") > 0.9
    assert value(evaluation, "motif_centring", "ceiling") > 0.9
    assert value(evaluation, "motif_centring", "off_centre") < 0.1
    assert value(evaluation, "motif_position_divergence", "off_centre") > 0.8
    assert row(evaluation, "motif_position_divergence", "ceiling")["ci_high"] < 0.2
    places = details["positions"].query("set == 'ceiling' and label == 'all' and name == 'GATA'")
    assert places.loc[places["rate"].idxmax(), "position"] in (30, 40)
    assert places["position"].tolist() == list(range(0, 80, 10))


def test_right_composition_with_wrong_motifs_is_caught():
    reference = real(40, 1)
    wrong = reference.assign(sequence=reference["sequence"].str[::-1])  # reversed, not complemented: the same bases
    sets = as_sets(generated=wrong, ceiling=real(40, 100), reference=reference)
    evaluation, _ = evaluate_motifs(sets, LIBRARY, bootstrap=50, seed=1)
    composition, _ = evaluate_composition(sets, bootstrap=50, seed=1)
    assert value(composition, "gc_wasserstein") == 0
    assert value(evaluation, "motif_excess") < 0.2
    assert (
        row(evaluation, "motif_rate_difference")["ci_low"]
        > row(evaluation, "motif_rate_difference", "ceiling")["ci_high"]
    )


def test_the_same_seed_gives_the_same_table(judged):
    evaluation, details, sets = judged
    again, more = evaluate_motifs(sets, LIBRARY, bootstrap=200, seed=1)
    pd.testing.assert_frame_equal(evaluation, again)
    pd.testing.assert_frame_equal(details["enrichment"], more["enrichment"])


def test_too_few_sequences_labels_or_motifs_are_null_with_a_reason():
    few = as_sets(generated=one_label(random_sequences(5, 1)), reference=one_label(random_sequences(5, 2)))
    evaluation, _ = evaluate_motifs(few, LIBRARY, bootstrap=20, seed=1)
    assert row(evaluation, "motif_rate_pearson")["note"] == "fewer than 10 sequences"
    assert row(evaluation, "motif_contrast_pearson")["note"] == "fewer than two labels with 10 sequences"
    plain = as_sets(generated=one_label(random_sequences(15, 1)), reference=one_label(random_sequences(15, 2)))
    evaluation, details = evaluate_motifs(plain, LIBRARY[:2], bootstrap=20, seed=1, background="uniform")
    assert row(evaluation, "motif_excess")["note"] == "no motif is enriched in the reference over its shuffles"
    assert row(evaluation, "motif_rate_pearson")["note"] == "fewer than three motifs, or all rates are equal"
    assert list(details["positions"].columns) == ["set", "label", "matrix_id", "name", "position", "rate"]
    assert evaluation["value"].isna().equals(evaluation["note"].notna())


def test_a_library_of_motifs_too_short_and_a_strange_background_are_one_message():
    sets = as_sets(generated=one_label(random_sequences(5, 1)), reference=one_label(random_sequences(5, 2)))
    with pytest.raises(UserError, match="None of the 1 motifs can reach p < 0.0001 at one site"):
        evaluate_motifs(sets, [motif("X", "GAT")], bootstrap=20, seed=1)
    with pytest.raises(UserError, match="The motif background is 'genome'. Write reference or uniform."):
        evaluate_motifs(sets, LIBRARY, background="genome", bootstrap=20, seed=1)
