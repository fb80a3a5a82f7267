"""Refinement re-masks what the model doubts, nothing else, and stops when it doubts no more."""

import math

import numpy as np
import pytest
import torch
from sampling_cases import Probe, settings
from toy_models import FactorisedModel, ToyModel, as_denoiser, markov_model

from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.refine import GROUPS, confidence, doubtful


def made(model, n=40, length=20, seed=6, refine=None, **changes):
    sampler = settings(refine, **changes)
    frame = generate(as_denoiser(model), labels=[None] * n, lengths=[length] * n, sampler=sampler, seed=seed)
    return frame.sequence.tolist()


def letters(sequences):
    return np.array([list(sequence) for sequence in sequences])


def confidences(model, sequences):
    denoiser = as_denoiser(model)
    tokens = torch.as_tensor(denoiser.tokenizer.encode(sequences).astype(np.int64))
    predictor = Predictor(denoiser, [None] * len(sequences), tokens.shape[1], 0.0)
    return confidence(tokens, torch.arange(len(sequences)), predictor).numpy()


@pytest.mark.parametrize("length", [1, 5, GROUPS])
def test_confidence_is_the_probability_given_all_others_in_short_sequences(length):
    model = markov_model()
    sequences = made(model, n=10, length=length)
    index = torch.from_numpy(np.vectorize("ACGT".index)(letters(sequences)))
    expected = np.empty((10, length))
    for position in range(length):
        seen = index.clone()
        seen[:, position] = -1
        log_probs = model.base_log_probs(seen, torch.zeros(10, dtype=torch.long))[:, position]
        expected[:, position] = log_probs.exp().gather(1, index[:, position, None])[:, 0]
    np.testing.assert_allclose(confidences(model, sequences), expected, rtol=1e-5)


def test_confidence_masks_every_position_once_and_no_two_within_reach_of_each_other():
    probe = Probe(np.full((50, 4), 1 / 4))
    confidences(probe, made(FactorisedModel(np.full((50, 4), 1 / 4)), n=3, length=50))
    assert len(probe.seen) == GROUPS
    hidden = np.stack([(seen[0] < 0).numpy() for seen in probe.seen])
    assert (hidden.sum(0) == 1).all()
    assert all((np.diff(np.flatnonzero(row)) == GROUPS).all() for row in hidden)


def test_a_token_that_is_seen_tells_nothing_about_itself():
    """A model that copies what it sees is sure of every visible token; confidence must not come from there."""

    class Copier(ToyModel):
        def base_log_probs(self, observed, labels):
            copied = torch.nn.functional.one_hot(observed.clamp(min=0), 4).double()
            return torch.where(observed[..., None] >= 0, copied * 0.996 + 0.001, 0.25).log()

    assert confidences(Copier(), ["ACGTACGTACGT"]) == pytest.approx(np.full((1, 12), 0.25))


def test_which_tokens_are_doubtful():
    values = torch.tensor([[0.5, 0.1, 0.3, 0.2], [0.9, 0.8, 0.7, 0.95]], dtype=torch.float64)
    below = [[False, True, False, True], [False] * 4]
    none = torch.zeros_like(values, dtype=torch.bool)
    assert doubtful(values, 0.3, None, none).tolist() == below  # a token at the threshold is not below it
    assert doubtful(values, None, 0.5, none).tolist() == [[False, True, False, True], [False, True, True, False]]
    assert doubtful(values, None, 0.3, none).sum(1).tolist() == [math.ceil(0.3 * 4)] * 2
    settled = torch.tensor([[False, True, True, False], [True] * 4])
    assert doubtful(values, 0.3, None, settled).tolist() == [[False, False, False, True], [False] * 4]
    assert doubtful(values, None, 0.5, settled).tolist() == [[False, False, False, True], [False] * 4]


