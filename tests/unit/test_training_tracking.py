"""The curve in TensorBoard and W&B: every point once, whether or not the run was cut; nothing needed where none is."""

import json
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.errors import UserError
from diffusion_bert.tables import TRAINING, WINDOWS, write_parquet
from diffusion_bert.training import tracking
from diffusion_bert.training.tracking import package_of, tracked
from diffusion_bert.training.train import train

STEPS, EVERY = 30, 6
NUMBERS = [name for name in TRAINING if name != "step"]


class CutError(Exception):
    pass


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("train", 60), ("validation", 10)):
        rows = ["".join(rng.choice(list("AACGT"), 12)) for _ in range(n)]
        write_parquet(windows(rows, ["a", "b"] * (n // 2)), tmp_path / f"{name}.parquet", WINDOWS)
    return tmp_path


def run(folder, track, until=None, **changes):
    def progress(step, _):
        if step == until:
            raise CutError

    return train(
        folder / "train.parquet",
        folder / "validation.parquet",
        {**SETTINGS, "steps": STEPS, "validate_every": EVERY, "track": track, **changes},
        3,
        folder / "model",
        checkpoint_folder=folder / "state",
        tracking_folder=folder / "tracking",
        device="cpu",
        progress=progress,
    )


def cut_and_whole(folder, track, at=(9, 20)):
    for step in at:
        with pytest.raises(CutError):
            run(folder, track, until=step)
    return run(folder, track)


def use(monkeypatch, track, module):
    """Under a name of its own: other packages look for these two themselves."""
    monkeypatch.setitem(sys.modules, f"fake_{track}", module)
    monkeypatch.setitem(tracking.MODULES, track, f"fake_{track}")


class FakeRun:
    """A run of the fake W&B: what is sent to it stands in a file a process, as offline W&B's folders do."""

    def __init__(self, dir, id, **told):
        self.file = Path(dir) / f"offline-{id}.jsonl"
        self.told = told

    def log(self, row, step):
        with self.file.open("a") as handle:
            handle.write(json.dumps({"step": step, **row}) + "\n")

    def finish(self, exit_code):
        with self.file.with_suffix(".ends").open("a") as handle:
            handle.write(f"{exit_code}\n")


@pytest.fixture
def fake_wandb(monkeypatch):
    module = types.ModuleType("wandb")
    module.runs = []
    module.Settings = dict
    module.errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))
    module.init = lambda **told: module.runs.append(FakeRun(**told)) or module.runs[-1]
    use(monkeypatch, "wandb", module)
    return module


class FakeWriter:
    def __init__(self, folder):
        self.file = Path(folder) / f"events.out.tfevents.{len(FakeWriter.made)}"
        self.file.write_text("")
        FakeWriter.made.append(self)

    def add_scalar(self, key, value, step):
        with self.file.open("a") as handle:
            handle.write(json.dumps([step, key, value]) + "\n")

    def flush(self):
        pass

    def close(self):
        pass


@pytest.fixture
def fake_tensorboard(monkeypatch):
    FakeWriter.made = []
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    use(monkeypatch, "tensorboard", module)


def records(content):
    """The records of a .wandb file: LevelDB's log (blocks of 32 KiB; checksum, length, kind and part of each record)
    behind a header of 7 bytes."""
    at, parts = 7, []
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts.clear()


class TestWandb:
    def test_a_cut_run_is_one_run_with_each_point_once(self, data, fake_wandb):
        curve = cut_and_whole(data, "wandb")
        (file,) = (data / "tracking").glob("*.jsonl")
        assert [json.loads(line) for line in file.read_text().splitlines()] == curve.to_dict("records")
        assert file.with_suffix(".ends").read_text().split() == ["1", "1", "0"]
        told = [one.told for one in fake_wandb.runs]
        assert [one["name"] for one in told] == ["model"] * 3
        assert told[0]["config"]["steps"] == STEPS
        assert told[0]["project"] == "dna-diffusion-bert"
        assert told[0]["resume"] == "allow"

    def test_a_run_cut_before_its_first_checkpoint_is_begun_anew(self, data, fake_wandb):
        with pytest.raises(CutError):
            run(data, "wandb", until=2)
        run(data, "wandb")
        (file,) = (data / "tracking").glob("*.jsonl")
        assert len(file.read_text().splitlines()) == STEPS // EVERY

    def test_another_run_is_another(self, data, fake_wandb):
        run(data, "wandb")
        run(data, "wandb", learning_rate=0.02)
        assert len(list((data / "tracking").glob("*.jsonl"))) == 2

    def test_a_point_that_was_written_down_but_not_sent_is_sent(self, data, fake_wandb):
        rows = [{"step": step, **dict.fromkeys(NUMBERS, 1.0)} for step in (5, 10, 15)]
        with tracked("wandb", data / "tracking", "m", {}, [], fresh=True) as point:
            point(rows[0])
        with tracked("wandb", data / "tracking", "m", {}, rows[:2], fresh=False) as point:
            point(rows[2])
        (file,) = (data / "tracking").glob("*.jsonl")
        assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [5, 10, 15]

    def test_refused(self, data, fake_wandb):
        def refuses(**_):
            raise fake_wandb.errors.Error("no API key")

        fake_wandb.init = refuses
        with pytest.raises(
            UserError, match=r"W&B does not start: no API key\. Log in \(wandb login\), or set WANDB_MODE"
        ):
            run(data, "wandb")

    def test_offline_for_real(self, data, monkeypatch):
        pytest.importorskip("wandb")
        monkeypatch.setenv("WANDB_MODE", "offline")
        for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            monkeypatch.setenv(name, str(data / "home"))
        curve = cut_and_whole(data, "wandb", at=(9,))
        known = json.loads((data / "tracking/wandb_run.json").read_text())
        assert known["step"] == STEPS
        found = sorted((data / "tracking/wandb").glob(f"offline-run-*/run-{known['id']}.wandb"))
        assert len(found) == 2  # one a process, of one run
        from wandb.proto import wandb_internal_pb2

        steps, bits = [], []
        for content in (content for file in found for content in records(file.read_bytes())):
            record = wandb_internal_pb2.Record.FromString(content)
            if record.WhichOneof("record_type") == "history":
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                steps.append(row["_step"])
                bits.append(row["validation_bits_per_base"])
        assert steps == curve["step"].tolist()
        assert bits == pytest.approx(curve["validation_bits_per_base"].tolist())


class TestTensorboard:
    def test_a_cut_run_has_each_point_once(self, data, fake_tensorboard):
        curve = cut_and_whole(data, "tensorboard")
        (file,) = (data / "tracking").glob("events.*")
        points = [json.loads(line) for line in file.read_text().splitlines()]
        expected = [[row["step"], name, row[name]] for row in curve.to_dict("records") for name in NUMBERS]
        assert points == expected

    def test_for_real(self, data):
        pytest.importorskip("tensorboard")
        curve = cut_and_whole(data, "tensorboard", at=(9,))
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(data / "tracking"))
        events.Reload()
        assert sorted(events.Tags()["scalars"]) == sorted(NUMBERS)
        for name in NUMBERS:
            assert [point.step for point in events.Scalars(name)] == curve["step"].tolist()
            assert [point.value for point in events.Scalars(name)] == pytest.approx(curve[name].tolist(), rel=1e-6)


@pytest.mark.parametrize("track", ["tensorboard", "wandb"])
def test_a_package_that_is_missing_is_asked_for_before_anything_else(data, track, monkeypatch):
    monkeypatch.setitem(sys.modules, tracking.MODULES[track], None)
    with pytest.raises(
        UserError, match=rf"track is {track}, but .*Run: pip install {track}, or add {track} \(from conda"
    ):
        run(data, track)
    assert not (data / "tracking").exists()
    assert not (data / "state").exists()


def test_none_needs_nothing(data):
    assert package_of("none") is None
    run(data, "none")
    assert not (data / "tracking").exists()


def test_what_is_tracked_does_not_make_it_another_run(data, fake_tensorboard):
    """A run that was cut goes on with tracking switched on."""
    with pytest.raises(CutError):
        run(data, "none", until=9)
    curve = run(data, "tensorboard")
    (file,) = (data / "tracking").glob("events.*")
    steps = [json.loads(line)[0] for line in file.read_text().splitlines()]
    assert steps[:: len(NUMBERS)] == curve["step"].tolist()
