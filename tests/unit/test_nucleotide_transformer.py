"""Nucleotide Transformer v2: as the published code computes it, reads it and saves it."""

import json
import re

import pytest
import torch
from backbone_cases import NUCLEOTIDE_TRANSFORMER, PARITY
from safetensors.torch import load_file

from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)
from diffusion_bert.errors import UserError

on_fixtures = pytest.mark.skipif(
    not NUCLEOTIDE_TRANSFORMER.cases, reason="the reference checkpoints are not beside this checkout"
)
each_case = pytest.mark.parametrize("case", NUCLEOTIDE_TRANSFORMER.cases)


def same(real, got, expected):
    torch.testing.assert_close(got[real], expected[real], **PARITY)


@on_fixtures
@each_case
@torch.no_grad()
def test_logits_and_states_are_the_published_codes(case):
    model, arrays = NUCLEOTIDE_TRANSFORMER.reference(case)
    real = arrays["attention_mask"] == 1
    out = model(arrays["input_ids"], attention_mask=arrays["attention_mask"], output_hidden_states=True)
    same(real, out.logits, arrays["logits"])
    assert len(out.hidden_states) == model.config.num_hidden_layers + 2
    for got, expected in zip(out.hidden_states[:-1], arrays["hidden_states"], strict=True):
        same(real, got, expected)
    same(real, out.hidden_states[-1], arrays["final_norm"])


@on_fixtures
@each_case
@torch.no_grad()
def test_a_padded_row_is_what_it_is_alone(case):
    model, arrays = NUCLEOTIDE_TRANSFORMER.reference(case)
    for row, logits, real in zip(arrays["input_ids"], arrays["logits"], arrays["attention_mask"] == 1, strict=True):
        alone = model(row[real].unsqueeze(0)).logits[0]
        torch.testing.assert_close(alone, logits[real], **PARITY)


@on_fixtures
@each_case
def test_keys_and_values_are_saved_as_they_were_read(case, tmp_path):
    model, _ = NUCLEOTIDE_TRANSFORMER.reference(case)
    model.save_pretrained(tmp_path)
    published, saved = (
        load_file(folder / "model.safetensors") for folder in (NUCLEOTIDE_TRANSFORMER.fixtures / case, tmp_path)
    )
    left = set(published) - set(saved)
    assert set(saved) < set(published)
    assert {re.sub(r"\d+", "N", key) for key in left} == {
        "esm.embeddings.position_embeddings.weight",
        "esm.contact_head.regression.weight",
        "esm.contact_head.regression.bias",
        "esm.encoder.layer.N.attention.self.rotary_embeddings.inv_freq",
    }
    for key in left:
        assert any(re.search(pattern, key) for pattern in model._keys_to_ignore_on_load_unexpected)
    for key, value in saved.items():
        assert torch.equal(value, published[key])
    before, after = (
        json.loads((folder / "config.json").read_text())
        for folder in (NUCLEOTIDE_TRANSFORMER.fixtures / case, tmp_path)
    )
    assert after["model_type"] == "nucleotide_transformer"
    assert "auto_map" not in after
    unlike = {key for key in before if key not in after or after[key] != before[key]}
    assert unlike <= {"architectures", "auto_map", "torch_dtype", "transformers_version", "use_cache"}


# bfloat16 has 8 significant bits: positions kept in it would come in fours from 513 on.
@pytest.mark.parametrize(("dtype", "slack"), [(torch.float32, 1e-3), (torch.bfloat16, 0.3)])
@torch.no_grad()
def test_positions_are_relative_and_tell_order(dtype, slack):
    model = NUCLEOTIDE_TRANSFORMER.small().to(dtype)
    ids, _ = NUCLEOTIDE_TRANSFORMER.batch(40, (40,))
    logits = model(ids).logits
    moved = torch.cat([torch.full((1, 600), model.config.pad_token_id), ids], 1)
    assert (model(moved).logits[:, 600:] - logits).abs().max() < slack
    assert (model(ids.flip(1)).logits.flip(1) - logits).abs().max() > 3 * slack


