import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from diffusion_bert.backbones.nucleotide_transformer import (
    NucleotideTransformerConfig,
    NucleotideTransformerForMaskedLM,
)
from diffusion_bert.errors import UserError

FIXTURES = Path(__file__).parents[3] / "shared" / "backbones" / "nt_v2"
CASES = sorted(file.parent.name for file in FIXTURES.glob("*/model.safetensors"))
PARITY = {"rtol": 1e-4, "atol": 2e-4}
SMALL = {
    "vocab_size": 30,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
SWITCHES = {"token_dropout": True, "emb_layer_norm_before": True, "add_bias_fnn": True}

on_fixtures = pytest.mark.skipif(not CASES, reason="the reference checkpoints are not beside this checkout")
each_case = pytest.mark.parametrize("case", CASES)


def small(seed=0, **changes):
    """A small model in which no parameter hides behind a zero or a one."""
    torch.manual_seed(seed)
    model = NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**(SMALL | changes))).eval()
    for name, parameter in model.named_parameters():
        is_norm = name.endswith(".weight") and parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=float(is_norm), std=0.3)
    return model


def batch(tokens=19, lengths=(19, 11, 2), vocabulary=30):
    """Random ids (masks among them) and the mask of the real ones; what lies at padding is random too."""
    ids = torch.from_numpy(np.random.default_rng(7).integers(2, vocabulary, (len(lengths), tokens)))
    return ids, (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()


def reference(case):
    model, found = NucleotideTransformerForMaskedLM.from_pretrained(FIXTURES / case, output_loading_info=True)
    assert not any(found.values())
    arrays = {}
    for name in ("inputs", "expected"):
        with np.load(FIXTURES / case / f"{name}.npz") as file:
            arrays |= {key: torch.from_numpy(file[key]) for key in file}
    return model.eval(), arrays


def same(real, got, expected):
    torch.testing.assert_close(got[real], expected[real], **PARITY)


@on_fixtures
@each_case
@torch.no_grad()
def test_logits_and_states_are_the_published_codes(case):
    model, arrays = reference(case)
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
    model, arrays = reference(case)
    for row, logits, real in zip(arrays["input_ids"], arrays["logits"], arrays["attention_mask"] == 1, strict=True):
        alone = model(row[real].unsqueeze(0)).logits[0]
        torch.testing.assert_close(alone, logits[real], **PARITY)


@on_fixtures
@each_case
def test_keys_and_values_are_saved_as_they_were_read(case, tmp_path):
    model, _ = reference(case)
    model.save_pretrained(tmp_path)
    published, saved = (load_file(folder / "model.safetensors") for folder in (FIXTURES / case, tmp_path))
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
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (FIXTURES / case, tmp_path))
    assert after["model_type"] == "nucleotide_transformer"
    assert "auto_map" not in after
    unlike = {key for key in before if key not in after or after[key] != before[key]}
    assert unlike <= {"architectures", "auto_map", "torch_dtype", "transformers_version", "use_cache"}


@on_fixtures
def test_nothing_is_warned_of(tmp_path, caplog):
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        model, arrays = reference(CASES[0])
        model(arrays["input_ids"], attention_mask=arrays["attention_mask"])
        model.resize_token_embeddings(model.config.vocab_size + 1, mean_resizing=False)
        model.save_pretrained(tmp_path)
        NucleotideTransformerForMaskedLM.from_pretrained(tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["published", "switches-on"])
