"""Families of motifs, Fisher's test in bulk, which motifs are enriched, and what comes of it in the metrics."""

import numpy as np
import pytest
from evaluation_cases import (
    CONSENSUS,
    LIBRARY,
    as_sets,
    complement,
    motif,
    random_sequences,
    real,
    row,
    value,
)
from scipy import stats

from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.motif_enrichment import (
    enriched_in_resamples,
    enrichment,
    fisher_greater,
    hypergeometric_tail,
    most_enriched,
)
from diffusion_bert.evaluation.motif_families import find_families, similarity
from diffusion_bert.evaluation.motif_library import Motif, load_motifs
from diffusion_bert.evaluation.motif_rates import of_families
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.scan import Scan, make_scanners


def random_motifs(n: int, seed: int) -> list[Motif]:
    generator = np.random.default_rng(seed)
    return [
        Motif(f"R{i}", f"r{i}", generator.dirichlet(np.full(4, 0.4), size=int(generator.integers(3, 12))).T * 50)
        for i in range(n)
    ]


def turned(one: Motif, name: str) -> Motif:
    return Motif(name, name, one.counts[::-1, ::-1])


def alike(one: Motif, other: Motif) -> float:
    """The best Pearson correlation over offsets and strands, both motifs written into one long row of quarters."""
    best = -1.0
    for counts in (other.counts, other.counts[::-1, ::-1]):
        for offset in range(-other.width + 1, one.width):
            begin, end = min(0, offset), max(one.width, offset + other.width)
            rows = np.full((2, end - begin, 4), 0.25)
            rows[0, -begin : one.width - begin] = (one.counts / one.counts.sum(axis=0)).T
            rows[1, offset - begin : offset - begin + other.width] = (counts / counts.sum(axis=0)).T
            best = max(best, np.corrcoef(rows[0].ravel(), rows[1].ravel())[0, 1])
    return best


def test_similarity_is_the_best_correlation_over_offsets_and_strands():
    motifs = [*random_motifs(8, 1), *LIBRARY]
    found = similarity(motifs)
    for i, one in enumerate(motifs):
        for j, other in enumerate(motifs):
            assert found[i, j] == pytest.approx(alike(one, other), abs=1e-5)


def test_similarity_knows_strands_offsets_and_that_flat_columns_say_nothing():
    gata = LIBRARY[0]
    padded = Motif("P", "padded", np.hstack([np.full((4, 5), 25.0), gata.counts, np.full((4, 2), 25.0)]))
    flat = Motif("F", "flat", np.full((4, 6), 25.0))
    half = Motif("H", "half", gata.counts[:, :5])
    found = similarity([gata, turned(gata, "T"), padded, half, flat])
    assert found[0, 1] == pytest.approx(1, abs=1e-5)
    assert found[0, 2] == pytest.approx(1, abs=1e-5)
    assert found[0, 3] == pytest.approx((5 / 9) ** 0.5, abs=1e-5)  # it has 5 of 9 equally telling columns
    assert found[0, 4] == pytest.approx(0, abs=1e-5)
    assert np.diag(found) == pytest.approx(1)


def test_families_hold_what_is_alike_and_their_most_typical_member_stands_for_them():
    weaker = [Motif(f"G{i}", f"g{i}", LIBRARY[0].counts + i) for i in (1, 2)]
    families = find_families([LIBRARY[1], weaker[0], turned(LIBRARY[0], "T"), LIBRARY[3], weaker[1]])
    assert families.of_motif.tolist() == [0, 1, 1, 2, 1]
    assert families.representative.tolist() == [0, 1, 3]
    assert len(families) == 3
    assert find_families(LIBRARY[:1]).of_motif.tolist() == [0]


