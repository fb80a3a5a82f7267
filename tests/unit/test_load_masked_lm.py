"""What opening a model must never let pass: a weight out of place, a file out of order, code that nobody asked for."""

import json
import os
import shutil

import pytest
import safetensors.torch
import torch
import transformers
from safetensors.torch import load_file, save_file

from diffusion_bert.backbones import load, load_masked_lm, published
from diffusion_bert.backbones.classifier import add_classifier
from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM
from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)
from diffusion_bert.errors import UserError

COPY, KEPT = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
SIZES = {
    "vocab_size": 12,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 6,
    "pad_token_id": 0,
}
MODELS = {
    "dnabert2": lambda: DnaBert2ForMaskedLM(DnaBert2Config(**SIZES)),
    "nucleotide_transformer": lambda: NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**SIZES)),
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)),
}


def save(name, folder):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for parameter in model.parameters():  # so that nothing hides behind a zero or a one
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return model


@pytest.fixture
def dnabert2(tmp_path):
    return save("dnabert2", tmp_path), tmp_path


@pytest.fixture
def pickled(dnabert2):
    model, folder = dnabert2
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model, folder


def logits(model):
    ids = torch.tensor([[1, 5, 6, 7, 2, 0], [1, 8, 9, 10, 11, 2]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=(ids != 0).long()).logits[:, :5]


def write(folder, weights):
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def edit_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal(folder, **options):
    with pytest.raises(UserError) as caught:
        load_masked_lm(folder, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_no_weight_can_be_elsewhere_or_of_another_shape(name, tmp_path):
    ties = save(name, tmp_path)._tied_weights_keys or {}
    weights = load_file(tmp_path / "model.safetensors")
    for key, value in weights.items():
        others = {k: v for k, v in weights.items() if k != key}
        # What the model has once is missing under each of its names.
        names = ", ".join(sorted({key, *(copy for copy, kept in ties.items() if kept == key)}))
        write(tmp_path, {**others, f"module.{key}": value})
        assert f"(missing: {names}; left over: module.{key})" in refusal(tmp_path)
        write(tmp_path, {**others, key: value.unsqueeze(0)})
        assert f"(of another shape: {key})" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["dnabert2", "bert"])
def test_two_embeddings_where_the_model_has_one(name, tmp_path):
    save(name, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    write(tmp_path, {**weights, COPY: weights[KEPT] + 1})
    assert f"(not the same, where the model has one: {COPY} and {KEPT})" in refusal(tmp_path)


def test_a_decoder_of_another_shape_than_the_embeddings(dnabert2):
    _, folder = dnabert2
    weights = load_file(folder / "model.safetensors")
    write(folder, {**weights, COPY: torch.zeros(3, 8)})
    assert f"(of another shape: {COPY})" in refusal(folder)


def test_the_decoder_may_be_all_that_is_there_of_the_embeddings(dnabert2):
    model, folder = dnabert2
    weights = load_file(folder / "model.safetensors")
    write(folder, {COPY if key == KEPT else key: value for key, value in weights.items()})
    opened = load_masked_lm(folder)
    assert opened.get_input_embeddings().weight is opened.get_output_embeddings().weight
    assert torch.equal(logits(opened), logits(model))


class Malicious:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_a_pickle_that_names_code_is_told_from_a_damaged_one(pickled, monkeypatch):
    _, folder = pickled
    monkeypatch.chdir(folder)
    torch.save({KEPT: Malicious()}, folder / "pytorch_model.bin")
    message = refusal(folder)
    assert "(it names code: posix.system)" in message
    # torch's own message recommends it.
    assert "weights_only" not in message
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04" + b"0" * 50, None],
    ids=["empty", "lfs", "zip", "half"],
)
def test_a_damaged_pickle(content, pickled):
    _, folder = pickled
    file = folder / "pytorch_model.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    message = refusal(folder)
    assert "(it is cut short, damaged, or no checkpoint of PyTorch's). Copy the file again" in message
    assert "weights_only" not in message
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("content", [[1], {"state_dict": {KEPT: torch.zeros(2)}}, {"step": 1}, torch.zeros(2)])
def test_a_pickle_of_something_else(content, pickled):
    _, folder = pickled
    torch.save(content, folder / "pytorch_model.bin")
    assert "tensors by name were expected" in refusal(folder)


def test_two_processes_may_convert_at_the_same_time(pickled, monkeypatch):
    model, folder = pickled
    inner, written = [], []

    def slow(tensors, path, **options):
        written.append(path)
        save_file(tensors, path, **options)
        if not inner:  # the other one begins and ends while this one writes
            inner.append(None)
            inner[0] = load_masked_lm(folder)

    monkeypatch.setattr(safetensors.torch, "save_file", slow)
    outer = load_masked_lm(folder)
    # Neither writes where the other does, or where a third one reads.
    assert len({*written, folder / "model.safetensors"}) == 3
    assert all(folder in path.parents for path in written)
    assert torch.equal(logits(outer), logits(model))
    assert torch.equal(logits(inner[0]), logits(model))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "pytorch_model.bin"]