@torch.no_grad()
def test_padding_changes_no_logit_whatever_lies_there(switches):
    model = small(**switches)
    ids, real = batch()
    logits = model(ids, attention_mask=real).logits
    for pads in (1, 13):
        rubbish = torch.full((len(ids), pads), model.config.mask_token_id)
        wider = torch.cat([torch.where(real == 1, ids, 5), rubbish], 1)
        mask = torch.cat([real, torch.zeros_like(rubbish)], 1)
        got = model(wider, attention_mask=mask).logits[:, : ids.shape[1]]
        torch.testing.assert_close(got[real == 1], logits[real == 1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_a_mask_padding_is_what_has_its_id():
    model = small()
    ids, real = batch()
    ids[real == 0] = model.config.pad_token_id
    assert torch.equal(model(ids).logits, model(ids, attention_mask=real).logits)


# bfloat16 has 8 significant bits: positions kept in it would come in fours from 513 on.
@pytest.mark.parametrize(("dtype", "slack"), [(torch.float32, 1e-3), (torch.bfloat16, 0.3)])
@torch.no_grad()
def test_positions_are_relative_and_tell_order(dtype, slack):
    model = small().to(dtype)
    ids, _ = batch(40, (40,))
    logits = model(ids).logits
    moved = torch.cat([torch.full((1, 600), model.config.pad_token_id), ids], 1)
    assert (model(moved).logits[:, 600:] - logits).abs().max() < slack
    assert (model(ids.flip(1)).logits.flip(1) - logits).abs().max() > 3 * slack


@torch.no_grad()
def test_token_dropout_rescales_by_the_share_of_masks():
    model = small(token_dropout=True)
    ids = torch.tensor([[3, 2, 8, 9, 2], [3, 8, 2, 1, 1]])
    state = model(ids, output_hidden_states=True).hidden_states[0]
    embedding = model.get_input_embeddings()
    assert not state[0, 1].any()
    torch.testing.assert_close(state[0, 2], embedding.weight[8] * (1 - 0.12) / (1 - 2 / 5))
    torch.testing.assert_close(state[1, 1], embedding.weight[8] * (1 - 0.12) / (1 - 1 / 3))


def test_states_are_kept_only_on_request():
    ids, real = batch()
    model = small()
    assert model(ids, attention_mask=real).hidden_states is None
    model.config.output_hidden_states = True
    assert len(model(ids, attention_mask=real).hidden_states) == 5


@pytest.mark.parametrize("mean_resizing", [True, False])
def test_added_tokens_keep_the_old_logits_and_are_saved(mean_resizing, tmp_path):
    model = small()
    ids, real = batch()
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


def test_a_frozen_head_stays_frozen_when_tokens_are_added():
    model = small().requires_grad_(False)
    model.resize_token_embeddings(31, mean_resizing=False)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def gradients(model, ids, real):
    model.zero_grad()
    logits = model(ids, attention_mask=real).logits
    cross_entropy(logits[real == 1].float(), ids[real == 1]).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def checkpointed(model):
    model.activation_checkpointing_enable()
    assert all(layer.gradient_checkpointing for layer in model.esm.encoder.layer)
    return model


def test_gradients_are_the_same_with_checkpointing():
    ids, real = batch()
    plain = gradients(small().train(), ids, real)
    passes = []
    model = checkpointed(small().train())
    model.esm.encoder.layer[0].intermediate.register_forward_hook(lambda *_: passes.append(1))
    again = gradients(model, ids, real)
    assert len(passes) == 2  # once forward, once more on the way back
    assert set(plain) == set(again)
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-6, atol=1e-7, msg=name)


def test_bfloat16_runs_and_trains_with_checkpointing():
    ids, real = batch()
    with torch.no_grad():
        exact = small()(ids, attention_mask=real).logits
        rough = small().to(torch.bfloat16)(ids, attention_mask=real).logits
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact)[real == 1].abs().max() < 0.05 * exact.abs().max()
    found = gradients(checkpointed(small().to(torch.bfloat16).train()), ids, real)
    assert all(gradient.isfinite().all() for gradient in found.values())


def test_bfloat16_autocast_is_close_to_float32():
    ids, real = batch()
    with torch.no_grad():
        exact = small()(ids, attention_mask=real).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = small()(ids, attention_mask=real).logits
    assert (rough.float() - exact)[real == 1].abs().max() < 0.05 * exact.abs().max()


def test_inference_first_leaves_training_as_it_is():
    ids, real = batch()
    model = small()
    with torch.inference_mode():
        model(ids, attention_mask=real)
    model.train()
    expected = gradients(small().train(), ids, real)
    for name, gradient in gradients(model, ids, real).items():
        assert torch.equal(gradient, expected[name]), name


def test_dropout_acts_in_training_only():
    ids, real = batch()
    for dropout in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        model = small(**{dropout: 0.5})
        with torch.no_grad():
            assert torch.equal(model(ids, attention_mask=real).logits, small()(ids, attention_mask=real).logits)
            model.train()
            first, second = (model(ids, attention_mask=real).logits for _ in range(2))
        assert not torch.allclose(first, second)


def test_from_scratch_every_token_is_as_likely_and_every_weight_learns():
    torch.manual_seed(0)
    model = NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**(SMALL | SWITCHES)))
    for name, parameter in model.named_parameters():
        is_norm = name.endswith(".weight") and parameter.ndim == 1
        assert parameter.mean().item() == pytest.approx(float(is_norm), abs=0.01), name
        assert parameter.std(correction=0).item() == pytest.approx(0.02 if parameter.ndim == 2 else 0.0, rel=0.2), name
    ids, real = batch()
    loss = cross_entropy(model(ids, attention_mask=real).logits[real == 1], ids[real == 1])
    assert loss.item() == pytest.approx(np.log(SMALL["vocab_size"]), abs=0.1)
    for name, gradient in gradients(model, ids, real).items():
        assert gradient.abs().max() > 0, name
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        gradients(model, ids, real)
        optimizer.step()
    logits = model(ids, attention_mask=real).logits
    assert cross_entropy(logits[real == 1], ids[real == 1]) < 0.5


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
        NucleotideTransformerConfig(**(SMALL | changes))
