"""The probability that a sampler is said to give a sequence is the one with which it draws it."""

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, chi_square, sequence_counts, settings
from toy_models import ToyModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.probability import bits_under_sampler

N, LENGTH = 6000, 3
EVERY = all_sequences(LENGTH)
NONE = [None] * len(EVERY)


class TornModel(ToyModel):
    """Predictions that agree with no single distribution: each set of tokens in sight has numbers of its own."""

    def __init__(self):
        super().__init__()
        self.logits = torch.randn(5**LENGTH, LENGTH, 4, generator=torch.Generator().manual_seed(5)).double()

    def base_log_probs(self, observed, labels):
        seen = ((observed + 1) * 5 ** torch.arange(observed.shape[1])).sum(1)
        return torch.log_softmax(1.5 * self.logits[seen], -1)


def law(**changes):
    """The probabilities of all sequences of LENGTH bases."""
    return 2 ** (
        -LENGTH * bits_under_sampler(as_denoiser(TornModel()), EVERY, NONE, settings(**changes), batch_size=50)
    )


def drawn(**changes):
    asked = {"labels": [None] * N, "lengths": [LENGTH] * N, "seed": 3, "batch_size": 2000}
    return sequence_counts(generate(as_denoiser(TornModel()), sampler=settings(**changes), **asked)["sequence"], LENGTH)


@pytest.mark.parametrize(
    "changes",
    [
        {"order": "left_to_right", "steps": 3},
        {"order": "left_to_right", "steps": 2},
        {"order": "confidence", "steps": 3},
        {"order": "entropy", "steps": 3},
        {"order": "entropy", "steps": 2, "temperature": 0.8},
        {"order": "margin", "steps": 3, "top_k": 3},
        {"order": "entropy", "steps": 3, "top_p": 0.8},
        {"order": "entropy_bounded", "entropy_budget": 1.0},
    ],
)
def test_the_law_sums_to_one_and_is_that_of_the_draws(changes):
    expected = law(**changes)
    assert expected.sum() == pytest.approx(1, abs=1e-9)
    assert chi_square(drawn(**changes), expected) > FALSE_ALARM


def test_another_order_of_the_same_network_is_another_law():
    of_draws = drawn(order="entropy", steps=3)
    for other in ({"order": "left_to_right", "steps": 3}, {"order": "entropy", "steps": 1}):
        assert chi_square(of_draws, law(**other)) < 1e-9


def test_one_base_at_a_time_every_order_has_the_law_of_a_chain_whose_conditionals_agree():
    model = markov_model()
    for order in ("left_to_right", "confidence", "entropy", "margin", "random"):
        bits = bits_under_sampler(as_denoiser(model), EVERY, NONE, settings(order=order, steps=LENGTH))
        np.testing.assert_allclose(bits * LENGTH, -model.log_prob(EVERY) / np.log(2), atol=1e-6)


def test_the_mean_over_random_orders_is_the_evidence_bound():
    """Hoogeboom et al. 2022: the bound is the mean of -log p over all orders, one token at a time."""
    denoiser, some = as_denoiser(TornModel()), EVERY[:20]
    of_orders = [
        bits_under_sampler(denoiser, some, [None] * 20, settings(order="random", steps=LENGTH), seed=seed)
        for seed in range(200)
    ]
    bound, error = bits_per_base(denoiser, some, [None] * 20, samples=2000)
    spread = np.std(of_orders, axis=0) / len(of_orders) ** 0.5
    assert (np.abs(np.mean(of_orders, axis=0) - bound) < 4.5 * np.hypot(spread, error)).all()


def test_what_truncation_cuts_off_is_impossible():
    bits = bits_under_sampler(as_denoiser(TornModel()), EVERY, NONE, settings(order="entropy", steps=3, top_k=1))
    assert np.isfinite(bits).sum() == 1
    assert bits[np.isfinite(bits)] == 0


def test_lengths_mix_and_batches_change_nothing():
    denoiser = as_denoiser(markov_model())
    mixed = ["A", "ACG", "AC", "TTG", "G"]
    how = settings(order="entropy", steps=3)
    whole = bits_under_sampler(denoiser, mixed, [None] * 5, how)
    single = [bits_under_sampler(denoiser, [one], [None], how)[0] for one in mixed]
    np.testing.assert_allclose(whole, single, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refine": {"passes": 1, "threshold": 0.1}}, "draws tokens again"),
        ({"remask": {"strategy": "capped"}}, "draws tokens again"),
        ({"order": "entropy", "guide": {"method": "best_of"}}, "among candidates"),
        ({"guide": {"method": "best_of"}}, "chooses among candidates"),
    ],
)
def test_samplers_without_such_a_probability_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        bits_under_sampler(as_denoiser(markov_model()), ["ACG"], [None], settings(**changes))


def test_sequences_with_other_letters_are_refused():
    with pytest.raises(ValueError, match="nothing but A, C, G, T"):
        bits_under_sampler(as_denoiser(markov_model()), ["ANG"], [None], settings(order="entropy"))
