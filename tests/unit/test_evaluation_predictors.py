"""Predictors made elsewhere: functions and tables as users bring them, right and wrong; their metrics against scipy."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import as_sets, one_label, random_sequences, row, value
from scipy import stats

from diffusion_bert.entry_points import function_at
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.comparison import COMPARISON, VERDICT, compare
from diffusion_bert.evaluation.metrics import METRICS, predictors
from diffusion_bert.evaluation.predicted import evaluate_predictions
from diffusion_bert.evaluation.predictors import PREDICTIONS, predict, scores_of_function, scores_of_table
from diffusion_bert.figures.predictors import draw_predictors
from diffusion_bert.figures.standing import draw_comparison
from diffusion_bert.reporting.build import build_report
from diffusion_bert.reporting.inputs import Inputs
from diffusion_bert.reporting.multiqc import write_multiqc
from diffusion_bert.tables import EVALUATION, check, write_tsv

MODULE = """
import numpy as np, pandas as pd
CALLS = []
def gc(sequences):
    CALLS.append(sequences)
    return np.array([sum(letter in "GC" for letter in s) / len(s) for s in sequences])
def as_list(sequences): return [float(len(s)) for s in sequences]
def two(sequences): return np.stack([gc(sequences), -gc(sequences)], axis=1)
def frame(sequences): return pd.DataFrame({"K562": gc(sequences), "HepG2": 1.0})
def mapping(sequences): return {"K562": gc(sequences).tolist()}
def short(sequences): return np.zeros(len(sequences) - 1)
def cube(sequences): return np.zeros((len(sequences), 2, 2))
def none(sequences): return None
def words(sequences): return ["high"] * len(sequences)
def empty(sequences): return {}
def ragged(sequences): return {"a": np.zeros(len(sequences)), "b": np.zeros(2)}
def nan(sequences): return np.where(np.arange(len(sequences)) == 1, np.nan, 0.0)
def infinite(sequences): return pd.DataFrame({"K562": np.full(len(sequences), np.inf)})
NUMBER = 3
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A module of the user's in the working folder, under a name of its own."""
    name = re.sub(r"\W", "_", f"theirs_{tmp_path.name}")
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    return name


def settings(**given) -> dict:
    return {"entry_point": None, "scores": None, "conda": None, **given}


def gc_of(sequences) -> np.ndarray:
    return np.array([(sequence.count("G") + sequence.count("C")) / len(sequence) for sequence in sequences])


SEQUENCES = ["ACGT", "GGGG", "AAAA", "GGGG"]


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        ("gc", {"": [0.5, 1, 0, 1]}),
        ("as_list", {"": [4, 4, 4, 4]}),
        ("two", {"1": [0.5, 1, 0, 1], "2": [-0.5, -1, 0, -1]}),
        ("frame", {"K562": [0.5, 1, 0, 1], "HepG2": [1, 1, 1, 1]}),
        ("mapping", {"K562": [0.5, 1, 0, 1]}),
    ],
)
def test_what_a_function_may_return(theirs, function, outputs):
    found = scores_of_function(SEQUENCES, f"{theirs}:{function}", key="key")
    assert {name: values.tolist() for name, values in found.items()} == outputs


def test_a_function_is_asked_once_about_distinct_sequences_in_upper_case(theirs):
    sets = as_sets(generated=one_label(["acgt", "GGGG"]), reference=one_label(["GGGG", "AAAA"]))
    said = predict(sets, "theirs", settings(entry_point=f"{theirs}:gc"))
    assert said["score"].tolist() == [0.5, 1, 1, 0]
    assert said["set"].tolist() == ["generated"] * 2 + ["reference"] * 2
    assert function_at(f"{theirs}:gc", "key").__globals__["CALLS"][-1] == ["ACGT", "GGGG", "AAAA"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("no_such_module_here:gc", "module no_such_module_here cannot be imported (ModuleNotFoundError: No module"),
        ("{}:absent", "has no function absent"),
        ("{}:NUMBER", "has no function NUMBER"),
        ("{}", "Write package.module:function."),
        ("broken:f", "module broken cannot be imported (RuntimeError: no licence)"),
        ("{}:short", "was given 3 sequences and returned numbers of shape (2,)"),
        ("{}:cube", "returned numbers of shape (3, 2, 2)"),
        ("{}:none", "returned NoneType, which is no table of numbers"),
        ("{}:words", "returned list, which is no table of numbers"),
        ("{}:empty", "returned no column"),
        ("{}:ragged", "returned numbers of shape (2,), (3,)"),
        ("{}:nan", "returned nan for 1 of 3 sequences, the first of them GGGG"),
        ("{}:infinite", "returned inf for 3 of 3 sequences (output K562)"),
    ],
)
def test_mistakes_about_a_function_are_told(theirs, tmp_path, entry, said):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no licence')")
    sets = as_sets(generated=one_label(SEQUENCES))
    with pytest.raises(UserError) as caught:
        predict(sets, "mine", settings(entry_point=entry.format(theirs)))
    assert said in str(caught.value)
    assert "evaluation.predictors.mine.entry_point" in str(caught.value)


