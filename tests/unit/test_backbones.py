import json

import pytest
import torch
from toy_settings import SETTINGS

from diffusion_bert.backbones.bases import places
from diffusion_bert.backbones.load import build_model, open_model
from diffusion_bert.errors import UserError
from diffusion_bert.tokens import BaseTokenizer

CONVNET = {"backbone": "convnet", "dropout": 0.0, "architecture": SETTINGS["architecture"]}
RECURRENT = {
    "backbone": "recurrent",
    "dropout": 0.0,
    "architecture": {"embedded": 8, "kmer": 3, "width": 12, "layers": 2, "mixed": 16, "expansion": 2},
}
BERT = {
    "backbone": "bert",
    "dropout": 0.0,
    "architecture": {"width": 16, "layers": 2, "heads": 2, "expansion": 2},
}
DNABERT2 = {**BERT, "backbone": "dnabert2"}
NUCLEOTIDE_TRANSFORMER = {**BERT, "backbone": "nucleotide_transformer"}
EACH = pytest.mark.parametrize(
    "settings", [CONVNET, RECURRENT, BERT, DNABERT2, NUCLEOTIDE_TRANSFORMER], ids=lambda settings: settings["backbone"]
)


@pytest.fixture
def tokenizer():
    return BaseTokenizer(["a", "b"])


def build(settings, tokenizer, max_length=12, seed=0):
    torch.manual_seed(seed)
    model = build_model(settings, tokenizer, max_length).eval()
    for parameter in model.parameters():  # so that nothing hides behind a zero
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def framed(tokenizer, sequences, labels=None):
    ids, attention = tokenizer.frame(tokenizer.encode(sequences), labels or ["a"] * len(sequences))
    return torch.from_numpy(ids), torch.from_numpy(attention)


@torch.no_grad()
def logits(model, ids, attention):
    return model(input_ids=ids, attention_mask=attention).logits


@EACH
def test_logits_are_over_the_whole_vocabulary(settings, tokenizer):
    ids, attention = framed(tokenizer, ["ACGTACGTACGT", "ACGTN"])
    assert logits(build(settings, tokenizer), ids, attention).shape == (2, 15, tokenizer.vocab_size)


@EACH
def test_padding_changes_no_logit_of_a_real_token(settings, tokenizer):
    model = build(settings, tokenizer)
    alone = logits(model, *framed(tokenizer, ["ACGTN"]))
    padded = logits(model, *framed(tokenizer, ["ACGTN", "ACGTACGTACGT"]))
    torch.testing.assert_close(padded[:1, :8], alone, atol=1e-5, rtol=1e-5)


@EACH
def test_a_row_does_not_depend_on_the_rows_beside_it(settings, tokenizer):
    model = build(settings, tokenizer)
    together = logits(model, *framed(tokenizer, ["ACGT", "TTTT"], ["a", "b"]))
    alone = logits(model, *framed(tokenizer, ["TTTT"], ["b"]))
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)


@EACH
def test_the_label_reaches_every_position(settings, tokenizer):
    model = build(settings, tokenizer)
    rows = [logits(model, *framed(tokenizer, ["ACGTACGTACGT"], [label])) for label in ("a", "b", None)]
    for one, other in ((0, 1), (0, 2)):
        assert ((rows[one] - rows[other]).abs().amax(-1) > 1e-4).all()


@EACH
def test_positions_are_known(settings, tokenizer):
    model = build(settings, tokenizer)
    found = logits(model, *framed(tokenizer, ["AAAAAAAAAAAA"]))[0, tokenizer.content]
    assert (found[1:] - found[:-1]).abs().amax(-1).min() > 1e-6


@EACH
def test_longer_windows_than_those_trained(settings, tokenizer):
    model = build(settings, tokenizer, max_length=6)
    assert torch.isfinite(logits(model, *framed(tokenizer, ["ACGTACGTACGT"]))).all()


def test_places_count_from_the_centre_of_the_window(tokenizer):
    _, attention = framed(tokenizer, ["ACGTAC", "ACGT", "AC"])
    found = places(attention, 6).tolist()
    assert found[0] == [0, 1, 2, 3, 4, 5, 6, 7, 8]  # [CLS] label x1..x6 [SEP]
    assert found[1][2:6] == [3, 4, 5, 6]  # a shorter window is the middle of a longer one
    assert found[2][2:4] == [4, 5]
    _, attention = framed(tokenizer, ["ACGTACGTAC"])
    assert places(attention, 6)[0, 2:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]  # beyond: the outermost place


def test_no_gradient_comes_from_padding(tokenizer):
    model = build(CONVNET, tokenizer)
    ids, attention = framed(tokenizer, ["ACGT", "ACGTACGTACGT"])
    out = model(input_ids=ids, attention_mask=attention).logits
    model.zero_grad()
    out[0, :7].sum().backward()
    assert model.tokens.weight.grad[tokenizer.pad_id].abs().max() == 0


@EACH
def test_saved_and_opened_it_is_the_same_model(settings, tokenizer, tmp_path):
    model = build(settings, tokenizer)
    model.save_pretrained(tmp_path)
    opened = open_model(tmp_path)
    assert not opened.training
    ids, attention = framed(tokenizer, ["ACGTN", "ACGTACGTACGT"])
    assert torch.equal(logits(opened, ids, attention), logits(model, ids, attention))


@EACH
def test_the_seed_decides_the_weights(settings, tokenizer):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build_model(settings, tokenizer, 12).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_missing_weight_is_refused(tokenizer, tmp_path):
    from safetensors.torch import load_file, save_file

    build(CONVNET, tokenizer).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if k != "head.weight"}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match=r"do not fit config\.json \(missing: head\.weight\)\. Copy the whole"):
        open_model(tmp_path)
    save_file({**weights, "other": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"\(left over: other\)"):
        open_model(tmp_path)


def test_weights_of_another_size_are_refused(tokenizer, tmp_path):
    build(CONVNET, tokenizer).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 32}))
    with pytest.raises(UserError, match=r"do not fit config\.json \(of another shape: "):
        open_model(tmp_path)


def test_missing_or_broken_files_are_refused(tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing or is no model's configuration"):
        open_model(tmp_path)
    build(CONVNET, tokenizer).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model\.safetensors cannot be opened"):
        open_model(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        open_model(tmp_path)


def test_sizes_that_do_not_fit_are_refused(tokenizer):
    def with_architecture(settings, **changes):
        return {**settings, "architecture": {**settings["architecture"], **changes}}

    with pytest.raises(UserError, match=r"kernel is 4, an odd number was expected\. Use 5"):
        build_model(with_architecture(CONVNET, kernel=4), tokenizer, 12)
    with pytest.raises(
        UserError,
        match=r"width 12 does not divide into 4 heads of an even width\. Choose a width that is a multiple of 8",
    ):
        build_model(with_architecture(BERT, width=12, heads=4), tokenizer, 12)
    with pytest.raises(
        UserError, match=r"width 18 does not divide into 4 heads\. Choose a width that is a multiple of 4"
    ):
        build_model(with_architecture(CONVNET, width=18, attention_heads=4), tokenizer, 12)
    with pytest.raises(
        UserError, match=r"width 10 does not divide into 4 heads\. Choose a width that is a multiple of 4"
    ):
        build_model(with_architecture(DNABERT2, width=10, heads=4), tokenizer, 12)
    with pytest.raises(UserError, match="into 4 heads of an even width"):
        build_model(with_architecture(NUCLEOTIDE_TRANSFORMER, width=12, heads=4), tokenizer, 12)
