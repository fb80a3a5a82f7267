"""Where a run stands between floors and ceiling."""

import logging

import pytest

from diffusion_bert.evaluation.comparison import COMPARISON, VERDICT, compare
from diffusion_bert.evaluation.rows import Rows
from diffusion_bert.tables import EVALUATION, check, read_tsv, write_tsv

RUN = ("convnet", "ancestral")


def evaluation(metric: str, values: dict[str, float | None], half_width: float = 0.01):
    rows = Rows()
    for name, value in values.items():
        if value is None:
            rows.missing(metric, "all", name, 5, "too few")
        else:
            rows.add(metric, "all", name, value, None, 100)
    frame = rows.frame()
    frame["ci_low"], frame["ci_high"] = frame["value"] - half_width, frame["value"] + half_width
    return frame


def stand(metric: str, values: dict[str, float | None], half_width: float = 0.01):
    _, verdict = compare({RUN: evaluation(metric, values, half_width)})
    assert len(verdict) == 1
    return verdict.iloc[0]


def test_lower_is_better():
    found = stand("gc_wasserstein", {"generated": 0.2, "ceiling": 0.1, "markov": 0.5, "uniform": 0.9})
    assert (found["best_floor"], found["floor_name"], found["separates"]) == (0.5, "markov", "yes")
    assert found["position"] == pytest.approx(0.75)
    assert stand("gc_wasserstein", {"generated": 0.05, "ceiling": 0.1, "markov": 0.5})["position"] == pytest.approx(
        1.125
    )
    assert stand("gc_wasserstein", {"generated": 0.9, "ceiling": 0.1, "markov": 0.5})["position"] == pytest.approx(-1)


def test_higher_is_better():
    found = stand("motif_rate_pearson", {"generated": 0.8, "ceiling": 0.9, "markov": 0.5, "uniform": 0.6})
    assert (found["best_floor"], found["floor_name"]) == (0.6, "uniform")
    assert found["position"] == pytest.approx(2 / 3)


def test_as_the_ceiling_neither_more_nor_less():
    floors = {"ceiling": 0.5, "markov": 0.4, "uniform": 0.75}
    found = stand("gc_mean", {"generated": 0.45, **floors})
    assert (found["best_floor"], found["floor_name"]) == (0.4, "markov")
    assert found["position"] == pytest.approx(0.5)
    assert stand("gc_mean", {"generated": 0.55, **floors})["position"] == pytest.approx(0.5)
    assert stand("gc_mean", {"generated": 0.5, **floors})["position"] == pytest.approx(1)


def test_a_metric_whose_intervals_meet_does_not_rank():
    found = stand("gc_wasserstein", {"generated": 0.11, "ceiling": 0.1, "markov": 0.115})
    assert found["separates"] == "no"
    assert found["note"] == "the ceiling does not part from the best floor"
    assert found["position"] != found["position"]


def test_a_floor_better_than_the_ceiling_does_not_rank():
    found = stand("gc_wasserstein", {"generated": 0.3, "ceiling": 0.5, "markov": 0.1})
    assert found["separates"] == "no"


def test_a_floor_that_has_the_property_by_construction_is_none():
    values = {"generated": 0.05, "ceiling": 0.1, "dinucleotide_shuffle": 0.1, "markov": 0.06}
    found = stand("gc_sd", values)
    assert (found["floor_name"], found["separates"]) == ("markov", "yes")
    assert stand("trinucleotide_entropy", values)["floor_name"] == "dinucleotide_shuffle"
    assert stand("kmer_pearson_2", values)["floor_name"] == "markov"
    assert stand("kmer_pearson_3", values)["floor_name"] == "dinucleotide_shuffle"
    found = stand("gc_sd", {"generated": 0.05, "ceiling": 0.1, "dinucleotide_shuffle": 0.1})
    assert found["note"] == "not available for any floor"


