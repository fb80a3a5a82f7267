"""The reverse process draws from the distribution that the model's conditionals define, at the cost it should."""

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, Probe, chi_square, sequence_counts, settings, two_step_law
from toy_models import LabelModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.diffusion import Schedule
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.order import ORDERS
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.reverse import revealed_fractions

N, LENGTH = 6000, 3


def counts(schedule="linear", seed=11, **changes):
    """How often each sequence of LENGTH bases comes up among N drawn from the toy Markov chain."""
    denoiser = as_denoiser(markov_model(), schedule)
    frame = generate(
        denoiser, labels=[None] * N, lengths=[LENGTH] * N, sampler=settings(**changes), seed=seed, batch_size=2000
    )
    return sequence_counts(frame.sequence, LENGTH)


def chain_law():
    return np.exp(markov_model().log_prob(all_sequences(LENGTH)))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "log-linear"])
def test_ancestral_with_many_steps_draws_from_the_chain(schedule):
    assert chi_square(counts(schedule, steps=20_000), chain_law()) > FALSE_ALARM


def test_ancestral_with_too_few_steps_is_told_from_the_chain():
    # Tokens revealed together are drawn independently; the chain's neighbours depend strongly on each other.
    assert chi_square(counts(steps=1), chain_law()) < 1e-9
    assert chi_square(counts(steps=2), chain_law()) < 1e-9


@pytest.mark.parametrize(
    ("schedule", "first"), [("linear", 1 / 2), ("cosine", 1 - np.cos(np.pi / 4)), ("polynomial", 3 / 4)]
)
def test_ancestral_with_two_steps_has_exactly_the_law_of_its_reveal_probabilities(schedule, first):
    drawn = counts(schedule, steps=2)
    assert chi_square(drawn, two_step_law(markov_model(), LENGTH, first)) > FALSE_ALARM
    # One step, and the sampler with another probability of revealing at first, are told from it.
    assert chi_square(drawn, two_step_law(markov_model(), LENGTH, 1.0)) < 1e-9
    assert chi_square(drawn, two_step_law(markov_model(), LENGTH, 0.02)) < 1e-9


@pytest.mark.parametrize("order", [name for name in ORDERS if name != "ancestral"])
def test_every_order_with_one_token_a_step_draws_from_the_chain(order):
    """An order that looks at predictions but not at the drawn token leaves the law as it is."""
    assert chi_square(counts(order=order, steps=LENGTH), chain_law()) > FALSE_ALARM


def test_keeping_the_draws_that_turned_out_probable_would_be_told_from_the_chain():
    """The usual confidence order draws everywhere and keeps the most probable draw: the test above rejects it."""
    model, generator = markov_model(), torch.Generator().manual_seed(0)
    seen = torch.full((N, LENGTH), -1)
    for _ in range(LENGTH):
        log_probs = model.base_log_probs(seen, torch.zeros(N, dtype=torch.long))
        drawn = torch.multinomial(log_probs.exp().view(-1, 4), 1, generator=generator).view(N, LENGTH)
        certain = log_probs.gather(-1, drawn[..., None])[..., 0].masked_fill(seen >= 0, -torch.inf)
        best = certain.argmax(1, keepdim=True)
        seen.scatter_(1, best, drawn.gather(1, best))
    sequences = ["".join("ACGT"[i] for i in row) for row in seen.tolist()]
    assert chi_square(sequence_counts(sequences, LENGTH), chain_law()) < 1e-9


def forwards(model, n=8, length=20, labels=None, **changes):
    calls = model.calls
    generate(
        as_denoiser(model),
        labels=labels or [None] * n,
        lengths=[length] * n,
        sampler=settings(**changes),
        seed=3,
        batch_size=n,
    )
    return model.calls - calls


