"""Published backbones made generators: whole, in part, or by adapters; with labels, and with a classifier."""

import json
import logging
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sampling_cases import settings as sampler
from toy_backbones import SIZES, published
from toy_settings import SETTINGS
from toy_windows import windows
from transformers import EsmConfig, EsmForMaskedLM

from diffusion_bert.backbones.load import build_model
from diffusion_bert.embeddings import embed, embed_windows, start_of, trained
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.probe import frequencies, probe_labels, probe_understanding
from diffusion_bert.sampling.generate import generate
from diffusion_bert.tables import EMBEDDINGS, TILES, UNDERSTANDING, WINDOWS, read_parquet, read_tsv, write_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.adapt import adapt, without_adapters
from diffusion_bert.training.checkpoints import load_model_folder
from diffusion_bert.training.resume import FILE
from diffusion_bert.training.start import starting_model
from diffusion_bert.training.train import train

FULL, LORA = SETTINGS["finetune"], {**SETTINGS["finetune"], "method": "lora"}
SAMPLER = sampler(steps=6, guidance=0.5, refine={"passes": 1, "threshold": 0.2, "steps": 3})
each_backbone = pytest.mark.parametrize("kind", ["dnabert2", "nt"])
each_method = pytest.mark.parametrize("finetune", [FULL, LORA], ids=["full", "lora"])


def motifs(n, seed):
    """Label a holds GATTACA, label b CCGTTAGG, amid random bases; 30 bp."""
    rng = np.random.default_rng(seed)
    labels = ["a" if i % 2 else "b" for i in range(n)]
    rows = []
    for label in labels:
        core = "GATTACA" if label == "a" else "CCGTTAGG"
        before = int(rng.integers(0, 30 - len(core) + 1))
        letters = "".join(rng.choice(list("ACGT"), 30, p=[0.4, 0.1, 0.1, 0.4]))
        rows.append(letters[:before] + core + letters[before + len(core) :])
    return windows(rows, labels, strands="+")


@pytest.fixture
def data(tmp_path):
    write_parquet(motifs(120, 0), tmp_path / "train.parquet", WINDOWS)
    write_parquet(motifs(40, 1), tmp_path / "validation.parquet", WINDOWS)
    return tmp_path


@pytest.fixture
def backbone(data, kind):
    published(data / "published", kind, motifs(120, 0)["sequence"].tolist())
    return data / "published"


def run(data, backbone, name="model", **changes):
    settings = {**SETTINGS, "architecture": {}, "backbone": str(backbone), "steps": 30, "validate_every": 15}
    settings |= {"optimizer": "adamw", "learning_rate": 0.003} | changes
    curve = train(
        data / "train.parquet",
        data / "validation.parquet",
        settings,
        3,
        data / name,
        backbone=backbone,
        checkpoint_folder=data / "state",
    )
    return load_model_folder(data / name, "cpu"), curve


def weights(folder):
    return load_file(folder / "model.safetensors")


@each_backbone
@each_method
def test_tuned_saved_opened_and_sampled_from(data, backbone, kind, finetune):
    denoiser, curve = run(data, backbone, finetune=finetune)
    assert curve["validation_bits_per_base"].max() < 1.95  # it begins by what frequencies tell, 1.85
    old, new = weights(backbone), weights(data / "model")
    grown = {key for key in old if old[key].shape != new[key].shape}
    assert set(new) == set(old)  # the published keys, adapters worked in
    assert all(len(new[key]) == len(old[key]) + 3 for key in grown)  # no label, a, b
    assert grown == {key for key in old if len(old[key]) == len(denoiser.tokenizer.tokens) - 3}
    moved = {key for key in old if not torch.equal(new[key][: len(old[key])], old[key])}
    if finetune["method"] == "full":
        assert len(moved) > len(old) - 3
    else:  # every linear layer; neither norms, nor biases, nor the rows of the published tokens
        assert moved == {k for k in old if old[k].ndim == 2 and k not in grown and "token_type" not in k}
    assert denoiser.labels == ["a", "b"]
    made = generate(denoiser, labels=["a", "b", None], lengths=[6, 11, 30], sampler=SAMPLER, seed=1)
    assert [len(s) for s in made["sequence"]] == [6, 11, 30]


def others(name, folder, sequences):
    """Models that are neither of the two: ESM with 3-mers, a convnet with labels of its own."""
    torch.manual_seed(0)
    folder.mkdir()
    if name == "esm":
        published(folder, "nt", sequences)
        sizes = {"vocab_size": len((folder / "vocab.txt").read_text().split()), "pad_token_id": 1, "mask_token_id": 2}
        sizes |= {"max_position_embeddings": 64, "position_embedding_type": "rotary"}
        EsmForMaskedLM(EsmConfig(**sizes, **SIZES)).save_pretrained(folder)
        return
    tokenizer = BaseTokenizer(["c"])
    tokenizer.save(folder)
    build_model(SETTINGS, tokenizer, 30).save_pretrained(folder)


