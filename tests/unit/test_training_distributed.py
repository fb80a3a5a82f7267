"""Two processes that train one model (on CPUs, by gloo): the run of one process, up to the order of sums."""

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.errors import UserError
from diffusion_bert.tables import TRAINING, WINDOWS, read_tsv, write_parquet
from diffusion_bert.training.distributed import Team, launch
from diffusion_bert.training.resume import FILE, StoppedError
from diffusion_bert.training.train import train

# What a sum in another order may change in bits a base (relative), and in weights, over some twenty small steps.
TOLERANCE, WEIGHT_TOLERANCE = 1e-4, 5e-5
# Rows that do not divide by two, in parts, and an objective of two sums.
SHORT = {
    "steps": 20,
    "validate_every": 5,
    "batch_size": 15,
    "gradient_accumulation": 2,
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "comb_factor": 2.0,
    "label_dropout": 0.5,
}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("train", 120), ("validation", 130)):  # three batches of validation for two processes
        rows = ["".join(rng.choice(list("AACGT"), 12)) for _ in range(n)]
        write_parquet(windows(rows, ["a", "b"] * (n // 2)), tmp_path / f"{name}.parquet", WINDOWS)
    return tmp_path


def job(folder, name="model", **changes):
    return {
        "train_parquet": str(folder / "train.parquet"),
        "validation_parquet": str(folder / "validation.parquet"),
        "settings": {**SETTINGS, **SHORT, **changes},
        "seed": 3,
        "folder": str(folder / name),
        "checkpoint_folder": str(folder / "state"),
    }


def close(folder, one, other):
    curves = [read_tsv(folder / name / "training.tsv", TRAINING) for name in (one, other)]
    pd.testing.assert_frame_equal(*curves, rtol=TOLERANCE)
    tensors = [load_file(folder / name / "model.safetensors") for name in (one, other)]
    for name, tensor in tensors[0].items():
        assert torch.allclose(tensor, tensors[1][name], atol=WEIGHT_TOLERANCE), name


def test_two_processes_run_as_one_does(folder):
    train(**job(folder, "one"), device="cpu")
    launch(job(folder, "two"), 2, folder / "log", device="cpu")
    close(folder, "one", "two")
    assert not (folder / "state" / FILE).exists()
    said = (folder / "log").read_text()
    assert said.count("step 20 of 20; training") == 1  # one of them speaks
    assert "120 windows" in said


def test_asked_to_stop_both_stop_at_one_step_and_one_process_goes_on_from_it(folder, caplog):
    caplog.set_level(logging.INFO)
    long = {"steps": 2000, "validate_every": 5}

    def stop():
        while "step 5 of" not in (folder / "log").read_text():  # a line that only a running training writes
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    (folder / "log").write_text("")
    handler = signal.getsignal(signal.SIGTERM)
    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(StoppedError, match=r"SIGTERM came: training stopped after step (\d+) of 2000") as error:
        launch(job(folder, **long), 2, folder / "log", device="cpu")
    stopper.join()
    assert signal.getsignal(signal.SIGTERM) is handler
    step = int(str(error.value).split("step ")[1].split(" ")[0])
    assert (folder / "state" / FILE).is_file()
    ends = []
    with pytest.raises(KeyboardInterrupt):
        train(**job(folder, **long), device="cpu", progress=lambda done, _: ends.append(done) or interrupt())
    assert ends == [step + 1]


def interrupt():
    raise KeyboardInterrupt


def test_a_mistake_of_the_user_is_one_message(folder):
    write_parquet(windows(["ACGT", "NNNN"], ["a", "b"]), folder / "train.parquet", WINDOWS)
    with pytest.raises(UserError, match=r"train\.parquet: window 2 has no known base\. Filter out"):
        launch(job(folder), 2, folder / "log", device="cpu")
    assert "PYTHONPATH" not in os.environ or "workflow" not in os.environ["PYTHONPATH"]


def test_more_processes_than_gpus(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="the rule's resource gpu is 2, but 1 GPUs answer"):
        launch(job(folder), 2, folder / "log")


def test_a_step_too_small_to_share(folder):
    with pytest.raises(
        UserError, match=r"a step has 15 windows \(batch_size\), which 8 processes cannot share out in 2"
    ):
        train(**job(folder), device="cpu", team=Team(0, 8))


def test_shares_are_the_whole():
    rows = torch.arange(15)
    shares = [Team(rank, 4).share(rows) for rank in range(4)]
    assert torch.equal(torch.cat(shares), rows)
    assert sorted(map(len, shares)) == [3, 4, 4, 4]
    assert Team().agree(3.5, True) == (3.5, True)


def test_the_job_is_json(folder):
    """What the rule hands over must survive the way to the processes."""
    assert json.loads(json.dumps(job(folder))) == job(folder)
    assert Path(job(folder)["folder"]).name == "model"