@pytest.mark.parametrize("order", ORDERS)
def test_steps_that_reveal_nothing_cost_no_forward_pass(order):
    model = markov_model()
    if order == "entropy_bounded":  # its steps are as many as its budget wants
        assert forwards(model, order=order, steps=1) == 20
        assert forwards(model, order=order, steps=1, entropy_budget=100.0) == 1
        return
    assert forwards(model, order=order, steps=1) == 1
    assert forwards(model, order=order, steps=7) == 7
    many = forwards(model, order=order, steps=3000)
    assert 18 <= many <= 20  # one a token; two tokens may share one of 3,000 steps
    if order != "ancestral":
        assert many == 20


def test_finished_sequences_leave_the_batch():
    probe = Probe(np.full((6, 4), 1 / 4))
    forwards(probe, n=50, length=6, order="ancestral", steps=4)
    assert all((seen < 0).any(1).all() for seen in probe.seen)
    assert len(probe.seen[0]) == 50 > len(probe.seen[-1])


@pytest.mark.parametrize("order", ORDERS)
def test_a_revealed_token_stays(order):
    probe = Probe(np.full((12, 4), 1 / 4))
    frame = generate(
        as_denoiser(probe), labels=[None], lengths=[12], sampler=settings(order=order, steps=6), seed=4, batch_size=1
    )
    final = torch.tensor([["ACGT".index(base) for base in frame.sequence[0]]])
    for seen in probe.seen:
        assert torch.equal(seen[seen >= 0], final[seen >= 0])


def test_guidance_costs_a_second_forward_only_where_it_acts():
    model = LabelModel({"a": [0.7, 0.1, 0.1, 0.1], "b": [0.1, 0.1, 0.1, 0.7]})
    assert forwards(model, labels=["a"] * 8, order="random", steps=5) == 5
    assert forwards(model, labels=["a"] * 8, order="random", steps=5, guidance=1.0) == 10
    assert forwards(model, labels=[None] * 8, order="random", steps=5, guidance=1.0) == 5


def test_guided_predictions_are_the_formula_exactly():
    table = {"a": np.array([0.4, 0.3, 0.2, 0.1]), "b": np.array([0.1, 0.3, 0.2, 0.4])}
    plain = (table["a"] + table["b"]) / 2
    denoiser = as_denoiser(LabelModel({name: list(p) for name, p in table.items()}))
    predictor = Predictor(denoiser, ["b", None, "a"], 2, 1.5)
    tokens = torch.full((3, 2), predictor.mask_id)
    where = torch.tensor([[True, True], [False, True]])
    got = predictor(tokens, torch.tensor([2, 1]), where).exp().numpy()
    law = table["a"] ** 2.5 / plain**1.5
    np.testing.assert_allclose(got, [law / law.sum(), law / law.sum(), plain], rtol=1e-6)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_guidance_follows_its_closed_form(guidance):
    table = {"a": np.array([0.4, 0.3, 0.2, 0.1]), "b": np.array([0.1, 0.3, 0.2, 0.4])}
    plain = (table["a"] + table["b"]) / 2
    labels = ["a", "b", None] * 100
    frame = generate(
        as_denoiser(LabelModel({name: list(p) for name, p in table.items()})),
        labels=labels,
        lengths=[40] * 300,
        sampler=settings(guidance=guidance, steps=3),
        seed=8,
    )
    assert frame.label.tolist() == [label or "unlabelled" for label in labels]
    for label in ("a", "b", "unlabelled"):
        law = plain if label == "unlabelled" else table[label] ** (1 + guidance) / plain**guidance
        text = "".join(frame.sequence[frame.label == label])
        drawn = np.array([text.count(base) for base in "ACGT"])
        assert chi_square(drawn, law / law.sum()) > FALSE_ALARM
        if guidance and label != "unlabelled":
            assert chi_square(drawn, table[label]) < 1e-6


def test_fractions_follow_the_schedule():
    assert revealed_fractions(Schedule("linear"), 4).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert revealed_fractions(Schedule("log-linear"), 2).tolist() == pytest.approx([0.5, 1.0])
    assert revealed_fractions(Schedule("cosine"), 2).tolist() == pytest.approx([1 - 2**-0.5, 1.0])