@torch.no_grad()
def test_token_dropout_rescales_by_the_share_of_masks():
    model = NUCLEOTIDE_TRANSFORMER.small(token_dropout=True)
    ids = torch.tensor([[3, 2, 8, 9, 2], [3, 8, 2, 1, 1]])
    state = model(ids, output_hidden_states=True).hidden_states[0]
    embedding = model.get_input_embeddings()
    assert not state[0, 1].any()
    torch.testing.assert_close(state[0, 2], embedding.weight[8] * (1 - 0.12) / (1 - 2 / 5))
    torch.testing.assert_close(state[1, 1], embedding.weight[8] * (1 - 0.12) / (1 - 1 / 3))


@pytest.mark.parametrize("mean_resizing", [True, False])
def test_added_tokens_keep_the_old_logits_and_are_saved(mean_resizing, tmp_path):
    model = NUCLEOTIDE_TRANSFORMER.small()
    ids, real = NUCLEOTIDE_TRANSFORMER.batch()
    with torch.no_grad():
        before = model(ids, attention_mask=real).logits
    bias = model.lm_head.bias.detach().clone()
    model.resize_token_embeddings(33, mean_resizing=mean_resizing)
    assert model.config.vocab_size == 33
    assert model.get_input_embeddings().weight.shape == model.get_output_embeddings().weight.shape == (33, 24)
    added = bias.mean() if mean_resizing else torch.tensor(0.0)
    torch.testing.assert_close(model.lm_head.bias.detach(), torch.cat([bias, added.expand(3)]))

    ids[0, 1] = 32
    with torch.no_grad():
        after = model(ids, attention_mask=real).logits
    torch.testing.assert_close(after[1:, :, :30], before[1:])
    model.save_pretrained(tmp_path)
    again, found = NucleotideTransformerForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values())
    with torch.no_grad():
        assert torch.equal(again.eval()(ids, attention_mask=real).logits, after)

    model(ids, attention_mask=real).logits.square().sum().backward()
    for grown in (model.get_input_embeddings().weight, model.get_output_embeddings().weight, model.lm_head.bias):
        assert len(grown.grad) == 33
        assert grown.grad[32].abs().sum() > 0

    model.resize_token_embeddings(30)
    assert torch.equal(model.lm_head.bias, bias)
    with torch.no_grad():
        torch.testing.assert_close(model(ids.clamp(max=29), attention_mask=real).logits[1:], before[1:])


# The published counts are of all parameters in the file: with the position embeddings and the contact head
# (one weight a head of every layer, and a bias), which predict nothing and which the native model leaves out.
@pytest.mark.parametrize(
    ("width", "expanded", "layers", "published"),
    [(512, 2048, 12, 55_904_972), (512, 2048, 22, 97_889_132), (1024, 4096, 29, 498_345_436)],
    ids=["50m", "100m", "500m"],
)
def test_published_sizes(width, expanded, layers, published):
    config = NucleotideTransformerConfig(hidden_size=width, intermediate_size=expanded, num_hidden_layers=layers)
    with torch.device("meta"):
        model = NucleotideTransformerForMaskedLM(config)
    unused = config.max_position_embeddings * width + layers * config.num_attention_heads + 1
    assert sum(parameter.numel() for parameter in model.parameters()) + unused == published


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"position_embedding_type": "absolute"}, "'absolute'"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings True"),
        ({"num_attention_heads": 5}, "multiple of 10"),
        ({"hidden_size": 9}, "multiple of 6"),
    ],
)
def test_other_architectures_are_refused(changes, named):
    with pytest.raises(UserError, match=named):
        NucleotideTransformerConfig(**(NUCLEOTIDE_TRANSFORMER.sizes | changes))
