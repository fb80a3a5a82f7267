"""Discovery: planted motifs come out with their names, shuffles hold none, and sets are judged by what is found."""

import json
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
    planted,
    random_sequences,
    real,
    row,
    value,
)
from scipy import stats

from diffusion_bert.evaluation.denovo import BestSites, Pool, consensus, discover, gain
from diffusion_bert.evaluation.discovery import DISCOVERED, discovered_motifs, evaluate_discovery, matched_motifs
from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.intervals import wilson
from diffusion_bert.evaluation.motif_library import load_motifs, write_meme
from diffusion_bert.evaluation.motif_similarity import Comparer
from diffusion_bert.figures.discovery import draw_discovery
from diffusion_bert.tables import read_fasta

HUMAN = Path(__file__).parents[3] / "shared" / "data" / "human_tf_chipseq_100bp"


@pytest.fixture(scope="module")
def jaspar():
    return load_motifs("jaspar", "vertebrates")


@pytest.fixture(scope="module")
def known(jaspar):
    return Comparer(jaspar)


def with_sites(sequences: list[str], counts: np.ndarray, rate: float, seed: int) -> list[str]:
    """A share of the sequences gets a site drawn from the matrix, at any place and on either strand."""
    generator = np.random.default_rng(seed)
    out = []
    for sequence in sequences:
        if generator.random() < rate:
            site = "".join(generator.choice(list("ACGT"), p=column) for column in (counts / counts.sum(axis=0)).T)
            site = site if generator.random() < 0.5 else complement(site)
            start = int(generator.integers(0, len(sequence) - len(site) + 1))
            sequence = sequence[:start] + site + sequence[start + len(site) :]
        out.append(sequence)
    return out


# Near relatives whose matrices can hardly be told apart from a hundred sites.
RELATIVES = {
    "MA0140.3": {"GATA1::TAL1"},
    "MA0841.2": {"NFE2", "JDP2", "BACH1", "BACH2", "FOS::JUN", "FOSL1::JUNB"},
    "MA1494.2": {"HNF4A", "HNF4G"},
    "MA0046.3": {"HNF1A", "HNF1B"},
    "MA0107.1": {"RELA", "REL"},
    "MA1419.2": {"IRF4", "IRF8"},
}


@pytest.mark.parametrize("matrix_id", RELATIVES)
def test_a_planted_motif_is_discovered_and_named(matrix_id, jaspar, known):
    one = next(one for one in jaspar if one.matrix_id == matrix_id)
    found = discover(with_sites(random_sequences(300, 1), one.counts, 0.4, seed=2), number=5, seed=3)
    match = known.table(found[0].counts).iloc[0]
    assert match["name"] in RELATIVES[matrix_id]
    assert match["q_value"] < 1e-3
    assert match["overlap"] >= one.width - 3
    assert 0.2 < found[0].share < 0.5
    assert found[0].share_shuffled < 0.05
    assert found[0].p_value < 1e-6
    assert len(found) == 1


def test_several_motifs_are_discovered_one_after_the_other():
    mixed = planted(150, 1, "blood", rate=0.7) + planted(150, 50, "gut", rate=0.7)
    found = discover(mixed, number=5, seed=1)
    names = [Comparer(LIBRARY).table(one.counts)["name"][0] for one in found]
    assert sorted(names) == ["GATA", "HNF"]
    assert [one.p_value for one in found] == sorted(one.p_value for one in found)
    assert len(discover(mixed, number=1, seed=1)) == 1


@pytest.mark.parametrize("n", [40, 150])
def test_next_to_nothing_is_discovered_in_shuffles_and_random_sequences(n):
    """Called at a family-wise 0.05: of 8 sets, more than 2 with a motif have a chance of 1 in 170."""
    called = 0
    for seed in range(4):
        shuffled = dinucleotide_shuffle(planted(n, 100 * seed, "gut"), seed=seed)
        called += bool(discover(shuffled, number=10, seed=seed)) + bool(
            discover(random_sequences(n, seed), number=10, seed=seed)
        )
    assert called <= 2