@pytest.mark.parametrize("order", ["ancestral", "confidence"])
@pytest.mark.parametrize("choice", [{"threshold": 0.25}, {"fraction": 0.2}])
def test_one_pass_changes_only_what_was_doubtful(order, choice):
    model = markov_model()
    before = made(model, order=order, steps=3)
    after = made(model, order=order, steps=3, refine={"passes": 1, **choice})
    allowed = doubtful(
        torch.from_numpy(confidences(model, before)),
        choice.get("threshold"),
        choice.get("fraction"),
        torch.zeros(1, 20, dtype=torch.bool).expand(40, -1),
    ).numpy()
    changed = letters(before) != letters(after)
    assert not (changed & ~allowed).any()
    assert changed.sum() > 0.3 * allowed.sum()


def test_refinement_mends_what_parallel_draws_broke():
    """Tokens drawn together ignore each other. Once looked at in context, the improbable ones are drawn anew."""
    model = markov_model()
    exact = model.log_prob(made(model, n=200, steps=2000)).mean()
    hasty = model.log_prob(made(model, n=200, steps=1)).mean()
    mended = model.log_prob(made(model, n=200, steps=1, refine={"passes": 4, "threshold": 0.15, "steps": 20})).mean()
    assert hasty < exact - 1
    assert mended > hasty + 1


def test_refinement_stops_when_nothing_is_below_the_threshold():
    sure = np.tile([0.9, 0.05, 0.03, 0.02], (16, 1))
    probe = Probe(sure)
    sequences = made(probe, n=8, length=16, steps=1, refine={"passes": 50, "threshold": 0.5, "steps": 1})
    assert set("".join(sequences)) == {"A"}  # everything else was below the threshold and was drawn again
    passes = len(probe.seen) - 1
    assert passes < 50 * (GROUPS + 1)
    # Sequences without doubt are left out of the later passes, and the last look finds none left.
    sizes = [len(seen) for seen in probe.seen[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 8
    assert passes % (GROUPS + 1) == GROUPS


def test_nothing_below_the_threshold_costs_one_look_and_changes_nothing():
    model = FactorisedModel(np.full((16, 4), 1 / 4))
    plain = made(model, length=16, steps=2)
    calls = model.calls
    assert made(model, length=16, steps=2, refine={"passes": 5, "threshold": 0.2}) == plain
    assert model.calls - calls == 2 + GROUPS


def test_confidence_is_that_of_the_distribution_before_truncation_and_temperature():
    model = FactorisedModel(np.tile([0.4, 0.3, 0.2, 0.1], (16, 1)))
    for changes in ({"top_k": 1}, {"top_p": 0.3}, {"temperature": 0.01}):
        calls = model.calls
        made(model, length=16, steps=1, refine={"passes": 1, "threshold": 0.41, "steps": 1}, **changes)
        assert model.calls - calls == 1 + GROUPS + 1  # .4 < .41: doubted, though the draw was certain
        calls = model.calls
        made(model, length=16, steps=1, refine={"passes": 1, "threshold": 0.39, "steps": 1}, **changes)
        assert model.calls - calls == 1 + GROUPS


def test_each_pass_draws_with_numbers_of_its_own():
    model = FactorisedModel(np.full((100, 4), 1 / 4))
    first = letters(made(model, length=100))
    second = letters(made(model, length=100, refine={"passes": 1, "fraction": 1.0}))
    third = letters(made(model, length=100, refine={"passes": 2, "fraction": 1.0}))
    for one, other in ((first, second), (second, third), (first, third)):
        assert (one == other).mean() == pytest.approx(0.25, abs=0.03)  # 4,000 bases: 4.4 standard deviations


def test_refinement_has_steps_of_its_own():
    model = FactorisedModel(np.full((16, 4), 1 / 4))
    for steps in (1, 4):
        calls = model.calls
        made(model, length=16, steps=2, order="random", refine={"passes": 1, "fraction": 0.5, "steps": steps})
        assert model.calls - calls == 2 + GROUPS + steps
