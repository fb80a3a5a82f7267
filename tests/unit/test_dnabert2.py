"""DNABERT-2: as the published code computes it, reads it and saves it."""

import json

import pytest
import torch
from backbone_cases import DNABERT2, PARITY
from safetensors.torch import load_file, save_file

from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM, alibi_slopes
from diffusion_bert.errors import UserError

TIED = "cls.predictions.decoder.weight"
on_fixtures = pytest.mark.skipif(not DNABERT2.cases, reason="the reference checkpoints are not beside this checkout")
each_case = pytest.mark.parametrize("case", DNABERT2.cases)


def same(real, got, expected):
    torch.testing.assert_close(got[real], expected[real], **PARITY)


@on_fixtures
@each_case
@torch.no_grad()
def test_logits_and_states_are_the_published_codes(case):
    model, arrays = DNABERT2.reference(case)
    real = arrays["attention_mask"] == 1
    out = model(
        arrays["input_ids"],
        attention_mask=arrays["attention_mask"],
        token_type_ids=arrays.get("token_type_ids"),
        output_hidden_states=True,
    )
    same(real, out.logits, arrays["logits"])
    assert len(out.hidden_states) == model.config.num_hidden_layers + 1
    for got, expected in zip(out.hidden_states, arrays["hidden_states"], strict=True):
        same(real, got, expected)


@on_fixtures
@each_case
@torch.no_grad()
def test_a_padded_row_is_what_it_is_alone(case):
    model, arrays = DNABERT2.reference(case)
    types = arrays.get("token_type_ids", torch.zeros_like(arrays["input_ids"]))
    all_real = arrays["attention_mask"] == 1
    for row, kind, logits, real in zip(arrays["input_ids"], types, arrays["logits"], all_real, strict=True):
        alone = model(
            row[None, real], attention_mask=torch.ones_like(row[None, real]), token_type_ids=kind[None, real]
        ).logits[0]
        torch.testing.assert_close(alone, logits[real], **PARITY)


@on_fixtures
@each_case
def test_keys_and_values_are_saved_as_they_were_read(case, tmp_path):
    model, _ = DNABERT2.reference(case)
    model.save_pretrained(tmp_path)
    published, saved = (load_file(folder / "model.safetensors") for folder in (DNABERT2.fixtures / case, tmp_path))
    assert set(published) - set(saved) <= {TIED}
    assert not set(saved) - set(published)
    for key, value in saved.items():
        assert torch.equal(value, published[key])
    before, after = (
        json.loads((folder / "config.json").read_text()) for folder in (DNABERT2.fixtures / case, tmp_path)
    )
    assert after["model_type"] == "dnabert2"
    assert "auto_map" not in after
    unlike = {key for key in before if key not in after or after[key] != before[key]}
    assert unlike <= {
        "_name_or_path",
        "architectures",
        "auto_map",
        "gradient_checkpointing",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "classifier_dropout",
        "position_embedding_type",
    }


@pytest.mark.parametrize("fields", [{}, {"pad_token_id": None}, {"pad_token_id": 0}])
def test_padding_has_the_published_tokenizers_id_where_the_file_names_none(fields):
    # The published config.json has no pad_token_id; the published tokenizer's [PAD] is 3.
    assert DnaBert2Config.from_dict(fields).pad_token_id == (0 if fields.get("pad_token_id") == 0 else 3)


@torch.no_grad()
def test_attention_falls_off_with_distance_and_tells_order():
    model = DNABERT2.small()
    ids, _ = DNABERT2.batch(40, (40,))
    logits = model(ids).logits
    moved = torch.cat([torch.full((1, 600), model.config.pad_token_id), ids], 1)
    torch.testing.assert_close(model(moved).logits[:, 600:], logits, rtol=1e-4, atol=1e-4)
    shuffled = ids[:, torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    assert (model(shuffled).logits.sort(1).values - logits.sort(1).values).abs().max() > 0.1


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (3, [-4, -8, -2]),
        (4, [-2, -4, -6, -8]),
        (12, [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]),
    ],
)
def test_slopes_of_the_papers_heads(heads, exponents):
    assert alibi_slopes(heads) == pytest.approx([2.0**e for e in exponents])


def test_added_tokens_keep_the_old_logits_and_are_saved(tmp_path):
    model = DNABERT2.small()
    ids, real = DNABERT2.batch()
    with torch.no_grad():
        before = model(ids, attention_mask=real).logits
    bias = model.cls.predictions.decoder.bias.detach().clone()
    model.resize_token_embeddings(33, mean_resizing=False)
    assert model.config.vocab_size == 33
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.get_input_embeddings().weight.shape == (33, 24)
    assert torch.equal(model.cls.predictions.decoder.bias[:30], bias)

    ids[0, 1] = 32
    with torch.no_grad():
        after = model(ids, attention_mask=real).logits
    torch.testing.assert_close(after[1:, :, :30], before[1:])
    model.save_pretrained(tmp_path)
    again, found = DnaBert2ForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values())
    with torch.no_grad():
        assert torch.equal(again.eval()(ids, attention_mask=real).logits, after)

    model(ids, attention_mask=real).logits.square().sum().backward()
    for grown in (model.get_input_embeddings().weight, model.cls.predictions.decoder.bias):
        assert len(grown.grad) == 33
        assert grown.grad[32].abs().sum() > 0

    model.resize_token_embeddings(30, mean_resizing=False)
    with torch.no_grad():
        torch.testing.assert_close(model(ids.clamp(max=29), attention_mask=real).logits[1:], before[1:])


@pytest.mark.parametrize("kept", [True, False])
def test_the_decoder_may_be_in_the_file_or_not(kept, tmp_path):
    model = DNABERT2.small()
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop(TIED, None)
    if kept:
        weights[TIED] = weights["bert.embeddings.word_embeddings.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    again, found = DnaBert2ForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values())
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    ids, real = DNABERT2.batch()
    with torch.no_grad():
        assert torch.equal(again.eval()(ids, attention_mask=real).logits, model(ids, attention_mask=real).logits)


def test_published_size():
    with torch.device("meta"):
        model = DnaBert2ForMaskedLM(DnaBert2Config())
    # The decoder's weight is the embeddings' and counts once; there is no pooler in the published file.
    assert sum(parameter.numel() for parameter in model.parameters()) == 117_074_176


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="multiple of 5"):
        DnaBert2Config(**(DNABERT2.sizes | {"num_attention_heads": 5}))