TABLE = pd.DataFrame({"sequence": ["acgt", "GGGG", "CCCC"], "K562": [1.5, 2, 9]})


@pytest.mark.parametrize("name", ["s.tsv", "s.csv", "s.csv.gz", "s.txt", "s.parquet"])
def test_tables_of_scores_are_looked_up_letter_by_letter(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        TABLE.to_parquet(path)
    else:
        TABLE.to_csv(path, sep="," if ".csv" in name else "\t", index=False)
    (found,) = scores_of_table(["GGGG", "ACGT", "TTTT", "GGGG"], path).values()
    assert found[[0, 1, 3]].tolist() == [2, 1.5, 2]
    assert np.isnan(found[2])


def test_a_table_of_several_outputs_names_them(tmp_path):
    table = TABLE.assign(HepG2=[None, 3, 4])
    pd.concat([table, table.iloc[:1]]).to_csv(tmp_path / "s.tsv", sep="\t", index=False)
    found = scores_of_table(["ACGT", "GGGG"], tmp_path / "s.tsv")
    assert list(found) == ["K562", "HepG2"]
    assert found["HepG2"].tolist()[1] == 3
    assert np.isnan(found["HepG2"][0])
    assert not np.isnan(found["K562"]).any()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.rename(columns={"sequence": "seq"}), "it has no column sequence (its columns: seq, K562)"),
        (TABLE[["sequence"]], "it has no column of scores beside sequence"),
        (TABLE.assign(name=["a", "b", "c"]), "the column name holds a in row 1, which is no finite number"),
        (TABLE.assign(K562=[1, np.inf, 2]), "the column K562 holds inf in row 2"),
        (pd.concat([TABLE, TABLE.assign(K562=0.0)]), "the sequence ACGT has two different scores"),
        (TABLE.iloc[:0][[]], "cannot be read as a table"),
    ],
)
def test_mistakes_about_a_table_are_told(tmp_path, table, said):
    table.to_csv(tmp_path / "s.tsv", sep="\t", index=False)
    if table.empty:
        (tmp_path / "s.tsv").write_text("")
    with pytest.raises(UserError) as caught:
        scores_of_table(["ACGT"], tmp_path / "s.tsv")
    assert said in str(caught.value)
    assert "s.tsv" in str(caught.value)
    (tmp_path / "s.xyz").write_text("")
    with pytest.raises(UserError, match="does not tell the format"):
        scores_of_table(["ACGT"], tmp_path / "s.xyz")


def predictions(offset: float = 0.0, **of_set: tuple[float, float]) -> pd.DataFrame:
    """PREDICTIONS of one predictor without a named output: of each set mean and spread, two labels of 150 each."""
    parts = []
    for number, (name, (mean, spread)) in enumerate(of_set.items()):
        generator = np.random.default_rng(number)
        for label in ("blood", "gut"):
            score = generator.normal(mean + (label == "gut"), spread, 150) + offset
            parts.append(pd.DataFrame({"set": name, "label": label, "score": score}))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(name=[f"s{i}" for i in range(len(frame))], predictor="mpra", output="")
    return check(frame[list(PREDICTIONS)], PREDICTIONS, "predictions")


SETS = {"generated": (2.0, 0.5), "ceiling": (2.5, 0.5), "markov": (0.0, 0.3), "reference": (2.5, 0.5)}