@pytest.mark.parametrize("name", ["esm", "convnet"])
def test_any_other_backbone_takes_labels(data, name):
    sequences = motifs(120, 0)["sequence"].tolist()
    others(name, data / "other", sequences)
    denoiser, _ = run(data, data / "other", reinit=True)
    assert denoiser.labels == {"esm": ["a", "b"], "convnet": ["c", "a", "b"]}[name]
    made = generate(denoiser, labels=["a", "b"], lengths=[11, 30], sampler=SAMPLER, seed=1)
    assert [len(s) for s in made["sequence"]] == [11, 30]


@pytest.mark.parametrize("architecture", ["convnet", "recurrent", "bert"])
def test_a_model_that_starts_from_another(data, architecture):
    sizes = {
        "bert": {"width": 16, "layers": 1, "heads": 2, "expansion": 2},
        "recurrent": {"embedded": 8, "kmer": 3, "width": 12, "layers": 1, "mixed": 16, "expansion": 2},
    }
    settings = {**SETTINGS, "backbone": architecture, "comb_factor": 1.0, "steps": 60, "validate_every": 60}
    settings |= {"architecture": sizes.get(architecture, SETTINGS["architecture"])}
    first = train(data / "train.parquet", data / "validation.parquet", settings, 3, data / "first")
    more = motifs(120, 3)
    more["label"] = ["c" if label == "a" else "b" for label in more["label"]]
    for name, frame in (("train", more), ("validation", more.head(40))):
        write_parquet(frame, data / f"{name}.parquet", WINDOWS)
    denoiser, curve = run(data, data / "first", steps=2, validate_every=1, learning_rate=1e-5)
    assert denoiser.labels == ["a", "b", "c"]
    assert not hasattr(denoiser.model, "classifier")
    assert curve["validation_bits_per_base"].iloc[0] < 1.95
    assert abs(curve["validation_bits_per_base"].iloc[0] - first["validation_bits_per_base"].iloc[-1]) < 0.1
    old, new = weights(data / "first"), weights(data / "model")
    assert set(old) - set(new) == {"classifier.weight", "classifier.bias"}
    for name, tensor in new.items():  # what was there is where it was
        assert torch.allclose(tensor[: len(old[name])], old[name], atol=1e-3), name


@pytest.mark.parametrize("tokenizer", [None, {"kind": "bpe", "vocabulary_size": 30}], ids=["convnet", "bpe"])
def test_pretrained_on_tiles_that_have_no_label(data, tokenizer, caplog):
    caplog.set_level(logging.INFO)
    backbone = "convnet" if tokenizer is None else "bert"
    settings = {**SETTINGS, "data": "tiles", "backbone": backbone, "tokenizer": tokenizer, "label_dropout": 0.0}
    if backbone == "bert":
        settings["architecture"] = {"width": 16, "layers": 1, "heads": 2, "expansion": 2}
    for part, seed in (("train", 0), ("validation", 1)):
        table = motifs(120, seed)[["sequence"]].assign(chrom="chr1", start=range(120), end=range(30, 150))
        write_parquet(table[list(TILES)], data / f"{part}_tiles.parquet", TILES)
    train(
        data / "train_tiles.parquet",
        data / "validation_tiles.parquet",
        {**settings, "steps": 120, "validate_every": 40},
        3,
        data / "first",
    )
    first = load_model_folder(data / "first")
    assert first.labels == []
    assert "120 tiles" in caplog.text
    assert "labels: none" in caplog.text
    with pytest.raises(UserError, match="the model was not trained on it; it knows no label"):
        first.tokenizer.label_tokens(["a"])
    second, _ = run(data, data / "first", name="second", start_from="first", steps=1, learning_rate=1e-9)
    assert second.labels == ["a", "b"]
    # What is learned goes on where tiles ended: the rows of labels alone are new.
    before, after = weights(data / "first"), weights(data / "second")
    for name, tensor in before.items():
        assert torch.allclose(tensor, after[name][: len(tensor)], atol=1e-6), name


@each_backbone
def test_first_layers_frozen(data, backbone, kind):
    run(data, backbone, finetune={**FULL, "frozen_layers": 1})
    old, new = weights(backbone), weights(data / "model")
    moved = {key for key in old if not torch.equal(new[key][: len(old[key])], old[key])}
    assert not any(".layer.0." in key for key in moved)
    assert sum(".layer.1." in key for key in moved) > 5
    assert not any("word_embeddings" in key for key in moved)