def test_an_alarm_holds_where_the_metric_does_not_rank():
    copies = stand("near_copies", {"generated": 0.9, "ceiling": 0.02, "markov": 0.0})
    assert (copies["separates"], copies["worse_than_ceiling"]) == ("no", "yes")
    assert stand("near_copies", {"generated": 0.0, "ceiling": 0.05, "markov": 0.0})["worse_than_ceiling"] == "no"
    assert stand("unique", {"generated": 0.1, "ceiling": 1.0, "markov": 1.0})["worse_than_ceiling"] == "yes"
    assert stand("gc_mean", {"generated": 0.6, "ceiling": 0.5, "markov": 0.5})["worse_than_ceiling"] == "yes"
    assert stand("gc_mean", {"generated": 0.4, "ceiling": 0.5, "markov": 0.5})["worse_than_ceiling"] == "yes"
    assert stand("gc_mean", {"generated": 0.51, "ceiling": 0.5, "markov": 0.5})["worse_than_ceiling"] == "no"


def test_missing_numbers_are_said():
    found = stand("gc_mean", {"generated": None, "ceiling": 0.5, "markov": 0.2})
    assert found["note"] == "not available for the generated sequences: too few"
    assert (found["separates"], found["best_floor"]) == ("yes", 0.2)
    found = stand("gc_mean", {"generated": 0.5, "ceiling": None, "markov": 0.2})
    assert found["note"] == "not available for held-out sequences: too few"
    found = stand("gc_mean", {"generated": 0.5, "ceiling": 0.5, "markov": None})
    assert found["note"] == "not available for any floor"
    found = stand("gc_mean", {"generated": 0.5})
    assert found["note"] == "not available for held-out sequences: it was not evaluated"


def test_all_runs_are_in_one_table_that_reads_back(tmp_path):
    frames = {
        ("convnet", "ancestral"): evaluation("gc_mean", {"generated": 0.5, "ceiling": 0.5, "markov": 0.2}),
        ("bert", "confidence"): evaluation("gc_mean", {"generated": None, "ceiling": 0.5, "markov": 0.2}),
    }
    comparison, verdict = compare(frames)
    assert comparison.groupby(["model", "sampler"]).size().to_dict() == {("bert", "confidence"): 3, RUN: 3}
    assert verdict[["model", "metric", "label"]].to_numpy().tolist() == [
        ["convnet", "gc_mean", "all"],
        ["bert", "gc_mean", "all"],
    ]
    for frame, columns in ((comparison, COMPARISON), (verdict, VERDICT)):
        write_tsv(frame, tmp_path / "table.tsv", columns)
        assert read_tsv(tmp_path / "table.tsv", columns).equals(check(frame, columns, "a test"))


def test_a_metric_of_another_version_is_left_out(caplog):
    caplog.set_level(logging.INFO)
    frame = evaluation("gc_mean", {"generated": 0.5, "ceiling": 0.5, "markov": 0.2})
    comparison, verdict = compare({RUN: frame.assign(metric="old_metric")})
    assert len(comparison) == len(verdict) == 0
    assert "unknown metrics are left out: old_metric" in caplog.text


def test_no_run_gives_empty_tables():
    comparison, verdict = compare({})
    assert list(comparison.columns) == list(COMPARISON)
    assert list(verdict.columns) == list(VERDICT)
    check(evaluation("gc_mean", {}), EVALUATION, "a test")


@pytest.mark.parametrize(
    ("metric", "ceiling", "values", "ranks"),
    [
        ("gc_wasserstein", 0.1, [0.2, 0.205, 0.4], [1, 1, 3]),
        ("motif_rate_pearson", 0.9, [0.2, 0.4, 0.405], [3, 1, 1]),
        ("gc_mean", 0.5, [0.6, 0.4, 0.51], [2, 2, 1]),
        # Neighbours cannot be told apart, yet the ends can.
        ("gc_wasserstein", 0.1, [0.20, 0.215, 0.23], [1, 1, 2]),
    ],
)
def test_runs_rank_only_where_their_intervals_part(metric, ceiling, values, ranks):
    frames = {("m", str(i)): evaluation(metric, {"generated": v, "ceiling": ceiling}) for i, v in enumerate(values)}
    _, verdict = compare(frames)
    assert verdict["rank"].tolist() == ranks


def test_one_run_alone_has_no_rank_and_no_model_ranks_another():
    assert compare({RUN: evaluation("gc_mean", {"generated": 0.5, "ceiling": 0.5})})[1]["rank"].isna().all()
    frames = {
        ("m", name): evaluation("model_bits_per_base", {"generated": value, "ceiling": 1.9})
        for name, value in (("a", 1.9), ("b", 1.5))
    }
    assert compare(frames)[1]["rank"].isna().all()