def test_average_linkage_is_scikit_learns():
    cluster = pytest.importorskip("sklearn.cluster")
    motifs = random_motifs(40, 2)
    families = find_families(motifs, threshold=0.5)
    distance = 1 - np.round(similarity(motifs), 5)
    model = cluster.AgglomerativeClustering(
        n_clusters=None, distance_threshold=0.5, metric="precomputed", linkage="average"
    )
    expected = model.fit_predict(distance)
    assert 5 < len(families) < 40
    pairs = set(zip(families.of_motif.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(families) == len(set(expected))


def test_jaspars_factors_of_one_kind_are_one_family_and_others_are_apart():
    library = load_motifs("jaspar", "vertebrates")
    families = find_families(library)
    assert len(families) == 275
    of_name = {}
    for one, family in zip(library, families.of_motif, strict=True):
        of_name.setdefault(one.name.upper(), set()).add(int(family))
    assert len(set().union(*(of_name[name] for name in ("GATA1", "GATA2", "GATA3", "GATA4", "GATA6")))) == 1
    assert len(set().union(*(of_name[name] for name in ("JUNB", "NFE2", "BACH1"))) & of_name["NFE2"]) == 1
    kinds = [of_name[name] for name in ("GATA1", "HNF1A", "RELA", "NFE2", "IRF8", "SOX2", "GABPA", "NRF1")]
    assert len(set.union(*kinds)) == sum(map(len, kinds))


def test_a_family_is_hit_where_a_member_is():
    families = find_families([LIBRARY[0], LIBRARY[1], turned(LIBRARY[0], "T")])
    hit = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=bool)
    assert of_families(hit, families).tolist() == [[False, False], [True, False], [True, False], [True, True]]


@pytest.mark.parametrize("n", [1, 7, 60, 2000])
def test_fishers_test_in_bulk_is_scipys(n):
    generator = np.random.default_rng(n)
    first, second = (np.concatenate([generator.integers(0, n + 1, 40), ends]) for ends in ([0, n, 0, n], [n, 0, 0, n]))
    tables = [[[a, n - a], [b, n - b]] for a, b in zip(first, second, strict=True)]
    expected = [stats.fisher_exact(table, alternative="greater").pvalue for table in tables]
    assert fisher_greater(first, second, n) == pytest.approx(np.array(expected), rel=1e-8)


def test_the_hypergeometric_tail_is_scipys():
    generator = np.random.default_rng(1)
    for _ in range(60):
        size = int(generator.integers(1, 50))
        marked, drawn = (int(x) for x in generator.integers(0, size + 1, 2))
        k = np.arange(-1, drawn + 3)
        assert hypergeometric_tail(k, size, marked, drawn) == pytest.approx(
            stats.hypergeom.sf(k - 1, size, marked, drawn), abs=1e-12
        )


def test_enrichment_is_fishers_test_with_the_false_discovery_rate():
    found = enrichment(np.array([30, 10, 5, 0]), np.array([10, 9, 12, 0]), 50)
    ranked = np.sort(found.p) * 4 / np.arange(1, 5)
    assert np.sort(found.q) == pytest.approx(np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1))
    assert found.found.tolist() == [True, False, False, False]
    assert found.order.tolist()[0] == 0


def test_resamples_are_judged_at_the_limit_of_the_whole_set():
    generator = np.random.default_rng(1)
    whole = enrichment(np.array([30, 22, 5, 40]), np.array([10, 9, 12, 2]), 50)
    limit = 0.05 * whole.found.sum() / 4  # of Benjamini and Hochberg
    observed, shuffled = generator.integers(0, 51, size=(2, 60, 4)).astype(np.float64)
    expected = [
        [
            stats.fisher_exact([[a, 50 - a], [b, 50 - b]], alternative="greater").pvalue <= limit
            for a, b in zip(*each, strict=True)
        ]
        for each in zip(observed.astype(int), shuffled.astype(int), strict=True)
    ]
    assert enriched_in_resamples(whole, observed, shuffled).tolist() == expected


def searched(library: list[Motif], sequences: list[str]):
    scanners = make_scanners(library, np.full(4, 0.25), 1e-4)
    scan = Scan(sequences, scanners)
    shuffled = Scan(dinucleotide_shuffle(sequences, seed=1), scanners).any_hit
    at = np.arange(len(sequences))
    return scan, enrichment(scan.any_hit.sum(axis=0), shuffled.sum(axis=0), len(at)), find_families(library), at


def test_of_the_enriched_motifs_one_a_family_and_none_that_is_part_of_another_is_kept():
    sequences = real(60, 1)["sequence"].tolist()
    hnf = LIBRARY[3]
    part = Motif("PART", "part", hnf.counts[:, :6])  # GTTAAT of GTTAATGATTAAC
    library = [*LIBRARY, turned(LIBRARY[0], "T"), part]
    scan, found, families, at = searched(library, sequences)
    assert {0, 3, 4, 5} <= set(np.flatnonzero(found.found))
    assert len(set(families.of_motif[[0, 4]])) == 1
    assert len(set(families.of_motif[[3, 5]])) == 2, "the part must be a family of its own, or this tests nothing"
    chosen = most_enriched(found, families, scan, at).tolist()
    assert len(chosen) == 2
    assert {chosen[0], chosen[1]} & {0, 4}
    assert len({3, 5} & set(chosen)) == 1
    assert most_enriched(found, families, scan, at, most=1).tolist() == chosen[:1]


