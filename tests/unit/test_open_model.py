"""Published and local backbones: recognised by what they are, every weight accounted for."""

import json
import os
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import diffusion_bert.backbones
from diffusion_bert.backbones.classifier import add_classifier
from diffusion_bert.backbones.convnet import ConvnetConfig, ConvnetForMaskedLM
from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM
from diffusion_bert.backbones.load import open_model
from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)
from diffusion_bert.backbones.recurrent import RecurrentConfig, RecurrentForMaskedLM
from diffusion_bert.errors import UserError

FIXTURES = Path(__file__).parents[3] / "shared" / "backbones"
SIZES = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 0,
}


def esm():
    config = transformers.EsmConfig(**SIZES, mask_token_id=3, max_position_embeddings=32)
    return transformers.EsmForMaskedLM(config)


def modern_bert():
    special = dict.fromkeys(("bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"), 1)
    return transformers.ModernBertForMaskedLM(transformers.ModernBertConfig(**SIZES, **special))


MODELS = {
    "dnabert2": lambda: DnaBert2ForMaskedLM(DnaBert2Config(**SIZES)),
    "nucleotide_transformer": lambda: NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**SIZES)),
    "recurrent": lambda: RecurrentForMaskedLM(RecurrentConfig(vocab_size=20, positions=8, width=16)),
    "convnet": lambda: ConvnetForMaskedLM(ConvnetConfig(vocab_size=20, positions=8, width=16, attention_heads=2)),
    "esm": esm,
    "modernbert": modern_bert,
}
each_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture
def saved(name, tmp_path):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.save_pretrained(tmp_path)
    return model, tmp_path


def logits(model):
    ids = torch.tensor([[1, 5, 6, 7, 2, 0], [1, 8, 9, 10, 11, 2]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=(ids != 0).long()).logits[:, :5]


def rewrite(folder, **changes):
    """The folder's weights with some replaced, or (None) removed."""
    weights = load_file(folder / "model.safetensors")
    for key, value in changes.items():
        weights.pop(key, None)
        if value is not None:
            weights[key] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_the_transformers_that_these_tests_pin():
    assert transformers.__version__.split(".")[0] == "5"


@each_model
def test_opened_it_is_the_model_that_was_saved(saved):
    model, folder = saved
    opened = diffusion_bert.backbones.load_masked_lm(folder)
    assert type(opened) is type(model)
    assert not opened.training
    assert torch.equal(logits(opened), logits(model))


@pytest.mark.parametrize(
    "case", sorted(str(file.parent.relative_to(FIXTURES)) for file in FIXTURES.glob("*/*/model.safetensors")) or [None]
)
def test_published_folders_are_recognised_without_a_model_type(case):
    if case is None:
        pytest.skip("the reference checkpoints are not beside this checkout")
    config = json.loads((FIXTURES / case / "config.json").read_text())
    assert "model_type" not in config
    expected = DnaBert2ForMaskedLM if case.startswith("dnabert2") else NucleotideTransformerForMaskedLM
    opened = open_model(FIXTURES / case)
    assert type(opened) is expected
    assert opened.config.hidden_size == config["hidden_size"]


@pytest.mark.parametrize("name", ["dnabert2", "nucleotide_transformer"])
def test_another_model_type_in_the_file_does_not_mislead(saved):
    model, folder = saved
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = {"dnabert2": "bert", "nucleotide_transformer": "esm"}[config["model_type"]]
    config["auto_map"] = {"AutoModel": "code.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    opened = open_model(folder)
    assert type(opened) is type(model)
    assert torch.equal(logits(opened), logits(model))


@each_model
def test_every_weight_must_be_there_and_fit(saved):
    _, folder = saved
    weights = load_file(folder / "model.safetensors")
    key = next(k for k in sorted(weights) if "0" in k and not k.endswith((".beta", ".gamma")) and "Norm" not in k)
    rewrite(folder, **{key: None})
    with pytest.raises(UserError, match=rf"do not fit config\.json \(missing: {key}\)"):
        open_model(folder)
    rewrite(folder, **{key: weights[key], "other.weight": torch.zeros(2)})
    with pytest.raises(UserError, match=r"\(left over: other\.weight\)"):
        open_model(folder)
    rewrite(folder, **{key: torch.zeros(3), "other.weight": None})
    with pytest.raises(UserError, match=rf"\(of another shape: {key}\)"):
        open_model(folder)


@pytest.mark.parametrize("name", ["dnabert2", "esm"])
def test_a_pooler_and_a_contact_head_are_left_aside(saved):
    model, folder = saved
    rewrite(
        folder,
        **{
            "bert.pooler.dense.weight": torch.zeros(16, 16),
            "bert.pooler.dense.bias": torch.zeros(16),
            "esm.contact_head.regression.weight": torch.zeros(1, 4),
        },
    )
    assert torch.equal(logits(open_model(folder)), logits(model))


@each_model
def test_half_precision_is_opened_as_float32(saved):
    _, folder = saved
    weights = {key: value.half() for key, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert {p.dtype for p in open_model(folder).parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["dnabert2", "nucleotide_transformer", "esm"])
def test_a_pickle_is_converted_once(saved):
    model, folder = saved
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(logits(open_model(folder)), logits(model))
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert torch.equal(logits(open_model(folder)), logits(model))
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


class Malicious:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("name", ["dnabert2"])
def test_a_pickle_that_runs_code_is_refused(saved, monkeypatch):
    _, folder = saved
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Malicious()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"cannot be read as weights alone .* get the model as safetensors"):
        open_model(folder)
    assert not (folder / "ran").exists()
    assert not (folder / "model.safetensors").exists()


@each_model
def test_weights_in_several_files(saved):
    model, folder = saved
    for file in folder.glob("*.safetensors"):
        file.unlink()
    model.save_pretrained(folder, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert torch.equal(logits(open_model(folder)), logits(model))


@pytest.mark.parametrize("name", ["dnabert2"])
def test_code_of_its_own_runs_only_when_allowed(saved, caplog):
    _, folder = saved
    (folder / "code.py").write_text(
        "from transformers import BertForMaskedLM, BertConfig\n"
        "class Config(BertConfig):\n    model_type = 'strange'\n"
        "class Model(BertForMaskedLM):\n    config_class = Config\n"
    )
    config = transformers.BertConfig(**SIZES)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text()) | {
        "model_type": "strange",
        "auto_map": {"AutoConfig": "code.Config", "AutoModelForMaskedLM": "code.Model"},
    }
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="names Python code of its own.*trust_remote_code: true"):
        open_model(folder)
    opened = open_model(folder, trust_remote_code=True)
    assert type(opened).__name__ == "Model"
    assert "its own Python code is run, as trust_remote_code says" in caplog.text


def test_other_models_are_refused(tmp_path):
    transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=2, n_positions=8)
    ).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="'gpt2', which is no masked language model"):
        open_model(tmp_path)


def test_a_name_that_is_neither_folder_nor_repository():
    with pytest.raises(UserError, match="there is no such folder, and it is no name on Hugging Face"):
        diffusion_bert.backbones.load_masked_lm("nowhere/to/be/found")


@each_model
def test_a_classifier_is_saved_and_opened(saved):
    model, folder = saved
    add_classifier(model, 3)
    model.save_pretrained(folder)
    opened = open_model(folder)
    assert torch.equal(opened.classifier.weight, model.classifier.weight)
    assert torch.equal(logits(opened), logits(model))
    rewrite(folder, **{"classifier.bias": None})
    with pytest.raises(UserError, match=r"\(missing: classifier\.bias\)"):
        open_model(folder)