@pytest.mark.parametrize("kind", ["nt"])
def test_more_layers_frozen_than_there_are(data, backbone, kind):
    for method in (FULL, LORA):
        with pytest.raises(UserError, match=r"frozen_layers is 3, but the backbone has 2 layers\. Freeze at most 2"):
            run(data, backbone, finetune={**method, "frozen_layers": 3})


@each_backbone
@each_method
def test_a_cut_run_ends_as_a_whole_one(data, backbone, kind, finetune):
    class Killed(BaseException):
        pass

    def kill(step, _):
        if step == 20:
            raise Killed

    settings = {**SETTINGS, "architecture": {}, "backbone": str(backbone), "steps": 30, "validate_every": 15}
    settings |= {"optimizer": "adamw", "finetune": finetune}
    arguments = (data / "train.parquet", data / "validation.parquet", settings, 3)
    more = {"backbone": backbone}
    with pytest.raises(Killed):
        train(*arguments, data / "cut", checkpoint_folder=data / "state", progress=kill, **more)
    assert (data / "state" / FILE).is_file()
    train(*arguments, data / "cut", checkpoint_folder=data / "state", **more)
    train(*arguments, data / "whole", **more)
    cut, whole = weights(data / "cut"), weights(data / "whole")
    assert all(torch.equal(cut[key], whole[key]) for key in whole)


@each_backbone
def test_weights_that_know_nothing_are_refused(data, kind):
    published(data / "published", kind, motifs(120, 0)["sequence"].tolist(), knows=False)
    with pytest.raises(UserError, match=r"no better than a uniform guess .* set reinit: true"):
        run(data, data / "published")
    denoiser, _ = run(data, data / "published", reinit=True)
    assert denoiser.labels == ["a", "b"]


@pytest.mark.parametrize("kind", ["nt"])
def test_reinit_keeps_the_architecture_alone(data, backbone, kind):
    settings = {"reinit": True, "trust_remote_code": False}
    tokenizer = load_model_folder(data / "model", "cpu").tokenizer if (data / "model").exists() else None
    tokenizer = tokenizer or run(data, backbone)[0].tokenizer
    first, second, other = (starting_model(settings, backbone, tokenizer, 10, seed) for seed in (1, 1, 2))
    key = "esm.encoder.layer.0.output.dense.weight"
    assert first.config.hidden_size == 16
    assert torch.equal(first.state_dict()[key], second.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], weights(backbone)[key])


@pytest.mark.parametrize("kind", ["nt"])
def test_the_cost_is_said_before_it_is_paid(data, backbone, kind, caplog):
    caplog.set_level(logging.INFO)
    run(data, backbone, finetune=LORA)
    said = caplog.text
    assert "trained; " in said
    assert said.index("MiB of memory") < said.index("step 15 of 30")
    model = load_model_folder(data / "model", "cpu").model
    assert f"{sum(p.numel() for p in model.parameters()):,}" not in said  # adapters are on top


@pytest.mark.parametrize("kind", ["nt"])
def test_adapters_leave_as_they_came(backbone, kind):
    tokenizer_size = len(weights(backbone)["lm_head.bias"])
    from diffusion_bert.backbones.load import open_model

    model = open_model(backbone)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    adapt(model, LORA, tokenizer_size)
    assert any("lora_A" in name for name, _ in model.named_parameters())
    without_adapters(model)  # B starts at zero: the product is nothing yet
    assert {k: v.tolist() for k, v in model.state_dict().items()} == {k: v.tolist() for k, v in before.items()}


class TestClassifier:
    @pytest.mark.parametrize("kind", ["nt"])
    def test_the_joint_objective_learns_both(self, data, backbone, kind, caplog):
        caplog.set_level(logging.INFO)
        denoiser, curve = run(
            data, backbone, comb_factor=1.0, label_dropout=0.5, steps=300, validate_every=300, learning_rate=0.003
        )
        assert curve["validation_bits_per_base"].iloc[-1] < 1.9
        assert denoiser.model.config.classes == 2
        said = re.search(r"the classifier names the label of ([\d.]+) % of the validation windows", caplog.text)
        assert float(said[1]) > 65  # with half of the bases masked
        assert denoiser.model.classifier.weight.shape == (2, 16)
        test = motifs(60, 2)
        ids, attention = denoiser.tokenizer.frame(denoiser.tokenizer.encode(test["sequence"].tolist()), [None] * 60)
        with torch.no_grad():
            out = denoiser.model(torch.from_numpy(ids), torch.from_numpy(attention), output_hidden_states=True)
            found = denoiser.model.classifier(out.hidden_states[-1][:, 0]).argmax(-1)
        assert (np.array(["a", "b"])[found.numpy()] == test["label"].to_numpy()).mean() > 0.75

    def test_without_it_there_is_no_head(self, data):
        folder = data / "model"
        settings = {**SETTINGS, "steps": 5, "validate_every": 5}
        train(data / "train.parquet", data / "validation.parquet", settings, 3, folder)
        assert "classes" not in json.loads((folder / "config.json").read_text())
        assert not any("classifier" in key for key in weights(folder))