def test_sequences_may_differ_in_length_hold_other_letters_or_nothing():
    sequences = planted(120, 1, "blood", rate=0.9)
    ragged = [sequence[: 55 + i % 25] for i, sequence in enumerate(sequences)] + ["", "N" * 30, "ACGT", "NNACN"]
    found = discover(ragged, number=3, seed=1)
    assert [Comparer(LIBRARY).table(one.counts)["name"][0] for one in found] == ["GATA"]


@pytest.mark.parametrize(
    "sequences", [[], ["ACGT" * 10] * 19, [""] * 50, ["N" * 40] * 50, ["A" * 40] * 50, ["AC"] * 50]
)
def test_too_few_or_empty_sequences_hold_no_motif(sequences):
    assert discover(sequences, number=5, seed=1) == []
    assert discover(planted(50, 1, "blood"), number=0, seed=1) == []


def test_the_seed_decides_and_nothing_else():
    sequences = planted(100, 1, "gut")
    one, two, other = (discover(sequences, number=3, seed=seed) for seed in (1, 1, 2))
    assert [(a.consensus, a.sites, a.p_value) for a in one] == [(b.consensus, b.sites, b.p_value) for b in two]
    assert np.array_equal(one[0].counts, two[0].counts)
    assert other[0].p_value != one[0].p_value


@pytest.mark.skipif(not HUMAN.is_dir(), reason="the shared real files are not beside this checkout")
@pytest.mark.parametrize(("file", "names"), [("ctcf", {"CTCF"}), ("pu1", {"Spi1", "SPIB", "SPIC", "SPI1"})])
def test_the_motif_of_a_human_factor_is_discovered_in_its_windows(file, names, known):
    sequences = read_fasta(HUMAN / f"{file}.fa.gz")["sequence"].str.upper().sample(1000, random_state=1).tolist()
    found = discover(sequences, number=5, seed=1)
    match = known.table(found[0].counts).iloc[0]
    assert match["name"] in names
    assert match["q_value"] < 1e-6
    assert found[0].share > 0.5
    assert found[0].share > 5 * found[0].share_shuffled


@pytest.mark.parametrize("width", [6, 7, 11, 12, 13, 20])
def test_scores_sites_and_letters_are_those_of_a_loop(width):
    generator = np.random.default_rng(width)
    scores = generator.integers(-500, 500, size=(4, width))
    sequences = [*random_sequences(4, 1, width=40), "ACG", "", "NNN", *random_sequences(2, 2, width=25)]
    sequences[1] = sequences[1][:9] + "N" + sequences[1][10:]
    shuffles = random_sequences(5, 3, width=33)
    pool = Pool(sequences, shuffles)
    best, forward, backward = pool.best(scores)
    threshold = int(np.median(best[best > -5000]))
    sites = pool.sites(threshold, best, forward, backward)
    expected = np.zeros((4, width + 4))
    for number, sequence in enumerate([*sequences, *shuffles]):
        places = [i for i in range(len(sequence) - width + 1) if "N" not in sequence[i : i + width]]

        def score(word: str) -> int:
            return sum(int(scores["ACGT".index(base), i]) for i, base in enumerate(word))

        of_place = {
            i: [score(w) for w in (sequence[i : i + width], complement(sequence[i : i + width]))] for i in places
        }
        assert (best[number] < -5000) == (not places)
        if not places:
            assert sites.at[number] == -1
            continue
        top = max(max(both) for both in of_place.values())
        assert best[number] == top
        assert (sites.at[number] >= 0) == (top >= threshold)
        if top >= threshold:
            at = next(i for i, both in of_place.items() if max(both) == top)
            assert sites.at[number] - pool.starts[number] == at
            assert sites.forward[number] == (of_place[at][0] == top)
            if number < len(sequences):
                around = "".join(sequence[i] if 0 <= i < len(sequence) else "N" for i in range(at - 2, at + width + 2))
                around = (
                    around
                    if sites.forward[number]
                    else "".join({"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}[base] for base in reversed(around))
                )
                for place, base in enumerate(around):
                    if base != "N":
                        expected["ACGT".index(base), place] += 1
    assert isinstance(sites, BestSites)
    assert np.array_equal(pool.letters(sites, width, 2), expected)
    pool.mask(scores, threshold)
    after, _, _ = pool.best(scores)
    assert (after < threshold).all()
    assert (after <= best).all()


def test_the_gain_is_half_the_g_statistic():
    for hits, shuffled in ((30, 10), (5, 90), (12, 24), (0, 3), (40, 0)):
        table = [[hits, 50 - hits], [shuffled, 100 - shuffled]]
        expected = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic / 2
        sign = 1 if hits / 50 > shuffled / 100 else -1
        assert float(gain(hits, shuffled, 50, 100)) == pytest.approx(sign * expected, abs=1e-9)


@pytest.mark.parametrize(
    ("column", "letter"),
    [
        ([90, 5, 5, 0], "A"),
        ([0, 51, 24, 25], "C"),
        ([45, 2, 50, 3], "R"),
        ([5, 45, 5, 45], "Y"),
        ([40, 10, 10, 40], "W"),
        ([10, 40, 40, 10], "S"),
        ([0, 0, 55, 45], "K"),
        ([44, 46, 5, 5], "M"),
        ([30, 30, 25, 15], "N"),
        ([25, 25, 25, 25], "N"),
    ],
)
def test_the_consensus_is_cavener_s(column, letter):
    assert consensus(np.array([column], dtype=float).T) == letter


def test_the_interval_of_a_share_is_wilson_s():
    for hits, n in ((0, 4), (3, 6), (6, 6), (1, 90)):
        expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert wilson(hits, n) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))
    for hits, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="is no share"):
            wilson(hits, n)


