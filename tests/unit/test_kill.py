"""Training that is really killed: processes that die by a signal at random moments, and while they write."""

import logging
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.errors import reported
from diffusion_bert.tables import WINDOWS, write_parquet

# One process imports torch and its kind, and each run is a fork of it: a run then costs a second and not ten.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["test_kill", "diffusion_bert.training.train", "diffusion_bert.backbones.convnet", "peft.tuners.tuners_utils"]
)
STEPS, EVERY = 60, 7
MOMENTS = ["begun", "half written", "written", "renamed", "model half in place", "model in place"]


def run(folder, name, moment=None):
    """What a process does: train, and die at a moment if one is named, at the third checkpoint or the fourth file."""
    import diffusion_bert.training.train as training
    from diffusion_bert.training import resume

    calls, save_file, replace = [], resume.save_file, Path.replace
    save_checkpoint, save_model_folder = training.save_checkpoint, training.save_model_folder

    def die_if(wanted):
        if moment == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_in_the_write(tensors, path, **more):
        calls.append(path)
        if len(calls) == 3 and moment == "begun":  # safetensors writes under a name like this first
            path.with_name(".tmpAbCdEf").write_bytes(bytes(100))
            die_if("begun")
        save_file(tensors, path, **more)
        if len(calls) == 3:
            if moment == "half written":
                os.truncate(path, Path(path).stat().st_size // 2)
            die_if("half written")
            die_if("written")

    def dying_after_the_write(*args):
        save_checkpoint(*args)
        if len(calls) == 3:
            die_if("renamed")

    def dying_between_files(path, target):
        replace(path, target)
        if Path(target).name == "model.safetensors":
            die_if("model half in place")

    def dying_with_a_model(*args):
        save_model_folder(*args)
        die_if("model in place")

    def progress(step, _):
        (folder / "step").write_text(str(step))

    resume.save_file, training.save_checkpoint = dying_in_the_write, dying_after_the_write
    Path.replace, training.save_model_folder = dying_between_files, dying_with_a_model
    settings = {**SETTINGS, "steps": STEPS, "validate_every": EVERY, "dropout": 0.1}
    with reported(folder / "log"):
        logging.getLogger().removeHandler(logging.getLogger().handlers[1])  # nothing on the terminal
        training.train(
            folder / "train.parquet",
            folder / "validation.parquet",
            settings,
            3,
            folder / name,
            checkpoint_folder=folder / "state",
            device="cpu",
            progress=progress,
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Windows and the folder ``whole`` of a run that was not killed."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, n in (("train", 200), ("validation", 40)):
        rows = ["".join(rng.choice(list("AACGT"), 12)) for _ in range(n)]
        write_parquet(windows(rows, ["a", "b"] * (n // 2)), folder / f"{name}.parquet", WINDOWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(sys.path)
        )  # what is imported before the forks is found by this alone
    process = start(folder, "whole")
    process.join()
    assert process.exitcode == 0
    return folder


@pytest.fixture
def folder(data, tmp_path):
    for part in ("train.parquet", "validation.parquet"):
        (tmp_path / part).symlink_to(data / part)
    return tmp_path


def start(folder, name="model", moment=None):
    process = FORKS.Process(target=run, args=(folder, name, moment))
    process.start()
    return process


def wait_for_a_step(process, folder):
    while process.is_alive() and not (folder / "step").exists():
        time.sleep(0.002)


def finished(folder, whole):
    """Run to the end what was killed before; it must be, byte for byte, what was never killed."""
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    same_files(folder / "model", whole)
    assert list((folder / "state").iterdir()) == []
    assert not list(folder.glob(".*"))


def same_files(folder, whole):
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in whole.iterdir())
    for file in whole.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments(data, folder, seed):
    rng = random.Random(seed)
    killed = 0
    for _ in range(25):
        (folder / "step").unlink(missing_ok=True)
        process = start(folder)
        if rng.random() < 0.8:  # else it may die before its first step
            wait_for_a_step(process, folder)
        process.join(timeout=rng.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)  # it may have come to its end
        killed += process.exitcode != 0
        if killed == 5:
            break
    assert killed == 5
    finished(folder, data / "whole")


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_it_writes(data, folder, moment):
    process = start(folder, moment=moment)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    reached = {"begun": 2, "half written": 2, "written": 2, "renamed": 3}.get(moment, STEPS // EVERY) * EVERY
    finished(folder, data / "whole")
    assert f"going on after step {reached}" in (folder / "log").read_text()


def test_asked_to_stop_it_leaves_a_checkpoint_of_that_step(data, folder):
    process = start(folder)
    wait_for_a_step(process, folder)
    process.terminate()
    process.join()
    assert process.exitcode == 1
    said = re.search(r"ERROR: SIGTERM came: training stopped after step (\d+) of 60", (folder / "log").read_text())
    assert 0 < int(said[1]) < STEPS
    finished(folder, data / "whole")
    assert f"going on after step {said[1]}" in (folder / "log").read_text()