class TestUnderstanding:
    @pytest.mark.parametrize("kind", ["dnabert2"])
    def test_an_embedding_is_the_mean_over_the_bases(self, data, backbone, kind):
        denoiser, _ = run(data, backbone)
        sequences = ["ACGTACGTTTGA", "ACGTN", "GATTACAGATTACAGATTACA"]
        got = embed(denoiser.model, denoiser.tokenizer, sequences, batch_size=2)
        for row, sequence in zip(got, sequences, strict=True):
            ids, attention = denoiser.tokenizer.frame(denoiser.tokenizer.encode([sequence]), [None])
            with torch.no_grad():
                states = denoiser.model(
                    torch.from_numpy(ids), torch.from_numpy(attention), output_hidden_states=True
                ).hidden_states[-1][0]
            real = [i for i, token in enumerate(ids[0]) if denoiser.tokenizer.is_base[token]]
            np.testing.assert_allclose(row, states[real].mean(0).numpy(), atol=1e-5)

    @pytest.mark.parametrize("kind", ["nt"])
    def test_before_and_after_training(self, data, backbone, kind):
        run(data, backbone)
        settings = {**SETTINGS, "architecture": {}, "backbone": str(backbone)}
        loads = {"before": start_of(settings, str(backbone), 3), "after": trained(data / "model")}
        for name, load in loads.items():
            embed_windows(
                data / "train.parquet",
                data / "validation.parquet",
                load,
                most=30,
                seed=1,
                destination=data / f"{name}.parquet",
            )
        before, after = (read_parquet(data / f"{name}.parquet", EMBEDDINGS) for name in loads)
        assert before[["split", "row", "label"]].equals(after[["split", "row", "label"]])
        assert before["split"].value_counts().to_dict() == {"train": 30, "test": 30}
        assert not np.allclose(np.stack(before["embedding"]), np.stack(after["embedding"]))
        probe_understanding(
            {name: data / f"{name}.parquet" for name in loads},
            data / "train.parquet",
            data / "validation.parquet",
            bootstrap=20,
            seed=1,
            destination=data / "understanding.tsv",
        )
        table = read_tsv(data / "understanding.tsv", UNDERSTANDING)
        assert table["features"].tolist() == ["before", "before", "after", "after", "3-mers", "3-mers"]
        assert (table["n"] == 30).all()
        assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).all()

    def test_a_probe_knows_what_there_is_to_know(self):
        rng = np.random.default_rng(0)
        labels = np.array(["a", "b", "c"] * 60)
        shift = 2.0 * (labels == "a")[:, None] * [1, 0] + 2.0 * (labels == "b")[:, None] * [0, 1]
        good, noise = rng.normal(size=(180, 2)) + shift, rng.normal(size=(180, 2))
        features = {"good": (good[:90], good[90:]), "noise": (noise[:90], noise[90:])}
        table = probe_labels(features, labels[:90], labels[90:], bootstrap=200, seed=1).set_index(
            ["features", "metric"]
        )
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score

        plain = LogisticRegression().fit(good[:90], labels[:90]).predict_proba(good[90:])
        expected = roc_auc_score(labels[90:], plain, multi_class="ovr", average="macro")
        assert table.loc[("good", "auroc"), "value"] == pytest.approx(expected, abs=0.01)
        assert table.loc[("good", "accuracy"), "ci_low"] > 0.5
        assert table.loc[("noise", "auroc"), "ci_low"] < 0.5 < table.loc[("noise", "auroc"), "ci_high"] + 0.1

    def test_one_label_cannot_be_probed(self):
        table = probe_labels(
            {"x": (np.zeros((4, 1)), np.zeros((2, 1)))}, np.array(["a"] * 4), np.array(["a"] * 2), bootstrap=5, seed=1
        )
        assert table["value"].isna().all()
        assert table["note"].str.contains("two labels").all()

    def test_frequencies_of_both_strands(self):
        from Bio.Seq import Seq

        row = frequencies(["ACGTTGN"])[0]
        counted = {}
        for strand in ("ACGTTG", str(Seq("ACGTTG").reverse_complement())):
            for i in range(4):
                counted[strand[i : i + 3]] = counted.get(strand[i : i + 3], 0) + 1
        names = ["".join(p) for p in __import__("itertools").product("ACGT", repeat=3)]
        assert {n: v for n, v in zip(names, row.tolist(), strict=True) if v} == pytest.approx(
            {n: c / 8 for n, c in counted.items()}
        )