@pytest.fixture(scope="module")
def judged():
    """A set without motifs, one with a motif that nobody knows, and one with those of the reference."""
    reference, held = real(60, 1), real(60, 300)
    shuffled = held.assign(sequence=dinucleotide_shuffle(held["sequence"].tolist(), seed=1))
    site = "CACGCTCACCA"
    alien = held.assign(sequence=[s[:8] + site + s[8 + len(site) :] for s in held["sequence"]])
    sets = as_sets(generated=alien, ceiling=held, dinucleotide_shuffle=shuffled, reference=reference)
    return (*evaluate_discovery(sets, LIBRARY, number=5, seed=1), sets)


def test_recall_and_novelty_tell_what_a_set_has_lost_and_made_up(judged):
    evaluation, _, _ = judged
    assert value(evaluation, "discovered_recall", "ceiling") == 1
    assert value(evaluation, "discovered_novel", "ceiling") == 0
    assert value(evaluation, "discovered_recall") == 1
    assert value(evaluation, "discovered_novel") == pytest.approx(1 / 3)
    assert value(evaluation, "discovered_recall", "dinucleotide_shuffle") == 0
    nothing = row(evaluation, "discovered_novel", "dinucleotide_shuffle")
    assert pd.isna(nothing["value"])
    assert nothing["note"] == "no motif is discovered in the set"
    recall = row(evaluation, "discovered_recall")
    assert recall["n"] == 2
    assert (recall["ci_low"], recall["ci_high"]) == wilson(2, 2)
    # Floors are judged with all labels together only.
    labels = evaluation.groupby("set")["label"].agg(set)
    assert labels["ceiling"] == labels["generated"] == {"all", "blood", "gut"}
    assert labels["dinucleotide_shuffle"] == {"all"}
    assert value(evaluation, "discovered_recall", "ceiling", "gut") == 1


def test_the_table_tells_motifs_matches_and_partners(judged):
    _, details, _ = judged
    table = details["motifs"]
    assert list(table.columns) == list(DISCOVERED)
    assert set(table["set"]) == {"generated", "ceiling", "reference"}
    reference = table[(table["set"] == "reference") & (table["label"] == "all")]
    assert set(reference["match_name"]) == {"GATA", "HNF"}
    assert reference["rank"].tolist() == reference["reference_rank"].tolist() == [1, 2]
    own = table[(table["set"] == "generated") & (table["label"] == "all")]
    stranger = own[own["reference_rank"].isna()]
    assert len(stranger) == 1
    assert stranger["consensus"].iloc[0] in ("CACGCTCACCA", complement("CACGCTCACCA"))
    assert (stranger["match_q_value"] > 0.05).all()
    by_rank = reference.set_index("rank")["match_name"]
    for one in own.dropna(subset="reference_rank").itertuples():
        assert by_rank[one.reference_rank] == one.match_name
    gut = table[(table["set"] == "ceiling") & (table["label"] == "gut")]
    assert gut["match_name"].tolist() == ["HNF"]
    for one in table.itertuples():
        counts = np.array(list(json.loads(one.matrix).values()))
        assert counts.shape == (4, one.width)
        assert (counts.sum(axis=0) == one.sites).all()


