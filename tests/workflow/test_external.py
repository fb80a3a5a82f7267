"""The workflow as an evaluation suite: no model, the sequences of other generators."""

import random

import pandas as pd
import pytest

from diffusion_bert.tables import SEQUENCES, read_parquet

FUNCTION = "def gc(sequences):\n    return [(s.count('G') + s.count('C')) / len(s) for s in sequences]\n"


@pytest.fixture
def suite(windowed):
    """The tiny data, and two sets made elsewhere: a table with labels, a FASTA of a generator that knows none.

    What can be switched off in an evaluation is off, the motifs are JASPAR's, and there are two predictors of one's
    own: a function in the working folder, and a table that lacks some sequences.
    """
    config = windowed.config
    config["evaluation"].update(motifs={}, discovery=0, oracle=None, lstm=None)
    del config["models"], config["samplers"], config["generate"]
    draw = random.Random(1)
    made = ["".join(draw.choices("ACGT", k=config["windows"]["width"])) for _ in range(60)]
    labels = list(config["simulate"]["grammar"])
    table = pd.DataFrame({"class": [labels[i % len(labels)] for i in range(60)], "seq": made})
    table.loc[0, "seq"] = "N" + made[0][1:]
    table.to_csv(windowed.folder / "theirs.csv", index=False)
    (windowed.folder / "others.fa").write_text("".join(f">{i}\n{s.lower()}\n" for i, s in enumerate(made)))
    config["external"] = {
        "theirs": {"source": "theirs.csv", "columns": {"sequence": "seq", "label": "class"}},
        "others": {"source": "others.fa", "label": "all"},
    }
    config["evaluation"]["predictors"] = {"gc": {"entry_point": "mine:gc"}, "mpra": {"scores": "scores.tsv"}}
    (windowed.folder / "mine.py").write_text(FUNCTION)
    (windowed.folder / "scores.tsv").write_text(f"sequence\tK562\tHepG2\n{'A' * 80}\t1\t2\n")
    windowed.config = config
    return windowed


def test_sequences_made_elsewhere_are_judged_without_a_model(suite):
    suite.run()
    folder = suite.folder / "results"
    theirs = read_parquet(folder / "sequences/theirs/external/sequences.parquet", SEQUENCES)
    assert len(theirs) == 59, "the one with an N is left out"
    assert "1 of 60 sequences" in (suite.folder / "logs/read_external/theirs.log").read_text()
    verdict = pd.read_csv(folder / "comparison/verdict.tsv", sep="\t")
    assert set(verdict["model"]) == {"theirs", "others"}
    assert set(verdict.loc[verdict["model"] == "others", "label"]) == {"all"}
    rates = verdict[(verdict["metric"] == "motif_rate_pearson") & (verdict["label"] == "all")]
    assert rates["value"].notna().all()
    evaluation = pd.read_csv(folder / "evaluation/theirs/external/likelihood.tsv", sep="\t").set_index("metric")
    generated = evaluation[(evaluation["set"] == "generated") & (evaluation["label"] == "all")]
    assert abs(generated.loc["markov_bits_per_base", "value"] - 2) < 0.3, "random sequences under the chain"
    assert pd.isna(generated.loc["model_bits_per_base", "value"])
    assert set(evaluation["set"]) == {"generated", "ceiling", "dinucleotide_shuffle", "markov", "uniform"}
    assert not list(folder.rglob("discovery*")) + list(folder.rglob("function*")) + list(folder.rglob("*oracle*"))
    page = (folder / "report/index.html").read_text()
    assert "theirs" in page
    assert "no model was trained here" in page
    assert not (folder / "models").exists()
    assert suite.stale() == {}
    predictors_are_asked_about_every_set(folder / "evaluation/others/external", verdict)
    a_function_that_changes_is_asked_again(suite)


def predictors_are_asked_about_every_set(folder, verdict):
    found = pd.read_csv(folder / "predictors.tsv", sep="\t").set_index(["metric", "set", "label"])
    sets = pd.read_parquet(folder / "sets.parquet")
    for name in ("generated", "ceiling", "uniform"):
        sequences = sets.loc[sets["set"] == name, "sequence"]
        share = (sequences.str.count("G") + sequences.str.count("C")) / sequences.str.len()
        assert found.loc[("predicted_mean:gc", name, "all"), "value"] == pytest.approx(share.mean())
    note = found.loc[("predicted_mean:mpra:HepG2", "generated", "all"), "note"]
    assert note.endswith("sequences have no score")
    verdict = verdict[verdict["model"] == "others"].set_index("metric")
    assert {"predicted_wasserstein:gc", "predicted_mean:mpra:K562"} <= set(verdict.index)
    assert verdict.loc["predicted_mean:mpra:K562", "note"].startswith("not available for the generated sequences")


def a_function_that_changes_is_asked_again(suite):
    (suite.folder / "mine.py").write_text(FUNCTION.replace("'C'", "'A'"))
    assert suite.stale("evaluation") == {"apply_predictor": 2, "evaluate_predictors": 2, "compare_runs": 1}
    (suite.folder / "mine.py").write_text("def gc(sequences):\n    return None\n")
    done = suite.run("evaluation", check=False)
    assert "evaluation.predictors.gc.entry_point: mine:gc returned NoneType" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout


def test_mistakes_about_them_are_told(suite):
    for change, said in (
        ({"theirs": {"source": "gone.fa"}}, "external.theirs.source: the file gone.fa does not exist"),
        ({}, "models and external are both empty"),
        ({"theirs": {"source": "theirs.csv"}}, "Set external.theirs.columns.sequence to one of these"),
    ):
        suite.edit(external=change)
        done = suite.run("sequences", check=False)
        assert done.returncode
        assert said in " ".join(done.stdout.split()), done.stdout[-3000:]
        assert "Traceback" not in done.stdout
