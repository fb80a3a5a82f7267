import json
import logging
import re
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.backbones.load import build_model
from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.tables import TRAINING, WINDOWS, read_parquet, read_tsv, write_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training import objective
from diffusion_bert.training import train as training
from diffusion_bert.training.checkpoints import digest_of_weights, load_model_folder, save_model_folder
from diffusion_bert.training.data import RowStream
from diffusion_bert.training.device import multiplies_bfloat16
from diffusion_bert.training.optimiser import AveragedWeights, Muon, learning_rate_at, optimisers, orthogonalised
from diffusion_bert.training.resume import FILE, StoppedError, tried_once
from diffusion_bert.training.train import train

FILES = [
    "config.json",
    "diffusion.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.tsv",
]


def repeats(n, seed, length=12):
    """Windows that are easy to learn: label a is ACACAC..., label b is AGAGAG..., one base in ten at random."""
    rng = np.random.default_rng(seed)
    labels = ["a" if i % 2 else "b" for i in range(n)]
    rows = []
    for label in labels:
        letters = np.array(list(("AC" if label == "a" else "AG") * (length // 2)))
        noisy = rng.random(length) < 0.1
        letters[noisy] = rng.choice(list("ACGT"), noisy.sum())
        rows.append("".join(letters))
    return windows(rows, labels)


@pytest.fixture
def data(tmp_path):
    write_parquet(repeats(200, 0), tmp_path / "train.parquet", WINDOWS)
    write_parquet(repeats(50, 1), tmp_path / "validation.parquet", WINDOWS)
    return tmp_path / "train.parquet", tmp_path / "validation.parquet"


def run(data, folder, seed=3, checkpoint_folder=None, progress=None, **changes):
    settings = {**SETTINGS, **changes}
    return train(
        *data,
        settings,
        seed,
        folder,
        checkpoint_folder=checkpoint_folder,
        progress=progress,
        device="cpu",
    )


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


class TestTrainSaveLoad:
    def test_a_model_folder_that_learned_something(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        curve = run(data, tmp_path / "model")
        assert sorted(file.name for file in (tmp_path / "model").iterdir()) == FILES
        assert not list(tmp_path.glob(".*"))
        assert curve["step"].tolist() == [20, 40, 60]
        assert curve["epoch"].tolist() == pytest.approx([1.6, 3.2, 4.8])
        assert curve["validation_bits_per_base"].iloc[-1] < 1.6
        written = read_tsv(tmp_path / "model" / "training.tsv", TRAINING)
        assert written["validation_bits_per_base"].tolist() == pytest.approx(curve["validation_bits_per_base"].tolist())
        denoiser = load_model_folder(tmp_path / "model", device="cpu")
        assert denoiser.labels == ["a", "b"]
        assert denoiser.settings["settings"]["steps"] == 60
        assert denoiser.settings["validation_bits_per_base"] == curve["validation_bits_per_base"].min()
        sequences = ["ACACACACACAC", "AGAGAGAGAGAG"]
        value, _ = bits_per_base(denoiser, sequences * 2, ["a", "b", "b", "a"], samples=64)
        assert value[:2].sum() < value[2:].sum() - 0.1  # labels prefer their own
        assert "step 60 of 60; training" in caplog.text
        assert "bits a base" in caplog.text
        assert "ends about" in caplog.text
        assert "7,116 parameters, all trained" in caplog.text
        assert "200 windows (2,400 tokens an epoch), labels: a, b" in caplog.text
        assert "60 steps of 16 windows = 4.80 epochs" in caplog.text
        assert re.search(r"no accelerator answers: training runs on the CPU and takes about 0:0\d:\d\d", caplog.text)

    def test_the_seed_decides_every_byte(self, data, tmp_path):
        for name, seed in (("one", 3), ("two", 3), ("other", 4)):
            run(data, tmp_path / name, seed=seed, steps=6, validate_every=3)
        for file in FILES:
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
        assert weights(tmp_path / "one") != weights(tmp_path / "other")

    def test_a_model_that_is_replaced(self, data, tmp_path):
        run(data, tmp_path / "model", steps=2)
        (tmp_path / "model" / "curve.html").write_text("drawn by another step")
        before = weights(tmp_path / "model")
        run(data, tmp_path / "model", steps=4)
        assert weights(tmp_path / "model") != before
        assert (tmp_path / "model" / "curve.html").exists()
        load_model_folder(tmp_path / "model")

    def test_bert(self, data, tmp_path):
        architecture = {"width": 16, "layers": 1, "heads": 2, "expansion": 2}
        run(data, tmp_path / "model", backbone="bert", architecture=architecture, steps=3)
        denoiser = load_model_folder(tmp_path / "model")
        ids, _ = denoiser.tokenizer.frame(denoiser.tokenizer.encode(["ACGT"]), ["a"])
        assert denoiser.log_probs(ids).exp().sum(-1) == pytest.approx(np.ones((1, 7)), abs=1e-5)

    def test_windows_of_unequal_lengths(self, tmp_path):
        for name in ("train", "validation"):
            write_parquet(
                windows(["ACGTACGTAC", "ACGTN", "TTA"] * 5, ["a"] * 15), tmp_path / f"{name}.parquet", WINDOWS
            )
        data = tmp_path / "train.parquet", tmp_path / "validation.parquet"
        curve = run(data, tmp_path / "model", steps=4, batch_size=4, validate_every=None)
        assert curve["step"].tolist() == [1, 2, 3, 4]
        assert np.isfinite(curve["validation_bits_per_base"]).all()

    @pytest.mark.parametrize("schedule", ["cosine", "polynomial", "log-linear"])
    @pytest.mark.parametrize("kind", ["elbo", "unweighted"])
    def test_schedules_and_weightings(self, data, tmp_path, schedule, kind):
        weighting = {"kind": kind, "max_weight": None}
        curve = run(data, tmp_path / "model", schedule=schedule, weighting=weighting, steps=30)
        assert curve["validation_bits_per_base"].iloc[-1] < 1.95
        assert load_model_folder(tmp_path / "model").schedule.name == schedule

    def test_early_stopping_keeps_the_best(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        # Nothing can be learned at this rate but noise: validation soon stops falling.
        curve = run(
            data, tmp_path / "model", learning_rate=1.0, decay="constant", patience=2, steps=400, validate_every=2
        )
        assert len(curve) < 200
        best = curve["validation_bits_per_base"].idxmin()
        assert best == len(curve) - 3
        assert f"no better for 2 validations: training stops at step {2 * len(curve)}" in caplog.text
        settings = load_model_folder(tmp_path / "model").settings
        assert settings["best_step"] == curve["step"][best]
        assert settings["steps"] == curve["step"].iloc[-1]

    def test_between_validations_the_log_says_when_it_ends(self, data, tmp_path, caplog, monkeypatch):
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(training, "SECONDS_BETWEEN_LINES", 0.0)
        run(data, tmp_path / "model", steps=4, validate_every=4)
        lines = re.findall(r"step (\d) of 4; training [\d.]+ bits a base; ends about \d\d:\d\d:\d\d", caplog.text)
        assert lines == ["1", "2", "3"]

    def test_the_number_of_threads_is_the_configs_and_set_back(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        state = torch.get_rng_state()
        run(data, tmp_path / "model", steps=1, threads=2)
        assert "convnet on cpu in float32, 2 threads" in caplog.text
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
        assert torch.equal(torch.get_rng_state(), state)


class KilledError(Exception):
    pass


def killed_at(step):
    def progress(done, steps):
        if done == step:
            raise KilledError

    return progress


class TestResume:
    SHORT = {"steps": 30, "validate_every": 10}

    @pytest.mark.parametrize("at", [[10], [13], [29], [4, 17, 21]])
    def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(self, data, tmp_path, at):
        whole = run(data, tmp_path / "whole", **self.SHORT)
        for step in at:
            with pytest.raises(KilledError):
                run(
                    data,
                    tmp_path / "model",
                    checkpoint_folder=tmp_path / "state",
                    progress=killed_at(step),
                    **self.SHORT,
                )
        curve = run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", **self.SHORT)
        assert weights(tmp_path / "model") == weights(tmp_path / "whole")
        pd.testing.assert_frame_equal(curve, whole)
        assert (tmp_path / "model" / "diffusion.json").read_text() == (
            tmp_path / "whole" / "diffusion.json"
        ).read_text()
        assert not (tmp_path / "state" / FILE).exists()

    def test_it_does_not_start_again(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        with pytest.raises(KilledError):
            run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", progress=killed_at(25), **self.SHORT)
        steps = []
        run(
            data,
            tmp_path / "model",
            checkpoint_folder=tmp_path / "state",
            progress=lambda done, of: steps.append((done, of)),
            **self.SHORT,
        )
        assert steps == [(step, 30) for step in range(21, 31)]
        assert "going on after step 20" in caplog.text

    def test_another_run_s_state_is_not_used(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        with pytest.raises(KilledError):
            run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", progress=killed_at(25), **self.SHORT)
        run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", learning_rate=0.005, **self.SHORT)
        assert "is of another run (learning_rate), so training starts anew" in caplog.text
        run(data, tmp_path / "whole", learning_rate=0.005, **self.SHORT)
        assert weights(tmp_path / "model") == weights(tmp_path / "whole")

    def test_a_broken_checkpoint_is_refused(self, data, tmp_path):
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / FILE).write_bytes(b"not safetensors")
        with pytest.raises(UserError, match=r"checkpoint\.safetensors is not a readable checkpoint\. Remove it"):
            run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state")


class TestAttempts:
    def test_a_mistake_is_told_again_and_not_made_again(self, tmp_path):
        done = []

        def attempt(number):
            with tried_once(tmp_path, number):
                done.append(number)
                raise UserError("No.", "Do.")

        for number in (1, 2, 3):
            with pytest.raises(UserError, match=r"^No\. Do\.$"):
                attempt(number)
        assert done == [1]
        with tried_once(tmp_path, 1):  # another run of the workflow: the user may have mended it
            pass
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("error", [StoppedError("SIGTERM came.", "Again."), OSError("disk")])
    def test_a_run_that_was_stopped_goes_on(self, tmp_path, error):
        with pytest.raises(type(error)), tried_once(tmp_path, 1):
            raise error
        done = []
        with tried_once(tmp_path, 2):
            done.append(1)
        assert done


class TestMinutes:
    BUDGET = {"steps": None, "minutes": 0.02, "validate_every": None, "warmup_steps": 2}

    def test_the_time_is_used_and_no_more(self, data, tmp_path):
        at = []
        curve = run(data, tmp_path / "model", progress=lambda *step: at.append(time.monotonic()), **self.BUDGET)
        assert 1.0 < at[-1] - at[0] < 6
        assert curve["step"].iloc[-1] == len(at)
        assert 2 <= len(curve) <= 20
        rates = curve["learning_rate"][curve["step"] > self.BUDGET["warmup_steps"]].tolist()
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 0.1 * rates[0]  # cosine, by the share that is used

    def test_what_was_used_before_a_kill_counts(self, data, tmp_path):
        budget = {**self.BUDGET, "minutes": 0.05}
        first, second = [], []

        def progress(step, steps):
            first.append(step / steps)
            if first[-1] > 0.6:
                raise KilledError

        with pytest.raises(KilledError):
            run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", progress=progress, **budget)
        more = lambda step, steps: second.append(step / steps)  # noqa: E731
        run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state", progress=more, **budget)
        assert 0.4 < second[0] < 0.95
        assert second[-1] == 1


class TestHowAStepIsComputed:
    @pytest.mark.parametrize("more", [{}, {"comb_factor": 2.0, "label_dropout": 0.5}], ids=["diffusion", "joint"])
    @pytest.mark.parametrize(("parts", "shortest"), [(2, 12), (3, 12), (3, 4)], ids=["2", "3", "3-unequal"])
    def test_a_batch_in_parts_is_the_batch(self, data, tmp_path, parts, shortest, more):
        frame = read_parquet(data[0], WINDOWS)  # unequal rows are computed by length, each part cut to its longest
        ends = np.random.default_rng(2).integers(shortest, 13, len(frame))
        frame["sequence"] = [row[:end] for row, end in zip(frame["sequence"], ends, strict=True)]
        write_parquet(frame, data[0], WINDOWS)
        short = {"steps": 5, "validate_every": 5, "dropout": 0.0, "optimizer": "adamw", "learning_rate": 1e-4, **more}
        whole = run(data, tmp_path / "whole", **short)
        cut = run(data, tmp_path / "cut", gradient_accumulation=parts, **short)
        pd.testing.assert_frame_equal(cut, whole, rtol=1e-4)
        tensors = [load_file(tmp_path / name / "model.safetensors") for name in ("cut", "whole")]
        for name, tensor in tensors[0].items():
            assert torch.allclose(tensor, tensors[1][name], atol=2e-5), name

    def test_bfloat16_is_near_float32_and_another(self, data, tmp_path):
        short = {"steps": 20, "validate_every": 20}
        full = run(data, tmp_path / "full", **short)
        half = run(data, tmp_path / "half", precision="bfloat16", **short)
        assert half["train_bits_per_base"].tolist() == pytest.approx(full["train_bits_per_base"].tolist(), rel=0.02)
        assert half["train_bits_per_base"].tolist() != full["train_bits_per_base"].tolist()
        assert {x.dtype for x in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float32}

    @pytest.mark.parametrize(
        ("capabilities", "expected"),
        [
            ({"avx512_bf16": True}, "bfloat16"),
            ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
            ({"avx512_f": True, "avx512_bf16": False}, "float32"),
            ({}, "float32"),
        ],
    )
    def test_auto_is_what_a_cpu_multiplies_in(self, data, tmp_path, monkeypatch, caplog, capabilities, expected):
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        short = {"steps": 4, "validate_every": 4}
        run(data, tmp_path / "auto", precision="auto", **short)
        assert f"on cpu in {expected}, " in caplog.text
        run(data, tmp_path / "named", precision=expected, **short)
        assert weights(tmp_path / "auto") == weights(tmp_path / "named")
        assert json.loads((tmp_path / "auto/diffusion.json").read_text())["precision"] == expected

    @pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True)])
    def test_auto_on_a_gpu_goes_by_its_generation(self, monkeypatch, capability, expected):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        assert multiplies_bfloat16(torch.device("cuda")) == expected

    @pytest.mark.parametrize("precision", ["float16", "tf32"])
    def test_what_a_cpu_does_not_compute_in(self, data, tmp_path, precision):
        with pytest.raises(UserError, match=f"precision is {precision}, which needs an NVIDIA GPU"):
            run(data, tmp_path / "model", precision=precision)

    def test_activations_that_are_computed_again_change_nothing(self, data, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        architecture = {"width": 16, "layers": 2, "heads": 2, "expansion": 2}
        short = {"backbone": "bert", "architecture": architecture, "steps": 3}
        memory = []
        for again in (False, True):
            run(data, tmp_path / str(again), gradient_checkpointing=again, **short)
            memory.append(int(re.findall(r"([\d,]+) MiB", caplog.text)[-1].replace(",", "")))
        assert weights(tmp_path / "False") == weights(tmp_path / "True")
        assert memory[1] < memory[0]

    def test_a_backbone_that_keeps_its_activations(self, data, tmp_path):
        with pytest.raises(UserError, match="the backbone convnet does not support it"):
            run(data, tmp_path / "model", gradient_checkpointing=True)

    def test_compiled(self, data, tmp_path, monkeypatch):
        compiled = []
        monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
        run(data, tmp_path / "model", steps=2, compile=True)
        assert torch._inductor.config.deterministic
        assert [type(model).__name__ for model in compiled] == ["ConvnetForMaskedLM"]


class TestBadStates:
    def test_a_loss_that_is_no_number_stops_with_step_and_rows(self, data, tmp_path, monkeypatch):
        real, calls = objective.training_weight, []

        def poisoned(schedule, t, *rest):
            calls.append(1)
            return real(schedule, t, *rest) * (
                float("nan") if len(calls) == 14 else 1
            )  # the first is that which tells the cost

        monkeypatch.setattr(objective, "training_weight", poisoned)
        with pytest.raises(UserError) as error:
            run(data, tmp_path / "model", checkpoint_folder=tmp_path / "state")
        rows = RowStream(200, 16, training.derive_seed(3, "rows")).rows(13)[:8] + 1
        assert "step 14: the loss is nan" in str(error.value)  # one step after the weights became NaN
        assert ", ".join(map(str, rows.tolist())) in str(error.value)
        assert "Lower learning_rate" in str(error.value)
        assert not (tmp_path / "model").exists()
        assert not (tmp_path / "state" / FILE).exists()

    def test_no_windows(self, data, tmp_path):
        write_parquet(repeats(50, 1).head(0), data[1], WINDOWS)
        with pytest.raises(UserError, match=r"validation\.parquet: there is no window in it\. Widen the split"):
            run(data, tmp_path / "model")

    def test_a_window_without_a_base(self, data, tmp_path):
        write_parquet(windows(["ACGT", "NNNN"], ["a", "a"]), data[0], WINDOWS)
        with pytest.raises(UserError, match=r"train\.parquet: window 2 has no known base\. Filter out"):
            run(data, tmp_path / "model")

    def test_a_label_that_only_validation_has(self, data, tmp_path):
        write_parquet(windows(["ACGT"], ["c"]), data[1], WINDOWS)
        with pytest.raises(UserError, match="label c: the model was not trained on it; it knows a, b"):
            run(data, tmp_path / "model")


class TestModelFolders:
    @pytest.fixture
    def folder(self, data, tmp_path):
        run(data, tmp_path / "model", steps=1)
        return tmp_path / "model"

    def test_weights_that_are_not_those_saved_are_refused(self, folder):
        tensors = load_file(folder / "model.safetensors")
        tensors["head.bias"][0] += 1
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=r"the weights are not those that were saved \(digests differ\)\. Copy"):
            load_model_folder(folder)

    def test_an_incomplete_folder_is_refused(self, folder, tmp_path):
        (folder / "diffusion.json").unlink()
        with pytest.raises(UserError, match=r"diffusion\.json is missing, so the folder is not complete"):
            load_model_folder(folder)
        with pytest.raises(UserError, match="there is no such model folder"):
            load_model_folder(tmp_path / "elsewhere")

    def test_a_description_that_is_none(self, folder):
        (folder / "diffusion.json").write_text("{}")
        with pytest.raises(UserError, match=r"diffusion\.json does not describe a diffusion model"):
            load_model_folder(folder)

    def test_a_tokenizer_of_another_model_is_refused(self, folder):
        BaseTokenizer(["a", "b", "c"]).save(folder)
        with pytest.raises(UserError, match="the model has 12 tokens, its tokenizer 13"):
            load_model_folder(folder)

    def test_a_failed_write_leaves_the_old_model(self, folder, monkeypatch):
        denoiser = load_model_folder(folder)
        digest = digest_of_weights(denoiser.model)

        def fails(*_, **__):
            raise OSError("disk full")

        monkeypatch.setattr(BaseTokenizer, "save", fails)
        with pytest.raises(OSError, match="disk full"):
            save_model_folder(folder, denoiser.model, denoiser.tokenizer, denoiser.settings)
        assert digest_of_weights(load_model_folder(folder).model) == digest
        assert sorted(file.name for file in folder.parent.glob(".*")) == []

    def test_everything_is_as_readable_as_the_rest(self, folder):
        assert {oct(file.stat().st_mode) for file in folder.iterdir()} == {oct((folder / "config.json").stat().st_mode)}

    def test_no_pickle(self, folder):
        json.loads((folder / "diffusion.json").read_text())
        assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors", ".tsv"}

    def test_a_batch_of_one_is_a_batch_of_many(self, folder):
        denoiser = load_model_folder(folder)
        ids, attention = denoiser.tokenizer.frame(denoiser.tokenizer.encode(["ACGTACGT", "TTGA"]), ["a", None])
        ids[:, 3] = denoiser.tokenizer.mask_id
        together = denoiser.log_probs(ids, attention)
        assert together.shape == (2, 11, 12)
        bases = denoiser.tokenizer.base_ids
        one_by_one = denoiser.log_probs(ids, batch_size=1)
        assert one_by_one[..., bases].numpy() == pytest.approx(together[..., bases].numpy(), abs=1e-5)
        assert torch.isneginf(together[..., ~denoiser.tokenizer.is_base]).all()
        assert together.exp().sum(-1).numpy() == pytest.approx(np.ones((2, 11)), abs=1e-5)


class TestOptimiser:
    def test_learning_rates(self):
        def rates(decay):
            return [learning_rate_at(step, 10, 1.0, 4, decay) for step in range(10)]

        assert rates("constant") == [0.25, 0.5, 0.75, 1.0] + [1.0] * 6
        assert rates("linear")[4:] == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
        assert rates("cosine")[4:] == pytest.approx([0.5 + 0.5 * np.cos(np.pi * i / 6) for i in range(6)])
        with pytest.raises(ValueError, match="decay must be"):
            learning_rate_at(5, 10, 1.0, 4, "exponential")

    def test_who_moves_which_weight(self):
        settings = {**SETTINGS, "architecture": {**SETTINGS["architecture"], "width": 8}}
        model = build_model(settings, BaseTokenizer(["a"]), 12)
        inner = {f"blocks.{i}.{name}.weight" for i in (0, 1, 2) for name in ("mixer.out", "ffn_in", "ffn_out")}
        inner |= {"stem.weight", "blocks.2.mixer.query_key_value.weight"}
        names = {id(p): name for name, p in model.named_parameters()}
        muon, adamw = optimisers(model, "muon", 0.1, 0.5)
        assert isinstance(muon, Muon)
        assert {names[id(p)] for p in muon.param_groups[0]["params"]} == inner
        assert muon.param_groups[0]["weight_decay"] == 0.5
        assert [len(group["params"]) for group in adamw.param_groups[:2]] == [0, 0]
        assert {names[id(p)] for p in adamw.param_groups[2]["params"]} == set(names.values()) - inner
        assert adamw.param_groups[2]["weight_decay"] == 0.0
        (alone,) = optimisers(model, "adamw", 0.1, 0.5)
        assert {names[id(p)] for p in alone.param_groups[0]["params"]} == inner
        assert [group["weight_decay"] for group in alone.param_groups] == [0.5, 1.5, 0.0]
        with pytest.raises(ValueError, match="optimiser must be adamw or muon"):
            optimisers(model, "sgd", 0.1, 0.5)

    @pytest.mark.parametrize("shape", [(6, 20), (20, 6), (7, 7)])
    def test_orthogonalised(self, shape):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        out = orthogonalised(matrix)
        assert out.shape == shape
        values = torch.linalg.svdvals(out)
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        assert float((out * (u @ v)).sum() / out.norm() / (u @ v).norm()) > 0.97

    def test_orthogonalised_in_the_precision_of_the_pass(self):
        matrix = torch.randn(24, 60, generator=torch.Generator().manual_seed(0))
        exact = orthogonalised(matrix)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = orthogonalised(matrix)
        assert coarse.dtype == torch.float32
        assert not torch.equal(coarse, exact)
        assert float((coarse - exact).norm() / exact.norm()) < 0.05

    def test_a_step_of_muon_has_the_size_of_one_of_adamw(self):
        torch.manual_seed(0)
        conv = torch.nn.Conv1d(16, 16, 5)
        before = conv.weight.detach().clone()
        conv.weight.grad = torch.randn_like(conv.weight)
        Muon([conv.weight], lr=0.01).step()
        moved = (conv.weight.detach() - before).square().mean().sqrt()
        assert float(moved) == pytest.approx(0.2 * 0.01, rel=0.25)  # AdamW's updates have about 0.2 of their bound

    @pytest.mark.parametrize("name", ["muon", "adamw"])
    def test_both_learn(self, data, tmp_path, name):
        curve = run(data, tmp_path / "model", optimizer=name, steps=60, validate_every=60)
        assert curve["validation_bits_per_base"].iloc[-1] < 1.6

    def test_the_average(self):
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(model.weight, 10.0)
        average = AveragedWeights(model, decay=0.5)
        torch.nn.init.constant_(model.weight, 20.0)
        average.update(step=0)
        assert float(average.weights["weight"]) == pytest.approx(19.0)  # 0.1 of the old at first
        average.update(step=1000)
        assert float(average.weights["weight"]) == pytest.approx(19.5)
        with average.in_use():
            assert float(model.weight.detach()) == pytest.approx(19.5)
        assert float(model.weight.detach()) == 20.0

    def test_what_is_frozen_is_neither_moved_nor_averaged(self):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        model[0].requires_grad_(False)
        assert set(AveragedWeights(model, 0.9).weights) == {"1.weight", "1.bias"}