@pytest.mark.parametrize("label", ["all", "blood", "gut"])
def test_metrics_are_those_of_scipy(label):
    said = predictions(**SETS)
    evaluation, details = evaluate_predictions(said, bootstrap=200, seed=1)
    part = said if label == "all" else said[said["label"] == label]
    scores = {name: own["score"].to_numpy() for name, own in part.groupby("set")}
    for name in ("generated", "ceiling", "markov"):
        mean = row(evaluation, "predicted_mean:mpra", name, label)
        assert mean["value"] == pytest.approx(scores[name].mean(), abs=1e-12)
        assert mean["ci_low"] < mean["value"] < mean["ci_high"]
        expected = stats.wasserstein_distance(scores[name], scores["reference"])
        assert value(evaluation, "predicted_wasserstein:mpra", name, label) == pytest.approx(expected, abs=1e-12)
    assert "reference" not in set(evaluation["set"])
    assert details["sequences"].equals(said)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says_wherever_the_scores_lie():
    widths = []
    for offset in (0.0, 1e7):
        said = predictions(offset, **SETS)
        found = row(evaluate_predictions(said, bootstrap=2000, seed=1)[0], "predicted_mean:mpra", label="blood")
        own = said[(said["set"] == "generated") & (said["label"] == "blood")]["score"]
        widths.append(found["ci_high"] - found["ci_low"])
        assert widths[-1] == pytest.approx(2 * 1.96 * own.std() / 150**0.5, rel=0.1)
        assert found["value"] == pytest.approx(own.mean(), rel=1e-15)
    assert widths[0] == pytest.approx(widths[1], rel=1e-3)


def test_a_predictor_ranks_generators_and_floors_in_the_comparison():
    frames = {
        (model, "s"): evaluate_predictions(predictions(**SETS | {"generated": own}), bootstrap=200, seed=1)[0]
        for model, own in {"good": (2.5, 0.5), "half": (1.25, 0.5), "beyond": (5.0, 0.5)}.items()
    }
    comparison, verdict = compare(frames)
    assert set(comparison["metric"]) == {"predicted_mean:mpra", "predicted_wasserstein:mpra"}
    verdict = verdict[verdict["label"] == "all"].set_index(["model", "metric"])
    assert set(verdict["separates"]) == {"yes"}
    assert set(verdict["floor_name"]) == {"markov"}
    for metric in ("predicted_mean:mpra", "predicted_wasserstein:mpra"):
        good, half, beyond = (verdict.loc[(model, metric), "position"] for model in ("good", "half", "beyond"))
        assert good > 0.9
        assert 0.35 < half < 0.65
        assert beyond < 0.1, "pleasing the predictor more than real sequences do is no success"
        assert verdict.loc[("good", metric), "rank"] == 1


def test_what_has_no_score_is_said():
    said = predictions(**SETS)
    said.loc[(said["set"] == "generated") & (said["label"] == "gut") & (said.index % 50 == 0), "score"] = None
    evaluation, _ = evaluate_predictions(said, bootstrap=100, seed=1)
    for metric in ("predicted_mean:mpra", "predicted_wasserstein:mpra"):
        assert row(evaluation, metric, label="gut")["note"] == "3 of 150 sequences have no score"
        assert row(evaluation, metric)["note"] == "3 of 300 sequences have no score"
        assert np.isfinite(value(evaluation, metric, label="blood"))
        assert np.isfinite(value(evaluation, metric, "ceiling", label="gut"))
    said.loc[said["set"] == "reference", "score"] = None
    evaluation, _ = evaluate_predictions(said, bootstrap=100, seed=1)
    assert np.isfinite(value(evaluation, "predicted_mean:mpra", label="blood"))
    note = row(evaluation, "predicted_wasserstein:mpra", label="blood")["note"]
    assert note == "of the training windows, 150 of 150 sequences have no score"
    _, verdict = compare({("a", "b"): evaluation})
    assert verdict["note"].str.startswith("not available").any()


def test_a_constant_score_is_no_crash():
    said = predictions(**SETS).assign(score=1.0)
    evaluation, _ = evaluate_predictions(said, bootstrap=100, seed=1)
    assert value(evaluation, "predicted_mean:mpra") == 1
    assert value(evaluation, "predicted_wasserstein:mpra") == 0


