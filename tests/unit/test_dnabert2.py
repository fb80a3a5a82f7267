import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM, alibi_slopes
from diffusion_bert.errors import UserError

FIXTURES = Path(__file__).parents[3] / "shared" / "backbones" / "dnabert2"
CASES = sorted(file.parent.name for file in FIXTURES.glob("*/model.safetensors"))
TIED = "cls.predictions.decoder.weight"
MASK = 4
PARITY = {"rtol": 1e-4, "atol": 2e-4}
SMALL = {
    "vocab_size": 30,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "hidden_dropout_prob": 0.0,
}

on_fixtures = pytest.mark.skipif(not CASES, reason="the reference checkpoints are not beside this checkout")
each_case = pytest.mark.parametrize("case", CASES)


def small(seed=0, **changes):
    """A small model in which no parameter hides behind a zero or a one."""
    torch.manual_seed(seed)
    model = DnaBert2ForMaskedLM(DnaBert2Config(**(SMALL | changes))).eval()
    for name, parameter in model.named_parameters():
        is_norm = name.endswith(".weight") and parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=float(is_norm), std=0.3)
    return model


def batch(tokens=19, lengths=(19, 11, 2), vocabulary=30):
    """Random ids (masks among them) and the mask of the real ones; what lies at padding is random too."""
    ids = torch.from_numpy(np.random.default_rng(7).integers(4, vocabulary, (len(lengths), tokens)))
    return ids, (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()


def reference(case):
    model, found = DnaBert2ForMaskedLM.from_pretrained(FIXTURES / case, output_loading_info=True)
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
    model, arrays = reference(case)
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
    model, _ = reference(case)
    model.save_pretrained(tmp_path)
    published, saved = (load_file(folder / "model.safetensors") for folder in (FIXTURES / case, tmp_path))
    assert set(published) - set(saved) <= {TIED}
    assert not set(saved) - set(published)
    for key, value in saved.items():
        assert torch.equal(value, published[key])
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (FIXTURES / case, tmp_path))
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


@on_fixtures
def test_nothing_is_warned_of(tmp_path, caplog):
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        model, arrays = reference(CASES[0])
        model(arrays["input_ids"], attention_mask=arrays["attention_mask"])
        model.resize_token_embeddings(model.config.vocab_size + 1, mean_resizing=False)
        model.save_pretrained(tmp_path)
        DnaBert2ForMaskedLM.from_pretrained(tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@torch.no_grad()
def test_padding_changes_no_logit_whatever_lies_there():
    model = small()
    ids, real = batch()
    logits = model(ids, attention_mask=real).logits
    for pads in (1, 13):
        rubbish = torch.full((len(ids), pads), MASK)
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


@pytest.mark.parametrize("fields", [{}, {"pad_token_id": None}, {"pad_token_id": 0}])
def test_padding_has_the_published_tokenizers_id_where_the_file_names_none(fields):
    # The published config.json has no pad_token_id; the published tokenizer's [PAD] is 3.
    assert DnaBert2Config.from_dict(fields).pad_token_id == (0 if fields.get("pad_token_id") == 0 else 3)


@torch.no_grad()
def test_attention_falls_off_with_distance_and_tells_order():
    model = small()
    ids, _ = batch(40, (40,))
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


def test_states_are_kept_only_on_request():
    ids, real = batch()
    model = small()
    assert model(ids, attention_mask=real).hidden_states is None
    model.config.output_hidden_states = True
    assert len(model(ids, attention_mask=real).hidden_states) == 4


def test_added_tokens_keep_the_old_logits_and_are_saved(tmp_path):
    model = small()
    ids, real = batch()
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
    model = small()
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop(TIED, None)
    if kept:
        weights[TIED] = weights["bert.embeddings.word_embeddings.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    again, found = DnaBert2ForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values())
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    ids, real = batch()
    with torch.no_grad():
        assert torch.equal(again.eval()(ids, attention_mask=real).logits, model(ids, attention_mask=real).logits)


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
    assert all(layer.gradient_checkpointing for layer in model.bert.encoder.layer)
    return model


def test_gradients_are_the_same_with_checkpointing():
    ids, real = batch()
    plain = gradients(small().train(), ids, real)
    passes = []
    model = checkpointed(small().train())
    model.bert.encoder.layer[0].attention.register_forward_hook(lambda *_: passes.append(1))
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
    model = DnaBert2ForMaskedLM(DnaBert2Config(**SMALL))
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


def test_published_size():
    with torch.device("meta"):
        model = DnaBert2ForMaskedLM(DnaBert2Config())
    # The decoder's weight is the embeddings' and counts once; there is no pooler in the published file.
    assert sum(parameter.numel() for parameter in model.parameters()) == 117_074_176


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="multiple of 5"):
        DnaBert2Config(**(SMALL | {"num_attention_heads": 5}))
