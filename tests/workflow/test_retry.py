"""What a scheduler does at the time limit: the training job gets SIGTERM, is tried again, and goes on from there."""

import json
import random
import re
import subprocess
import sys
import time

import psutil
import pytest

SECONDS = 240
STEPS = 2000  # tiny ones: some seconds, in which the training is found on a busy machine too


@pytest.fixture
def toy(fresh):
    """A few labelled sequences and one small model, so that little runs before the training."""
    rng = random.Random(0)
    rows = [f"{'ab'[i % 2]}\t{''.join(rng.choices('ACGT', k=20))}" for i in range(80)]
    (fresh.folder / "rows.tsv").write_text("label\tsequence\n" + "\n".join(rows) + "\n")
    architecture = {"embedded": 4, "width": 8, "mixed": 8}
    fresh.config = {
        "sequences": {"files": [{"source": "rows.tsv"}]},
        "windows": {"width": None},
        "split": {"by": "fraction"},
        "models": {
            "small": {"architecture": architecture, "steps": STEPS, "batch_size": 4, "validate_every": STEPS - 10}
        },
        "samplers": {"ancestral": {"steps": 4}},
    }
    return fresh


def training(folder):
    """The process of the training script, once it trains; None before."""
    log = folder / "logs/train_model/small.log"
    if not log.is_file() or "s a step" not in log.read_text():
        return None
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if any("train_model.py" in word for word in process.info["cmdline"] or []) and process.info["cwd"] == str(
            folder
        ):
            return process
    return None


def test_sigterm_and_a_retry(toy):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "models"]
    with (toy.folder / "said").open("w") as said:
        running = subprocess.Popen(command, cwd=toy.folder, stdout=said, stderr=subprocess.STDOUT)
    end = time.monotonic() + SECONDS
    while (process := training(toy.folder)) is None and running.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert process is not None, (toy.folder / "said").read_text()
    process.terminate()
    assert running.wait(timeout=SECONDS) == 0, (toy.folder / "said").read_text()
    text = (toy.folder / "said").read_text()
    stopped = re.search(rf"SIGTERM came: training stopped after step (\d+) of {STEPS}", text)
    assert stopped is not None, text
    assert 0 < int(stopped[1]) < STEPS - 10  # before any checkpoint of its own
    assert "Trying to restart job" in text
    assert f"going on after step {stopped[1]}" in (toy.folder / "logs/train_model/small.log").read_text()
    assert json.loads((toy.folder / "results/models/small/diffusion.json").read_text())["steps"] == STEPS
    assert list((toy.folder / "results/checkpoints/small").iterdir()) == []
