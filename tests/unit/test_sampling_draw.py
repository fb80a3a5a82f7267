"""Temperature, top-k, top-p and the draw itself, against definitions written out by hand."""

import math

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, chi_square, settings
from toy_models import FactorisedModel, as_denoiser

from diffusion_bert.sampling.draw import inverse_cdf, truncated
from diffusion_bert.sampling.generate import generate


def logs(*probabilities):
    return torch.tensor([probabilities], dtype=torch.float64).log()


def drawn_from(log_probs, temperature=1.0, top_p=1.0, top_k=None):
    return truncated(log_probs, temperature=temperature, top_p=top_p, top_k=top_k).exp().numpy()


def random_distributions(n=200, size=7):
    return np.random.default_rng(3).dirichlet(np.full(size, 0.7), n)


def nucleus(p, top_p):
    """The fewest tokens, most probable first, that hold top_p together; renormalised."""
    kept, total = [], 0.0
    for token in sorted(range(len(p)), key=lambda i: (-p[i], i)):
        kept.append(token)
        total += p[token]
        if total >= top_p:
            break
    return np.array([p[i] / total if i in kept else 0.0 for i in range(len(p))])


@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.9, 0.999])
def test_top_p_is_the_smallest_set_that_holds_p(top_p):
    p = random_distributions()
    expected = np.array([nucleus(row, top_p) for row in p])
    np.testing.assert_allclose(drawn_from(torch.from_numpy(p).log(), top_p=top_p), expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 7, 50])
def test_top_k_keeps_the_k_most_probable(k):
    p = random_distributions()
    expected = np.where(np.argsort(np.argsort(-p, axis=1), axis=1) < k, p, 0)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(drawn_from(torch.from_numpy(p).log(), top_k=k), expected, atol=1e-12)


def test_equal_probabilities_are_cut_by_id():
    even = logs(0.25, 0.25, 0.25, 0.25)
    assert drawn_from(even, top_k=2).tolist() == [[0.5, 0.5, 0, 0]]
    assert drawn_from(even, top_p=0.5).tolist() == [[0.5, 0.5, 0, 0]]
    assert drawn_from(even, top_p=0.51) == pytest.approx(np.array([[1 / 3, 1 / 3, 1 / 3, 0]]))


@pytest.mark.parametrize("temperature", [0.25, 0.7, 3.0])
def test_temperature_is_a_power_of_the_probabilities(temperature):
    p = random_distributions()
    expected = p ** (1 / temperature)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(drawn_from(torch.from_numpy(p).log(), temperature=temperature), expected, atol=1e-12)


def test_temperature_acts_before_top_p():
    # At temperature 0.5, .5 .3 .2 becomes .658 .237 .105: two tokens hold .85. Cut first, all three would stay.
    assert (drawn_from(logs(0.5, 0.3, 0.2), temperature=0.5, top_p=0.85) > 0).tolist() == [[True, True, False]]


def test_top_k_acts_before_top_p():
    # The top two of .4 .3 .3 become .571 .429, so the first alone holds .55. Cut by p first, two would stay.
    assert (drawn_from(logs(0.4, 0.3, 0.3), top_p=0.55, top_k=2) > 0).tolist() == [[True, False, False]]


def test_plain_settings_leave_the_distribution_untouched():
    p = torch.from_numpy(random_distributions()).log()
    assert torch.equal(truncated(p, temperature=1.0, top_p=1.0, top_k=None), p)
    assert truncated(p.float(), temperature=1.0, top_p=1.0, top_k=None).dtype == torch.float64


def test_a_uniform_number_picks_the_token_whose_interval_holds_it():
    p = logs(0.0, 0.5, 0.0, 0.25, 0.25, 0.0)
    u = torch.tensor([0.0, 0.4999, 0.5, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf(p.expand(6, -1), u).tolist() == [1, 1, 3, 3, 4, 4]


def test_a_token_as_rare_as_float64_allows_is_drawn():
    tiny = 1e-12
    u = torch.tensor([1 - tiny / 2], dtype=torch.float64)
    assert inverse_cdf(logs(1 - tiny, tiny), u).tolist() == [1]


BASES = np.array([0.4, 0.3, 0.2, 0.1])


def base_counts(**changes):
    """How often A, C, G, T come up among 12,000 independent positions."""
    model = FactorisedModel(np.tile(BASES, (30, 1)))
    frame = generate(
        as_denoiser(model), labels=[None] * 400, lengths=[30] * 400, sampler=settings(**changes), seed=5, batch_size=400
    )
    text = "".join(frame.sequence)
    return np.array([text.count(base) for base in "ACGT"])


LAWS = {
    "plain": ({}, BASES),
    "temperature": ({"temperature": 0.5}, BASES**2 / (BASES**2).sum()),
    "hot": ({"temperature": 2.0}, BASES**0.5 / (BASES**0.5).sum()),
    "top_p": ({"top_p": 0.6}, np.array([4, 3, 0, 0]) / 7),
    "top_k": ({"top_k": 3}, np.array([4, 3, 2, 0]) / 9),
    "top_k 1": ({"top_k": 1}, np.array([1.0, 0, 0, 0])),
}


@pytest.mark.parametrize("name", LAWS)
def test_generated_bases_follow_the_closed_form_of_the_draw_and_of_no_other(name):
    changes, law = LAWS[name]
    counts = base_counts(**changes)
    assert chi_square(counts, law) > FALSE_ALARM
    for other, (_, wrong) in LAWS.items():
        if other != name and not counts[wrong == 0].any():
            assert chi_square(counts, wrong) < 1e-9, other


def test_whole_nucleus_and_all_tokens_are_the_plain_draw():
    plain = base_counts()
    assert (base_counts(top_p=1.0, top_k=None) == plain).all()
    assert (base_counts(top_k=4) == plain).all()
    assert math.isclose(plain.sum(), 12000)