def test_a_family_counts_once_though_its_members_hit_other_sites():
    one, other = CONSENSUS["GATA"], CONSENSUS["GATA"][:7] + "TT"
    background = random_sequences(160, 5)
    sequences = [
        sequence[:30] + (one if i % 2 else other) + sequence[39:] if i < 120 else sequence
        for i, sequence in enumerate(background)
    ]
    scan, found, families, at = searched([motif("one", one), motif("other", other)], sequences)
    assert len(families) == 1
    assert found.found.all()
    assert not (scan.any_hit.all(axis=1)).any()
    assert len(most_enriched(found, families, scan, at)) == 1


@pytest.fixture(scope="module")
def judged():
    reference, held = real(60, 1), real(60, 100)
    shuffled = held.assign(sequence=dinucleotide_shuffle(held["sequence"].tolist(), seed=1))
    one = held["sequence"].where(held["label"] == "gut", shuffled["sequence"])  # has lost the motif of blood
    sets = as_sets(generated=held.assign(sequence=one), ceiling=held, shuffled=shuffled, reference=reference)
    again = [turned(one, f"{one.matrix_id}_again") for one in LIBRARY]
    return evaluate_motifs(sets, [*LIBRARY, *again], bootstrap=100, seed=1)


def test_a_motif_that_the_generator_lost_is_enriched_in_the_reference_alone(judged):
    evaluation, details = judged
    table = details["enrichment"].query("label == 'all'").set_index("name")
    assert (table.loc[["GATA", "HNF"], "q_value_reference"] < 0.05).all()
    assert table.loc["HNF", "q_value_generated"] < 0.05
    assert table.loc["GATA", "q_value_generated"] > 0.05
    assert table.loc["GATA", "rate_generated"] < 0.1 < table.loc["GATA", "rate_reference"]
    assert table.loc["GATA", "n_generated"] == table.loc["GATA", "n_reference"] == 120
    assert value(evaluation, "enriched_overlap", "ceiling") == 1
    assert value(evaluation, "enriched_overlap", "generated") == 0.5
    assert value(evaluation, "enriched_overlap", "shuffled") == 0
    assert value(evaluation, "enriched_overlap", "generated", "blood") == 0
    assert row(evaluation, "enriched_overlap", "ceiling")["ci_low"] > 0.5


def test_the_rates_of_families_are_those_of_any_member(judged):
    evaluation, details = judged
    families = details["families"].query("label == 'all'")
    assert sorted(families["family_name"].unique()) == sorted(CONSENSUS)
    assert (families["members"] == 2).all()
    rates = details["rates"].query("label == 'all'")
    assert (rates["family_name"] == rates["name"].str.removeprefix("M_").str.removesuffix("_again")).all()
    # A motif and its other strand have the same hits, so the family's rate is that of each.
    merged = rates.merge(families, on=["set", "family"], suffixes=("", "_of_family"))
    assert len(merged) == len(rates)
    assert (merged["rate"] == merged["rate_of_family"]).all()
    wide = families.pivot(index="family", columns="set", values="rate")
    for name in ("generated", "ceiling"):
        expected = stats.pearsonr(wide[name], wide["reference"]).statistic
        assert value(evaluation, "family_rate_pearson", name) == pytest.approx(expected)


def test_doubled_motifs_change_nothing_that_rests_on_families(judged):
    reference, held = real(60, 1), real(60, 100)
    sets = as_sets(ceiling=held, reference=reference)
    evaluation, _ = evaluate_motifs(sets, LIBRARY, bootstrap=100, seed=1)
    doubled = judged[0]
    for metric in ("motif_excess", "motif_centring", "motif_position_divergence", "family_rate_pearson"):
        assert value(evaluation, metric, "ceiling") == pytest.approx(value(doubled, metric, "ceiling"), abs=1e-9), (
            metric
        )


def test_without_a_generated_set_its_columns_are_empty():
    sets = as_sets(ceiling=real(15, 100), reference=real(15, 1))
    _, details = evaluate_motifs(sets, LIBRARY, bootstrap=20, seed=1)
    assert details["enrichment"]["rate_generated"].isna().all()
    assert details["hits"].empty


def test_complement_of_cases_is_what_turned_does():
    one = motif("X", "GATTC")
    assert "".join("ACGT"[i] for i in turned(one, "T").counts.argmax(axis=0)) == complement("GATTC")