def test_every_output_is_a_metric_of_its_own_and_known_by_name():
    said = predictions(**SETS)
    said = pd.concat([said.assign(output=output) for output in ("K562", "Hep:G2")], ignore_index=True)
    evaluation, _ = evaluate_predictions(said, bootstrap=100, seed=1)
    names = list(dict.fromkeys(evaluation["metric"]))
    assert names[0] == "predicted_mean:mpra:K562"
    assert names[-1] == "predicted_wasserstein:mpra:Hep:G2"
    assert METRICS[names[-1]].title == "mpra, Hep:G2: distance"
    assert METRICS.among(["x", *names, "gc_mean", names[0]]) == ["gc_mean", *names]
    assert predictors.name_of(predictors.MEAN, "mpra", "Hep:G2") in METRICS
    assert not {"predicted_mean", "predicted_mean:", "mean:mpra", "gc"} & set(METRICS.among(["predicted_mean:", "gc"]))


def texts(path) -> list[str]:
    return re.findall(r">([^<>]+)</text>", path.read_text())


def test_one_output_is_drawn_by_label_and_several_by_output(tmp_path):
    said = predictions(**SETS)
    draw_predictors(said.assign(output=None), tmp_path / "one.svg")
    assert {"all labels", "blood", "gut", "score of mpra", "held-out real", "training"} <= set(
        texts(tmp_path / "one.svg")
    )
    many = pd.concat([said.assign(output=f"track {i}") for i in range(26)])
    draw_predictors(many, tmp_path / "many.svg")
    found = texts(tmp_path / "many.svg")
    assert {"mpra, track 0", "mpra, track 23", "and 2 more outputs, in the table"} <= set(found)
    assert "blood" not in found
    draw_predictors(said.assign(score=None), tmp_path / "none.svg")
    assert "No predictor has a score for any sequence." in texts(tmp_path / "none.svg")


def test_a_generator_of_the_wrong_composition_is_seen_by_a_function_of_the_users(theirs):
    """From sequences to numbers, as the workflow goes."""
    at_rich, plain = (0.35, 0.15, 0.15, 0.35), (0.25, 0.25, 0.25, 0.25)
    sets = as_sets(
        generated=one_label(random_sequences(100, 1, shares=at_rich)),
        ceiling=one_label(random_sequences(100, 2, shares=plain)),
        reference=one_label(random_sequences(100, 3, shares=plain)),
    )
    said = predict(sets, "gc", settings(entry_point=f"{theirs}:gc"))
    evaluation, _ = evaluate_predictions(said, bootstrap=100, seed=1)
    assert value(evaluation, "predicted_mean:gc") == pytest.approx(gc_of(sets["sequence"][:100]).mean())
    assert (
        row(evaluation, "predicted_wasserstein:gc")["ci_low"]
        > row(evaluation, "predicted_wasserstein:gc", "ceiling")["ci_high"]
    )


def test_the_report_shows_what_predictors_say(tmp_path):
    """Without any other question: the tables of a run, its figure, and the comparison."""
    frames = {("convnet", "ancestral"): evaluate_predictions(predictions(**SETS), bootstrap=100, seed=1)[0]}
    comparison, verdict = compare(frames)
    results = tmp_path / "results"
    place = results / "evaluation/convnet/ancestral"
    for folder in (place, results / "comparison"):
        folder.mkdir(parents=True)
    write_tsv(frames["convnet", "ancestral"], place / "predictors.tsv", EVALUATION)
    write_tsv(comparison, results / "comparison/comparison.tsv", COMPARISON)
    write_tsv(verdict, results / "comparison/verdict.tsv", VERDICT)
    draw_predictors(predictions(**SETS).head(10), place / "predictors.svg")
    paths = [path for path in results.rglob("*") if path.suffix in (".tsv", ".svg")]
    config = {"evaluation": {"predictors": {"mpra": {"scores": "a.tsv"}}}}
    build_report(results / "report/index.html", inputs=Inputs.from_paths(paths), config=config, title="x")
    page = (results / "report/index.html").read_text()
    for words in (
        "Do predictors made elsewhere say of it what they say of real sequences?",
        "mpra: mean",
        "Wasserstein-1 distance between what the predictor mpra says of the set&#39;s sequences",
        "Scores of predictors made elsewhere (mpra) were compared",
        "What predictors made elsewhere, which the settings name, say of the sequences",
    ):
        assert words in page
    write_multiqc(comparison, tmp_path / "x_mqc.tsv")
    assert "predicted_mean:mpra\tpredicted_wasserstein:mpra" in (tmp_path / "x_mqc.tsv").read_text()
    draw_comparison(verdict, tmp_path / "comparison.svg")
    assert {"mpra: mean", "mpra: distance"} <= set(texts(tmp_path / "comparison.svg"))
