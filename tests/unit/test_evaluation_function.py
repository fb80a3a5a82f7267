"""The function metrics against scipy, brute force and samples of known Gaussians; generators that fail so or so."""

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import row, value
from scipy import linalg, stats

from diffusion_bert.evaluation.comparison import compare
from diffusion_bert.evaluation.function import (
    confusion,
    evaluate_function,
    frechet,
    frechet_at_infinity,
    frechet_replicates,
    mmd,
    moments,
    polynomial_kernel,
)
from diffusion_bert.evaluation.intervals import resamples
from diffusion_bert.evaluation.metrics import function
from diffusion_bert.figures.function import draw_function
from diffusion_bert.tables import JUDGEMENTS, ORACLE_PERFORMANCE, check

LABELS = ("blood", "gut")
WIDTH = 8


def gaussian(n: int, seed: int, shift: float = 0.0, width: int = WIDTH) -> np.ndarray:
    """(n, width), correlated, the spectrum of covariance falling."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width)) * np.exp(-np.arange(width) / 6)
    return generator.normal(size=(n, width)) @ mixing.T + shift


def judgements(**sets: dict) -> pd.DataFrame:
    """JUDGEMENTS; of each set: n (of each label), right (share predicted as asked), active (mean), shift, seed."""
    parts = []
    for number, (name, of) in enumerate(sets.items()):
        n = of.get("n", 60)
        for place, label in enumerate(of.get("labels", LABELS)):
            generator = np.random.default_rng((number, place))
            right = np.arange(n) < round(of.get("right", 1.0) * n)
            other = LABELS[label == LABELS[0]] if label in LABELS else LABELS[0]
            embeddings = gaussian(n, 10 * number + place, of.get("shift", 0.0))
            parts.append(
                pd.DataFrame(
                    {
                        "set": name,
                        "name": [f"{name}_{label}_{i}" for i in range(n)],
                        "label": label,
                        "predicted": np.where(right, label if label in LABELS else LABELS[0], other),
                        "activity": generator.normal(of.get("active", 5.0), 1.0, n),
                        "probabilities": [np.full(3, 1 / 3)] * n,
                        "embedding": list(embeddings),
                    }
                )
            )
    return check(pd.concat(parts, ignore_index=True), JUDGEMENTS, "judgements")


# Distances.


def test_weighted_moments_are_those_of_the_repeated_rows():
    sample = gaussian(30, 1) + 1000
    counts = resamples(30, 4, 1, "x")
    means, covariances = moments(sample, counts.astype(np.float64))
    for drawn, mean, covariance in zip(counts, means, covariances, strict=True):
        repeated = np.repeat(sample, drawn.astype(int), axis=0)
        np.testing.assert_allclose(mean, repeated.mean(axis=0))
        np.testing.assert_allclose(covariance, np.cov(repeated.T), atol=1e-9)


@pytest.mark.parametrize("n", [200, 6], ids=["full rank", "less"])
def test_the_frechet_distance_is_that_with_scipys_square_root(n):
    one, other = gaussian(200, 1), gaussian(n, 2, shift=0.3) * 1.4
    parts = [(x.mean(axis=0), np.cov(x.T)) for x in (one, other)]
    (m1, c1), (m2, c2) = parts
    root = linalg.sqrtm(c1 @ c2)
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(root))
    ones = [moments(x, np.ones((1, len(x)))) for x in (one, other)]
    assert frechet(*ones[0], *ones[1])[0] == pytest.approx(expected, rel=1e-5)
    assert frechet(*ones[1], *ones[0])[0] == pytest.approx(expected, rel=1e-5)


def test_one_dimension_is_the_textbooks():
    one, other = gaussian(50, 1, width=1), 2 * gaussian(70, 2, width=1) + 1
    ones = [moments(x, np.ones((1, len(x)))) for x in (one, other)]
    expected = (one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2
    assert frechet(*ones[0], *ones[1])[0] == pytest.approx(expected)


@pytest.mark.parametrize("width", [8, 32])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_extrapolation_takes_the_bias_out(width, shift):
    """Two samples of one Gaussian are far apart by the plain distance, and 0 by the corrected one; known distances."""
    found = np.array(
        [
            frechet_at_infinity(gaussian(150, 2 * s, width=width), gaussian(150, 2 * s + 1, shift, width), seed=s)
            for s in range(12)
        ]
    )
    true = width * shift**2
    corrected, plain = found.mean(axis=0)
    error = found[:, 0].std(ddof=1) / np.sqrt(len(found))
    assert plain - true > 4 * error
    assert abs(corrected - true) < 3.5 * error + 0.03 * (plain - true)


def test_a_larger_sample_has_the_same_distance_and_a_smaller_interval():
    widths = []
    for n in (100, 400):
        ours, theirs = gaussian(n, 1, 0.4), gaussian(n, 2)
        value, plain = frechet_at_infinity(ours, theirs, seed=1)
        assert value == pytest.approx(WIDTH * 0.4**2, abs=0.6)
        drawn = frechet_replicates(ours, theirs, resamples(n, 200, 1, "a"), resamples(n, 200, 1, "b"))
        widths.append(drawn.std())
        assert drawn.mean() > plain > value  # the bootstrap adds the bias once more
    assert widths[1] < 0.7 * widths[0]


def test_mmd_is_that_of_all_pairs():
    ours, theirs = gaussian(12, 1, 0.3), gaussian(9, 2)

    def kernel(a, b):
        return (a @ b / WIDTH + 1) ** 3

    def by_loop(x, y):
        within = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
        beside = [kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
        return np.mean(within) + np.mean(beside) - 2 * np.mean([kernel(a, b) for a in x for b in y])

    leave = np.ones((2, 12))
    leave[1, 3] = 0  # a sample that lacks one sequence
    found, replicates = mmd(ours, theirs, leave, np.ones((2, 9)))
    assert found == pytest.approx(by_loop(ours, theirs))
    assert replicates[0] == pytest.approx(found)
    assert replicates[1] == pytest.approx(by_loop(np.delete(ours, 3, axis=0), theirs))
    assert polynomial_kernel(ours, theirs)[2, 5] == pytest.approx(kernel(ours[2], theirs[5]))


def test_mmd_of_one_gaussian_is_nought_on_average():
    ones = lambda n: np.ones((1, n))  # noqa: E731
    same = [mmd(gaussian(40, 2 * s), gaussian(40, 2 * s + 1), ones(40), ones(40))[0] for s in range(60)]
    apart = [mmd(gaussian(40, 2 * s), gaussian(40, 2 * s + 1, 0.8), ones(40), ones(40))[0] for s in range(10)]
    assert abs(np.mean(same)) < 3.5 * np.std(same) / np.sqrt(60)
    assert min(same) < 0 < np.mean(apart)


# The table.


@pytest.fixture(scope="module")
def judged():
    table = judgements(
        generated={"right": 0.8, "active": 4.0},
        blind={"right": 0.5},
        dinucleotide_shuffle={"right": 0.5, "active": -3.0, "shift": 1.5},
        ceiling={"right": 0.9},
        reference={"right": 0.95},
    )
    return (*evaluate_function(table, bootstrap=200, seed=1), table)


def test_every_metric_of_every_set_and_label(judged):
    evaluation, _, _ = judged
    names = {metric.name for metric in function.METRICS}
    expected = {(m, s, label) for m in names for s in ("generated", "blind", "dinucleotide_shuffle", "ceiling")
                for label in ("all", *LABELS)}  # fmt: skip
    assert set(zip(evaluation["metric"], evaluation["set"], evaluation["label"], strict=True)) == expected
    assert evaluation["value"].notna().all()
    assert (evaluation["ci_low"] <= evaluation["value"]).all()
    assert (evaluation["value"] <= evaluation["ci_high"]).all()


def test_fidelity_and_activity_are_means(judged):
    evaluation, _, table = judged
    own = table[(table["set"] == "generated") & (table["label"] == "gut")]
    assert value(evaluation, "label_fidelity", label="gut") == pytest.approx(0.8)
    assert value(evaluation, "oracle_activity", label="gut") == pytest.approx(own["activity"].mean())
    found = row(evaluation, "oracle_activity", label="gut")
    error = stats.sem(own["activity"])
    assert found["ci_high"] - found["ci_low"] == pytest.approx(2 * 1.96 * error, rel=0.25)


@pytest.mark.parametrize("label", ["all", "blood"])
def test_the_activity_distance_is_scipys(judged, label):
    evaluation, _, table = judged
    table = table if label == "all" else table[table["label"] == label]
    expected = stats.wasserstein_distance(
        *(table.loc[table["set"] == s, "activity"] for s in ("generated", "reference"))
    )
    assert value(evaluation, "oracle_activity_wasserstein", label=label) == pytest.approx(expected)


def test_distances_tell_real_from_shuffled(judged):
    evaluation, _, _ = judged
    for metric in ("frechet_distance", "mmd"):
        ceiling = row(evaluation, metric, "ceiling")
        assert ceiling["ci_low"] <= 0 <= ceiling["ci_high"], metric
        assert row(evaluation, metric, "dinucleotide_shuffle")["ci_low"] > ceiling["ci_high"], metric


def test_one_that_ignores_the_label_is_caught(judged):
    evaluation, details, _ = judged
    rows = evaluation[evaluation["set"].isin(["blind", "ceiling", "dinucleotide_shuffle"])]
    _, verdict = compare({("model", "blind"): rows.assign(set=rows["set"].replace("blind", "generated"))})
    alarms = verdict[(verdict["label"] == "all") & (verdict["worse_than_ceiling"] == "yes")]["metric"].tolist()
    assert "label_fidelity" in alarms
    assert "oracle_activity" not in alarms  # it is as active as the real ones
    wide = details["confusion"].query("set == 'blind'").pivot(index="label", columns="predicted", values="share")
    np.testing.assert_allclose(wide.to_numpy(), 0.5)


def test_the_confusion_counts_every_sequence(judged):
    _, details, table = judged
    found = details["confusion"]
    pd.testing.assert_frame_equal(found, confusion(table))
    sums = found.groupby(["set", "label"])[["number", "share"]].sum()
    assert (sums["number"] == 60).all()
    np.testing.assert_allclose(sums["share"], 1)
    one = found.query("set == 'generated' and label == 'blood' and predicted == 'gut'").iloc[0]
    assert (one["number"], one["share"]) == (12, pytest.approx(0.2))
    assert list(dict.fromkeys(found["set"])) == list(dict.fromkeys(table["set"]))


def test_the_scale_of_the_embedding_does_not_matter(judged):
    evaluation, _, table = judged
    scaled = table.assign(embedding=[vector * 37 for vector in table["embedding"]])
    again, _ = evaluate_function(scaled, bootstrap=200, seed=1)
    np.testing.assert_allclose(again["value"], evaluation["value"], rtol=1e-6, atol=1e-9)


def test_the_same_seed_gives_the_same_table(judged):
    evaluation, details, table = judged
    again, more = evaluate_function(table, bootstrap=200, seed=1)
    pd.testing.assert_frame_equal(evaluation, again)
    for name in details:
        pd.testing.assert_frame_equal(details[name], more[name])


# Bad input.


def test_no_labels():
    table = judgements(generated={"labels": ["all"]}, ceiling={"labels": ["all"]}, reference={"labels": ["all"]})
    evaluation, _ = evaluate_function(table, bootstrap=100, seed=1)
    assert row(evaluation, "label_fidelity")["note"] == "the sequences have no labels"
    assert value(evaluation, "oracle_activity") == pytest.approx(5, abs=0.5)


def test_one_label():
    table = judgements(generated={"labels": ["blood"]}, ceiling={"labels": ["blood"]}, reference={"labels": ["blood"]})
    table = table.assign(probabilities=[np.array([0.5, 0.5])] * len(table))
    evaluation, _ = evaluate_function(table, bootstrap=100, seed=1)
    assert row(evaluation, "label_fidelity")["note"] == "the judge knows one label alone"
    assert value(evaluation, "oracle_activity", label="blood") == pytest.approx(5, abs=0.5)


def test_a_label_that_the_judge_does_not_know():
    table = judgements(generated={}, ceiling={}, reference={})
    table.loc[table["label"] == "gut", "activity"] = None
    evaluation, _ = evaluate_function(table, bootstrap=100, seed=1)
    assert "does not know the label" in row(evaluation, "mmd", label="gut")["note"]
    assert row(evaluation, "label_fidelity")["n"] == 60
    assert value(evaluation, "label_fidelity") == value(evaluation, "label_fidelity", label="blood")


def test_a_judge_that_knows_nothing():
    table = judgements(generated={}, ceiling={}, reference={}).assign(activity=None, predicted=None)
    table = table.assign(embedding=[np.zeros(0)] * len(table), probabilities=[np.ones(1)] * len(table))
    evaluation, details = evaluate_function(table, bootstrap=100, seed=1)
    assert evaluation["value"].isna().all()
    assert evaluation["note"].notna().all()
    assert details["confusion"].empty


@pytest.mark.parametrize(
    ("sizes", "metric", "why"),
    [
        ({"generated": 60, "reference": 5}, "frechet_distance", "fewer than 16 sequences"),
        ({"generated": 5, "reference": 60}, "frechet_distance", "fewer than 16 sequences"),
        ({"generated": 60, "reference": 1}, "mmd", "fewer than two sequences"),
        ({"generated": 60, "reference": 0}, "mmd", "no training window that the judge has not learned from"),
        ({"generated": 0, "reference": 60}, "oracle_activity", "no sequence"),
    ],
)
def test_too_few_sequences(sizes, metric, why):
    table = judgements(generated={}, reference={}, ceiling={})
    keep = [
        (table["set"] == name) & ((table["label"] == "gut") | (table.groupby(["set", "label"]).cumcount() < n))
        for name, n in {**sizes, "ceiling": 60}.items()
    ]
    evaluation, _ = evaluate_function(table[np.any(keep, axis=0)].reset_index(drop=True), bootstrap=100, seed=1)
    assert why in row(evaluation, metric, label="blood")["note"]
    assert pd.notna(row(evaluation, metric, label="gut")["value"])


# The figure.


def performance() -> pd.DataFrame:
    rows = [("auroc", label, "background", 0.9, 0.85, 0.95, 200, 100, None) for label in ("all", *LABELS)]
    rows += [("auroc", label, "labels", 0.8, 0.75, 0.85, 200, 100, None) for label in LABELS]
    return check(pd.DataFrame(rows, columns=list(ORACLE_PERFORMANCE)), ORACLE_PERFORMANCE, "performance")


def test_the_figure_shows_activity_confusion_and_the_judge(judged, tmp_path):
    _, details, _ = judged
    for name in ("one.svg", "two.svg"):
        draw_function(details["sequences"], details["confusion"], performance(), tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    for text in ("all labels", "gut", "taken for, held-out real", "taken for, generated", "0.80", "0.20",
                 "log p(label) - log p(background)", "the judge on test windows"):  # fmt: skip
        assert text in drawn, text


def test_the_figure_of_one_label_has_no_matrix(judged, tmp_path):
    _, details, _ = judged
    own = {name: frame[frame["label"] == "gut"] for name, frame in details.items()}
    only = own["confusion"].query("predicted == 'gut'")
    draw_function(own["sequences"], only, performance().query("against == 'background'"), tmp_path / "x.svg")
    assert "taken for" not in (tmp_path / "x.svg").read_text()


def test_the_figure_of_a_judge_that_knows_nothing_says_so(judged, tmp_path):
    _, details, _ = judged
    nothing = details["sequences"].assign(activity=None)
    draw_function(nothing, details["confusion"].iloc[:0], performance().iloc[:0], tmp_path / "x.svg")
    assert "The judge knows none of the labels" in (tmp_path / "x.svg").read_text()
