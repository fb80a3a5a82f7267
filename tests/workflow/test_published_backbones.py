"""Published backbones through the whole DAG: fetched or local, trained whole or by adapters, sampled from."""

import json
import os

import pandas as pd
import pytest
from conftest import copy_of_run
from toy_backbones import published
from toy_hub import NAME, OLD, serving

# Each backbone once, each way of training once; all four pairs are trained by tests/unit/test_finetune.py.
MODELS = {"bpe": ("dnabert2", "lora"), "kmers": ("nt", "full")}

# Of the model that is fetched and adapted; the other one is embedded and probed by tests/unit/test_finetune.py.
UNDERSTANDING = "results/understanding/bpe.tsv"
TARGETS = ["sequences", UNDERSTANDING]


@pytest.fixture(scope="module")
def tuned(finished, tmp_path_factory):
    """A finished run: DNABERT-2's architecture from a stand-in for the hub, Nucleotide Transformer's from a folder."""
    workflow = copy_of_run(finished, tmp_path_factory.mktemp("tuned") / "checkout", ("windows", "splits"))
    sequences = pd.read_parquet(workflow.folder / "results/splits/train.parquet")["sequence"].tolist()
    for kind in ("dnabert2", "nt"):
        published(workflow.folder / "backbones" / kind, kind, sequences, k=3, vocabulary=40)
    remote = workflow.folder / "backbones" / "dnabert2"
    files = {file.name: file.read_bytes() for file in remote.iterdir()}
    workflow.edit(
        models={
            name: {
                "backbone": NAME if kind == "dnabert2" else f"backbones/{kind}",
                **({"revision": OLD} if kind == "dnabert2" else {}),
                "finetune": {"method": method, "rank": 2},
                "optimizer": "adamw",
                "learning_rate": 0.003,
                "steps": 12,
                "batch_size": 16,
            }
            for name, (kind, method) in MODELS.items()
        },
        samplers={"guided": {"steps": 6, "guidance": 1, "refine": {"passes": 1, "threshold": 0.2, "steps": 2}}},
        generate={"number": 12, "length": 97},
        evaluation__probe_windows=20,
    )
    with serving({OLD: files}, {"main": OLD}) as hub:
        hub.faults["model.safetensors"] = [None, "cut"]  # the redirect, then the file
        workflow.run(*TARGETS, "--quiet", "host", env={"HF_ENDPOINT": hub.url})
        assert sum("/large/" in path for path, _ in hub.asked) == 2  # once to the cut, once from there
    return workflow


def test_fetched_once_and_kept(tuned):
    folders = sorted(path.name for path in (tuned.folder / "resources/backbones").iterdir())
    assert folders == [f"owner--Model-1--{OLD}"]
    source = json.loads((tuned.folder / "resources/backbones" / folders[0] / "source.json").read_text())
    assert source["commit"] == OLD
    assert tuned.stale(*TARGETS) == {}  # and needs no network


@pytest.mark.parametrize("model", MODELS)
def test_sequences_have_their_length(tuned, model):
    table = pd.read_parquet(tuned.folder / f"results/sequences/{model}/guided/sequences.parquet")
    assert len(table) == 12
    assert (table["sequence"].str.len() == 97).all()
    assert table["sequence"].str.fullmatch("[ACGT]+").all()
    assert table["bits_per_base"].between(1, 4).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_model_folder_is_in_the_published_layout(tuned, model):
    config = json.loads((tuned.folder / f"results/models/{model}/config.json").read_text())
    assert config["model_type"] == {"dnabert2": "dnabert2", "nt": "nucleotide_transformer"}[MODELS[model][0]]
    log = (tuned.folder / f"logs/train_model/{model}.log").read_text()
    assert "nats on masked tokens before training; a uniform guess has" in log
    assert ("%)" in log.partition(" trained;")[0].rpartition("parameters")[2]) == (MODELS[model][1] == "lora")


def test_understanding_before_and_after(tuned):
    table = pd.read_csv(tuned.folder / UNDERSTANDING, sep="\t")
    assert set(table["features"]) == {"before", "after", "3-mers"}
    assert table["value"].between(0, 1).all()


def test_a_changed_local_backbone_trains_anew_only_what_starts_from_it(tuned):
    config = tuned.folder / "backbones/nt/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"note": "changed"}))
    os.utime(config)
    stale = tuned.stale("models")
    assert stale == {"train_model": 1}


def test_a_backbone_that_is_nowhere(fresh):
    fresh.edit(models={"small": {"backbone": "no/such/folder"}}, generate={"number": 4})
    done = fresh.run("--dry-run", check=False)
    assert done.returncode != 0
    assert "models.small.backbone is 'no/such/folder': neither an architecture" in done.stdout
    assert "Traceback" not in done.stdout