def test_offsets_put_matches_on_the_motif(judged):
    """Where the known motif and the reference's lie, in the letters of the logos that the figure lays side by side."""
    _, details, _ = judged
    sites = {f"M_{name}": site for name, site in CONSENSUS.items()}
    for one in details["motifs"].dropna(subset="reference_rank").itertuples():
        known = sites[one.match_id] if one.match_strand == "+" else complement(sites[one.match_id])
        agreeing = [
            base == known[i - one.match_offset]
            for i, base in enumerate(one.consensus)
            if 0 <= i - one.match_offset < len(known)
        ]
        assert np.mean(agreeing) > 0.8, one.consensus


def test_the_meme_file_of_the_generated_motifs_is_one_for_biopython_too(judged, tmp_path):
    _, details, _ = judged
    found = discovered_motifs(details["motifs"], "generated")
    write_meme(found, np.array([0.3, 0.2, 0.2, 0.3]), tmp_path / "discovered.meme")
    with (tmp_path / "discovered.meme").open() as handle:
        record = bio.parse(handle, "minimal")
    assert [one.name for one in record] == [one.matrix_id for one in found]
    assert record[0].name == "all_1"
    for own, read, theirs in zip(found, load_motifs(str(tmp_path / "discovered.meme")), record, strict=True):
        assert read.name == own.name
        assert read.counts == pytest.approx(own.counts, abs=1e-3)
        assert theirs.consensus == "".join("ACGT"[i] for i in own.counts.argmax(axis=0))
    assert {one.name for one in matched_motifs(details["motifs"], LIBRARY)} >= {"GATA", "HNF"}


def test_few_sequences_and_no_motif_are_told():
    few = as_sets(generated=one_label(planted(10, 1, "gut")), reference=one_label(planted(10, 2, "gut")))
    evaluation, details = evaluate_discovery(few, LIBRARY, number=5, seed=1)
    assert evaluation["value"].isna().all()
    assert set(evaluation["note"]) == {"fewer than 20 sequences"}
    assert details["motifs"].empty
    none = as_sets(generated=one_label(planted(60, 1, "gut")), reference=one_label(random_sequences(60, 5)))
    evaluation, _ = evaluate_discovery(none, LIBRARY, number=5, seed=1)
    assert row(evaluation, "discovered_recall")["note"] == "no motif is discovered in the reference"
    assert value(evaluation, "discovered_novel") == 0


def test_the_same_table_and_numbers_twice():
    sets = as_sets(generated=one_label(planted(40, 1, "gut")), reference=one_label(planted(40, 9, "gut")))
    (one, details), (two, more) = (evaluate_discovery(sets, LIBRARY, number=1, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(details["motifs"], more["motifs"])
    assert len(details["motifs"]) == 4


def test_the_figure_lays_logos_side_by_side(judged, tmp_path):
    _, details, _ = judged
    known = {one.matrix_id: dict(zip("ACGT", one.counts.tolist(), strict=True)) for one in LIBRARY}
    for name in ("one", "two"):
        draw_discovery(details["motifs"], known, tmp_path / f"{name}.svg")
    svg = (tmp_path / "one.svg").read_text()
    assert svg == (tmp_path / "two.svg").read_text()
    for text in ("generated", "training", "HNF (M_HNF), q = ", "% of held-out", "not discovered", "none is like it"):
        assert text in svg
    draw_discovery(details["motifs"].iloc[:0], known, tmp_path / "x.svg")
    assert "No motif was discovered in the generated or in the training sequences." in (tmp_path / "x.svg").read_text()


def test_a_library_of_one_motif_is_enough():
    sets = as_sets(generated=one_label(planted(60, 1, "gut")), reference=one_label(planted(60, 9, "gut")))
    evaluation, _ = evaluate_discovery(sets, [motif("HNF", CONSENSUS["HNF"])], number=2, seed=1)
    assert value(evaluation, "discovered_recall") == 1
