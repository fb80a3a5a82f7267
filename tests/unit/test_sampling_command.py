"""python -m diffusion_bert.sampling: a model folder is all that it needs, and it makes what the workflow would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_settings import SETTINGS

from diffusion_bert.backbones.load import build_model
from diffusion_bert.errors import UserError
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling import filters, settings
from diffusion_bert.sampling import jobs as module
from diffusion_bert.sampling.__main__ import labels_of, main, with_settings
from diffusion_bert.sampling.jobs import generate_run
from diffusion_bert.sampling.request import Request
from diffusion_bert.tables import SEQUENCES, read_fasta, read_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.checkpoints import save_model_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Two threads wait for each other, far longer than they work on models of this size, where others use the cores."""
    monkeypatch.setattr(module, "reproducible", lambda: reproducible(1))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "model"
    torch.manual_seed(1)
    tokenizer = BaseTokenizer(["a", "b"])
    save_model_folder(folder, build_model(SETTINGS, tokenizer, 60), tokenizer, {"schedule": {"name": "linear"}})
    return folder


def test_it_makes_what_the_library_makes(model, tmp_path):
    options = ["--length", "20", "--number", "9", "--seed", "4", "--likelihood-samples", "2", "--max-homopolymer", "3"]
    settings_of = ["--set", "steps=5", "order=entropy", "refine.passes=1", "refine.fraction=0.2"]
    assert main([str(model), str(tmp_path / "out/x"), *options, *settings_of]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.fasta", "x.filters.tsv", "x.parquet"]
    request = Request(
        model=model,
        train=None,
        test=None,
        guide=None,
        sampler={
            **settings.DEFAULTS,
            "steps": 5,
            "order": "entropy",
            "refine": {"passes": 1, "threshold": None, "fraction": 0.2, "steps": 8},
            "template": None,
        },
        number=9,
        labels=None,
        length=20,
        filters={**filters.DEFAULTS, "max_homopolymer": 3},
        likelihood_samples=2,
        seed=4,
    )
    generate_run(
        request,
        fasta=tmp_path / "y.fasta",
        table=tmp_path / "y.parquet",
        filtered=tmp_path / "y.filters.tsv",
        collapsed=None,
        name="command",
    )
    for suffix in ("fasta", "parquet", "filters.tsv"):
        assert (tmp_path / f"out/x.{suffix}").read_bytes() == (tmp_path / f"y.{suffix}").read_bytes()
    made = read_parquet(tmp_path / "y.parquet", SEQUENCES)
    assert made["label"].value_counts().to_dict() == {"a": 5, "b": 4}


def test_as_a_command_of_its_own(model, tmp_path):
    (tmp_path / "t.fa").write_text(">t\nNNNNTTGACANNNN\n")
    command = [sys.executable, "-m", "diffusion_bert.sampling", str(model), str(tmp_path / "x")]
    options = ["--labels", "b=2", "=1", "--template", str(tmp_path / "t.fa"), "--set", "steps=3", "--keep-draws"]
    env = {"PYTHONPATH": str(ROOT / "workflow"), "OMP_WAIT_POLICY": "passive", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = read_fasta(tmp_path / "x.fasta")
    assert made["name"].tolist() == ["b_000000", "b_000001", "seq_000000"]
    assert (made["sequence"].str[4:10] == "TTGACA").all()
    assert (tmp_path / "x.draws/all.jsonl").is_file()


def test_a_mistake_is_one_line(model, tmp_path, capsys):
    assert main([str(model), str(tmp_path / "x"), "--length", "0"]) == 1
    assert "ERROR: A sequence of 0 bp was asked for." in capsys.readouterr().err


def test_the_defaults_are_those_of_the_config():
    schema = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())["properties"]

    def defaults(rule):
        return {key: defaults(of) if "properties" in of else of["default"] for key, of in rule["properties"].items()}

    sampler = defaults(schema["samplers"]["additionalProperties"])
    assert sampler == {**settings.DEFAULTS, "template": None}
    assert defaults(schema["generate"]["properties"]["filters"]) == filters.DEFAULTS


def test_a_guide(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "command_score.py").write_text(
        "def f(sequences, labels):\n    return [s.count('C') for s in sequences]\n"
    )
    options = [str(model), str(tmp_path / "x"), "--length", "12", "--number", "4", "--likelihood-samples", "2"]
    assert main([*options, "--set", "guide.method=smc", "--guide", str(tmp_path)]) == 1
    assert "there is no such file" in capsys.readouterr().err
    scored = ["--set", "guide.method=best_of", "guide.scorer=command_score:f", "guide.candidates=3", "--name", "ours"]
    assert main([*options, *scored]) == 0
    assert read_fasta(tmp_path / "x.fasta")["description"].str.contains(" sampler=ours ").all()


def test_settings_are_put_in_where_they_belong():
    given = {"order": "random", "steps": 3, "refine": {"passes": 0, "threshold": None}}
    made = with_settings(given, ["order=entropy", "steps=8", "refine.threshold=0.5"])
    assert made == {"order": "entropy", "steps": 8, "refine": {"passes": 0, "threshold": 0.5}}
    assert given["steps"] == 3


@pytest.mark.parametrize("text", ["beam=3", "steps", "refine=1", "refine.rounds=1", "steps.passes=1"])
def test_a_setting_that_is_none_is_refused(text):
    with pytest.raises(UserError, match=rf"--set {text} will not do. Write KEY=VALUE with one of .*refine.passes"):
        with_settings(settings.DEFAULTS, [text])


def test_labels():
    assert labels_of(["a=3", "b=c=2", "=4"]) == {"a": 3, "b=c": 2, None: 4}
    assert labels_of([]) is None
    for text in ("a", "a=", "a=-1", "a=0", "a=x"):
        with pytest.raises(UserError, match=f"--labels {text} will not do"):
            labels_of([text])
