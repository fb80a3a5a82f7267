"""What holds of both published architectures: padding, gradients, precision, and training from scratch."""

import logging

import numpy as np
import pytest
import torch
from backbone_cases import DNABERT2, NUCLEOTIDE_TRANSFORMER, checkpointed, gradients
from torch.nn.functional import cross_entropy


@pytest.fixture(params=[DNABERT2, NUCLEOTIDE_TRANSFORMER], ids=lambda kind: kind.folder)
def kind(request):
    return request.param


def test_nothing_is_warned_of(kind, tmp_path, caplog):
    if not kind.cases:
        pytest.skip("the reference checkpoints are not beside this checkout")
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        model, arrays = kind.reference(kind.cases[0])
        model(arrays["input_ids"], attention_mask=arrays["attention_mask"])
        model.resize_token_embeddings(model.config.vocab_size + 1, mean_resizing=False)
        model.save_pretrained(tmp_path)
        kind.model.from_pretrained(tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [(DNABERT2, {}), (NUCLEOTIDE_TRANSFORMER, {}), (NUCLEOTIDE_TRANSFORMER, NUCLEOTIDE_TRANSFORMER.switches)],
    ids=["dnabert2", "nt_v2", "nt_v2-switches-on"],
)
@torch.no_grad()
def test_padding_changes_no_logit_whatever_lies_there(kind, changes):
    model = kind.small(**changes)
    ids, real = kind.batch()
    logits = model(ids, attention_mask=real).logits
    for pads in (1, 13):
        rubbish = torch.full((len(ids), pads), kind.mask)
        wider = torch.cat([torch.where(real == 1, ids, 5), rubbish], 1)
        mask = torch.cat([real, torch.zeros_like(rubbish)], 1)
        got = model(wider, attention_mask=mask).logits[:, : ids.shape[1]]
        torch.testing.assert_close(got[real == 1], logits[real == 1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_a_mask_padding_is_what_has_its_id(kind):
    model = kind.small()
    ids, real = kind.batch()
    ids[real == 0] = model.config.pad_token_id
    assert torch.equal(model(ids).logits, model(ids, attention_mask=real).logits)


def test_states_are_kept_only_on_request(kind):
    ids, real = kind.batch()
    model = kind.small()
    assert model(ids, attention_mask=real).hidden_states is None
    model.config.output_hidden_states = True
    assert len(model(ids, attention_mask=real).hidden_states) == kind.states


def test_a_frozen_head_stays_frozen_when_tokens_are_added(kind):
    model = kind.small().requires_grad_(False)
    model.resize_token_embeddings(31, mean_resizing=False)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_gradients_are_the_same_with_checkpointing(kind):
    ids, real = kind.batch()
    plain = gradients(kind.small().train(), ids, real)
    passes = []
    model = checkpointed(kind.small().train())
    getattr(model.base_model.encoder.layer[0], kind.inner).register_forward_hook(lambda *_: passes.append(1))
    again = gradients(model, ids, real)
    assert len(passes) == 2  # once forward, once more on the way back
    assert set(plain) == set(again)
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-6, atol=1e-7, msg=name)


def test_bfloat16_runs_and_trains_with_checkpointing(kind):
    ids, real = kind.batch()
    with torch.no_grad():
        exact = kind.small()(ids, attention_mask=real).logits
        rough = kind.small().to(torch.bfloat16)(ids, attention_mask=real).logits
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact)[real == 1].abs().max() < 0.05 * exact.abs().max()
    found = gradients(checkpointed(kind.small().to(torch.bfloat16).train()), ids, real)
    assert all(gradient.isfinite().all() for gradient in found.values())


def test_bfloat16_autocast_is_close_to_float32(kind):
    ids, real = kind.batch()
    with torch.no_grad():
        exact = kind.small()(ids, attention_mask=real).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = kind.small()(ids, attention_mask=real).logits
    assert (rough.float() - exact)[real == 1].abs().max() < 0.05 * exact.abs().max()


def test_inference_first_leaves_training_as_it_is(kind):
    ids, real = kind.batch()
    model = kind.small()
    with torch.inference_mode():
        model(ids, attention_mask=real)
    model.train()
    expected = gradients(kind.small().train(), ids, real)
    for name, gradient in gradients(model, ids, real).items():
        assert torch.equal(gradient, expected[name]), name


def test_dropout_acts_in_training_only(kind):
    ids, real = kind.batch()
    for dropout in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        model = kind.small(**{dropout: 0.5})
        with torch.no_grad():
            assert torch.equal(model(ids, attention_mask=real).logits, kind.small()(ids, attention_mask=real).logits)
            model.train()
            first, second = (model(ids, attention_mask=real).logits for _ in range(2))
        assert not torch.allclose(first, second)


def test_from_scratch_every_token_is_as_likely_and_every_weight_learns(kind):
    torch.manual_seed(0)
    model = kind.model(kind.config(**(kind.sizes | kind.switches)))
    for name, parameter in model.named_parameters():
        is_norm = name.endswith(".weight") and parameter.ndim == 1
        assert parameter.mean().item() == pytest.approx(float(is_norm), abs=0.01), name
        assert parameter.std(correction=0).item() == pytest.approx(0.02 if parameter.ndim == 2 else 0.0, rel=0.2), name
    ids, real = kind.batch()
    loss = cross_entropy(model(ids, attention_mask=real).logits[real == 1], ids[real == 1])
    assert loss.item() == pytest.approx(np.log(kind.sizes["vocab_size"]), abs=0.1)
    for name, gradient in gradients(model, ids, real).items():
        assert gradient.abs().max() > 0, name
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        gradients(model, ids, real)
        optimizer.step()
    logits = model(ids, attention_mask=real).logits
    assert cross_entropy(logits[real == 1], ids[real == 1]) < 0.5
