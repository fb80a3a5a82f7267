"""Which positions are revealed when: each order shows itself to a probe that no other order would satisfy."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, Probe, chi_square, settings
from toy_models import as_denoiser

from diffusion_bert.diffusion import Schedule
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.order import ORDERS, quotas
from diffusion_bert.sampling.reverse import dense, revealed_fractions

# Three positions whose order by confidence, by entropy, by margin and from left to right are all different.
POSITIONS = [[0.50, 0.48, 0.01, 0.01], [0.55, 0.15, 0.15, 0.15], [0.58, 0.40, 0.01, 0.01]]
EXPECTED = {
    "left_to_right": [0, 1, 2],
    "confidence": [2, 1, 0],
    "entropy": [2, 0, 1],
    "entropy_bounded": [2, 0, 1],  # with no budget, one at a time
    "margin": [1, 2, 0],
}


def reveal_order(order, n=1, seed=0, probabilities=POSITIONS):
    """Positions in the order in which each of n sequences reveals them, one a step."""
    length = len(probabilities)
    probe = Probe(probabilities)
    sampler = settings(order=order, steps=length)
    generate(as_denoiser(probe), labels=[None] * n, lengths=[length] * n, sampler=sampler, seed=seed, batch_size=n)
    hidden = [(seen < 0).numpy() for seen in probe.seen] + [np.zeros((n, length), dtype=bool)]
    assert [h.sum(1).tolist() for h in hidden] == [[left] * n for left in range(length, -1, -1)]
    return [tuple(x) for x in np.stack([(a & ~b).argmax(1) for a, b in itertools.pairwise(hidden)], 1).tolist()]


@pytest.mark.parametrize("order", EXPECTED)
def test_order_reveals_in_its_own_order(order):
    for seed in range(3):
        assert reveal_order(order, seed=seed) == [tuple(EXPECTED[order])]


def test_random_order_is_uniform_over_permutations():
    counts = Counter(reveal_order("random", n=240))
    assert len(counts) == 6
    assert chi_square(np.array(list(counts.values())), np.full(6, 1 / 6)) > FALSE_ALARM


@pytest.mark.parametrize("order", ["confidence", "entropy", "margin"])
def test_ties_are_broken_at_random(order):
    counts = Counter(reveal_order(order, n=240, probabilities=[POSITIONS[0]] * 3))
    assert len(counts) == 6
    assert chi_square(np.array(list(counts.values())), np.full(6, 1 / 6)) > FALSE_ALARM


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial", "log-linear"])
@pytest.mark.parametrize("order", [name for name in ORDERS if name not in ("ancestral", "entropy_bounded")])
def test_counts_a_step_follow_the_schedule(order, schedule):
    steps, length = 5, 40
    probe = Probe(np.full((length, 4), 1 / 4))
    sampler = settings(order=order, steps=steps)
    generate(as_denoiser(probe, schedule), labels=[None] * 3, lengths=[length] * 3, sampler=sampler, seed=2)
    revealed = [(seen >= 0).sum(1).tolist() for seen in probe.seen] + [[length] * 3]
    alpha = [float(Schedule(schedule).alpha(torch.tensor(1 - k / steps).double())) for k in range(steps + 1)]
    expected = [int(np.floor(length * (a - alpha[0]) / (1 - alpha[0]) + 0.5)) for a in alpha]
    assert revealed == [[n] * 3 for n in expected]
    assert {"linear": 8, "cosine": 2}.get(schedule, expected[1]) == expected[1]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "log-linear"])
def test_ancestral_reveals_each_token_independently_with_the_probability_of_the_schedule(schedule):
    n, length, steps = 4000, 6, 4
    alphas = Schedule(schedule).alpha(torch.arange(steps, -1, -1).double() / steps).numpy()
    fractions = revealed_fractions(Schedule(schedule), steps)
    u = torch.rand((n, length), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = ORDERS["ancestral"].plan(torch.ones((n, length), dtype=torch.bool), fractions, u).numpy()
    still = np.ones_like(plan, dtype=bool)
    for step in range(steps):
        now = still & (plan == step)
        p = (alphas[step + 1] - alphas[step]) / (1 - alphas[step]) if step < steps - 1 else 1.0
        assert chi_square(np.array([now[still].sum(), (~now)[still].sum()]), [p, 1 - p]) > FALSE_ALARM
        still &= ~now
    assert not still.any()
    # Independent tokens: the number revealed in step 1 is binomial. An order with exact counts has one number only.
    p = float(fractions[0])
    binomial = np.array([1.0])
    for _ in range(length):
        binomial = np.convolve(binomial, [1 - p, p])
    assert chi_square(np.bincount((plan == 0).sum(1), minlength=length + 1), binomial) > FALSE_ALARM


# Entropies of 0, 0.47, 1, 1.36 and 2 bits.
GRADED = [[1 / 4] * 4, [0.5, 0.5, 0, 0], [1, 0, 0, 0], [0.7, 0.1, 0.1, 0.1], [0.9, 0.1, 0, 0]]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0.0, [{2, 4}, {1}, {3}, {0}]),  # what is certain costs nothing
        (0.46, [{2, 4}, {1}, {3}, {0}]),
        (0.48, [{2, 4, 1}, {3}, {0}]),
        (1.4, [{2, 4, 1}, {3, 0}]),
        (1.5, [{2, 4, 1, 3}, {0}]),
        (3.0, [{0, 1, 2, 3, 4}]),
    ],
)
@pytest.mark.parametrize("steps", [1, 64])
def test_the_entropy_bounded_order_reveals_what_its_budget_allows(budget, expected, steps):
    """The largest entropy of a step is free: the others' sum to the budget at most. The number of steps is its own."""
    probe = Probe(np.maximum(GRADED, 1e-30))
    sampler = settings(order="entropy_bounded", entropy_budget=budget, steps=steps)
    generate(as_denoiser(probe), labels=[None] * 4, lengths=[5] * 4, sampler=sampler, seed=1)
    hidden = [(seen < 0).numpy() for seen in probe.seen] + [np.zeros((4, 5), dtype=bool)]
    revealed = [set(np.flatnonzero((a & ~b)[0])) for a, b in itertools.pairwise(hidden)]
    assert revealed == expected
    assert all((a == a[0]).all() for a in hidden)


def test_each_sequence_has_a_budget_of_its_own():
    probe = Probe([[1 / 4] * 4] * 12)
    model = as_denoiser(probe)
    sampler = settings(order="entropy_bounded", entropy_budget=4.0)
    generate(model, labels=[None] * 3, lengths=[12] * 3, sampler=sampler, seed=1)
    assert [(seen < 0).sum(1).tolist() for seen in probe.seen] == [[n] * 3 for n in (12, 9, 6, 3)]


def test_quotas_end_with_every_masked_token():
    masked = torch.tensor([[True] * 7, [True, False, True, False, True, False, False]])
    counts = quotas(masked, revealed_fractions(Schedule("cosine"), 3))
    assert counts[:, -1].tolist() == [7, 3]
    assert (counts.diff(dim=1) >= 0).all()


def test_dense_renumbers_the_steps_of_each_row():
    generator = np.random.default_rng(1)
    steps = generator.integers(0, 50, (40, 12))
    used = generator.random((40, 12)) < 0.6
    used[0], used[1] = False, True
    got = dense(torch.from_numpy(steps), torch.from_numpy(used)).numpy()
    for row, in_use, numbers in zip(steps, used, got, strict=True):
        places = {step: place for place, step in enumerate(sorted(set(row[in_use])))}
        assert numbers.tolist() == [places[s] if u else -1 for s, u in zip(row, in_use, strict=True)]