def test_a_pickle_in_a_folder_that_cannot_be_written_to(pickled, monkeypatch):
    model, folder = pickled
    write_weights = load._write

    def refused(tensors, where):
        if where == folder:
            raise PermissionError(13, "Permission denied", str(where))
        write_weights(tensors, where)

    monkeypatch.setattr(load, "_write", refused)
    for _ in range(2):
        assert torch.equal(logits(load_masked_lm(folder)), logits(model))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("index", ["{", "[]", '{"metadata": {}}', '{"weight_map": []}'])
def test_an_index_that_does_not_say_where_the_weights_are(index, dnabert2):
    _, folder = dnabert2
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    assert "model.safetensors.index.json does not say which files hold the weights" in refusal(folder)


def test_a_missing_part_of_the_weights(dnabert2):
    model, folder = dnabert2
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="1KB")
    part = min(folder.glob("*.safetensors"))
    part.unlink()
    assert f"{part} cannot be opened" in refusal(folder)


def test_a_classifier_in_several_files_and_of_another_shape(dnabert2):
    model, folder = dnabert2
    add_classifier(model, 3)
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    write(folder, {**weights, "classifier.weight": torch.zeros(4, 8)})
    assert "(of another shape: classifier.weight)" in refusal(folder)

    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="1KB")
    opened = load_masked_lm(folder)
    assert torch.equal(opened.classifier.weight, model.classifier.weight)
    assert torch.equal(logits(opened), logits(model))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dnabert2", {"hidden_size": None}),
        ("dnabert2", {"hidden_act": "none"}),
        ("nucleotide_transformer", {"intermediate_size": None}),
        ("bert", {"hidden_size": "eight"}),
    ],
)
def test_a_configuration_of_impossible_values(name, change, tmp_path):
    save(name, tmp_path)
    edit_config(tmp_path, **change)
    assert "weights and configuration cannot be opened together" in refusal(tmp_path)


def test_code_beside_a_known_architecture_runs_only_when_allowed_and_never_in_silence(tmp_path, caplog):
    model = save("bert", tmp_path)
    (tmp_path / "code.py").write_text(
        "from transformers import BertConfig, BertForMaskedLM\n"
        "class Model(BertForMaskedLM):\n    config_class = BertConfig\n"
    )
    edit_config(tmp_path, auto_map={"AutoModelForMaskedLM": "code.Model"})
    assert type(load_masked_lm(tmp_path)) is transformers.BertForMaskedLM
    assert "Python code" not in caplog.text
    opened = load_masked_lm(tmp_path, trust_remote_code=True)
    assert type(opened).__name__ == "Model"
    assert torch.equal(logits(opened), logits(model))
    assert "its own Python code is run, as trust_remote_code says" in caplog.text


def test_code_of_a_repository_needs_a_revision(monkeypatch):
    monkeypatch.setattr(published, "fetch_backbone", lambda *_, **__: pytest.fail("nothing may be fetched"))
    message = refusal("owner/name", trust_remote_code=True)
    assert "runs code from owner/name, which may change at any time. Give as revision the commit" in message


@pytest.mark.parametrize("code", [False, True])
def test_a_repository_is_fetched_to_the_cache_and_opened(code, dnabert2, tmp_path_factory, monkeypatch):
    model, folder = dnabert2
    cache = tmp_path_factory.mktemp("cache")
    asked = []

    def fetch(source, revision, where, *, code):
        asked.append((source, revision, code))
        shutil.copytree(folder, where, dirs_exist_ok=True)

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(published, "fetch_backbone", fetch)
    commit = "1f2e3d4c5b" * 4
    opened = load_masked_lm("owner/name", commit, trust_remote_code=code)
    assert torch.equal(logits(opened), logits(model))
    assert asked == [("owner/name", commit, code)]
    assert len(list(cache.glob("diffusion_bert/backbones/*/model.safetensors"))) == 1
