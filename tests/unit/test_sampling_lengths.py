"""Exact lengths from tokens of varying length: the law of each draw against enumeration."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sampling_cases import chi_square
from sampling_cases import settings as sampler
from toy_models import TokenModel, as_denoiser

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.tokens import BpeTokenizer

SPELLED = torch.tensor([1, 1, 2, 3, 3])  # five tokens that may be drawn
HISTOGRAM = [6, 3, 1]
LAW = np.array([0.6, 0.3, 0.1])


@pytest.fixture(scope="module")
def tokenizer():
    return BpeTokenizer.trained(["ACGTACGTTTGACA", "TTGACATTGACA", "ACGTACGT"] * 20, 15, ["a", "b"])


def denoiser(tokenizer, weights=None, histogram=(10, 5, 2, 3)):
    weights = np.ones(tokenizer.vocab_size) if weights is None else weights
    made = as_denoiser(TokenModel(tokenizer, weights))
    made.settings["token_lengths"] = list(histogram)
    return made


def by_enumeration(length, most=None):
    """P(T) in proportion to the probability that T independent lengths sum to ``length``."""
    weights = {
        tokens: sum(np.prod(LAW[np.array(one) - 1]) for one in product((1, 2, 3), repeat=tokens) if sum(one) == length)
        for tokens in range(1, length + 1)
        if most is None or tokens <= most
    }
    return {tokens: weight / sum(weights.values()) for tokens, weight in weights.items()}


@pytest.mark.parametrize(("length", "most"), [(7, None), (7, 4), (3, None), (1, None)])
def test_the_number_of_tokens(length, most):
    law = Lengths(HISTOGRAM, SPELLED, length, most)
    expected = by_enumeration(length, most)
    got = law.counts.exp().numpy()
    for tokens in range(length + 1):
        assert got[tokens] == pytest.approx(expected.get(tokens, 0.0), abs=1e-12)
    drawn = law.number_of_tokens(torch.arange(20000)).numpy()
    observed = np.bincount(drawn, minlength=length + 1)
    kept = got > 0
    if kept.sum() > 1:
        assert chi_square(observed[kept], got[kept]) > 1e-3
    assert observed[~kept].sum() == 0


def test_no_number_of_tokens():
    with pytest.raises(
        UserError, match=r"7 bp was asked for, which no number of the model's tokens spells \(it takes at most 2"
    ):
        Lengths(HISTOGRAM, SPELLED, 7, 2)
    with pytest.raises(UserError, match="3 bp was asked for, which no number"):
        Lengths([0, 4], torch.tensor([2, 2]), 3)


@pytest.mark.parametrize(("positions", "after", "left"), [(2, 0, 4), (2, 2, 6), (3, 1, 7), (1, 0, 3), (1, 3, 5)])
def test_a_step_draws_from_the_exact_law(positions, after, left):
    """In proportion to the predictions and to what the tokens still masked can make of the rest."""
    law = Lengths(HISTOGRAM, SPELLED, 9)
    rng = np.random.default_rng(positions + 10 * left)
    p = rng.dirichlet(np.ones(len(SPELLED)), size=positions)
    lengths = SPELLED.numpy()

    def rest(bp):
        return sum(
            np.prod(LAW[np.array(one, dtype=int) - 1]) for one in product((1, 2, 3), repeat=after) if sum(one) == bp
        )

    outcomes = list(product(range(len(SPELLED)), repeat=positions))
    weights = np.array(
        [
            np.prod([p[i, token] for i, token in enumerate(one)]) * rest(left - lengths[list(one)].sum())
            for one in outcomes
        ]
    )
    n = 40000
    chosen = torch.zeros((n, 5), dtype=torch.bool)
    chosen[:, [0, 2, 4][:positions]] = True
    log_probs = torch.from_numpy(np.log(p)).repeat(n, 1)
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand((2, n * positions), generator=generator, dtype=torch.float64)
    columns = law.draw(
        log_probs, log_probs, chosen, torch.full((n,), left), torch.full((n,), after), noise[0], noise[1]
    ).reshape(n, positions)
    code = (columns.numpy() * len(SPELLED) ** np.arange(positions)[::-1]).sum(1)
    observed = np.bincount(code, minlength=len(outcomes))
    possible = weights > 0
    assert observed[~possible].sum() == 0
    assert law.fallbacks == 0
    if possible.sum() > 1:
        assert chi_square(observed[possible], (weights / weights.sum())[possible]) > 1e-3


def test_rows_with_fewer_positions():
    law = Lengths(HISTOGRAM, SPELLED, 9)
    chosen = torch.tensor([[True, True, True], [False, True, False]])
    log_probs = torch.full((4, 5), 0.2, dtype=torch.float64).log()
    for seed in range(50):
        noise = torch.rand((2, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        columns = law.draw(log_probs, log_probs, chosen, torch.tensor([8, 3]), torch.tensor([0, 0]), noise[0], noise[1])
        assert SPELLED[columns[:3]].sum() == 8
        assert SPELLED[columns[3]] == 3


def test_a_truncation_that_leaves_no_way_is_given_up_for_that_row():
    law = Lengths(HISTOGRAM, SPELLED, 9)
    full = torch.full((2, 5), 0.2, dtype=torch.float64).log()
    narrow = torch.full((2, 5), -torch.inf, dtype=torch.float64)
    narrow[:, 0] = 0.0  # nothing but a token of 1 bp
    chosen = torch.tensor([[True], [True]])
    noise = torch.full((2,), 0.5, dtype=torch.float64)
    columns = law.draw(narrow, full, chosen, torch.tensor([1, 3]), torch.tensor([0, 0]), noise, noise)
    assert columns[0] == 0
    assert SPELLED[columns[1]] == 3
    assert law.fallbacks == 1


ORDERS = ["ancestral", "random", "left_to_right", "confidence", "entropy", "margin"]


@hypothesis_settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from(ORDERS),
    st.integers(1, 12),
    st.sampled_from([1.0, 0.3]),
    st.sampled_from([None, {"passes": 2, "threshold": 0.3, "fraction": None, "steps": 2}]),
    st.integers(0, 1000),
)
def test_every_sequence_has_its_length(tokenizer, lengths, order, steps, top_p, refine, seed):
    weights = np.linspace(1, 30, tokenizer.vocab_size)  # the longest tokens come last
    made = generate(
        denoiser(tokenizer, weights),
        labels=[None] * len(lengths),
        lengths=lengths,
        sampler=sampler(refine, order=order, steps=steps, top_p=top_p),
        seed=seed,
    )
    assert made["sequence"].str.len().tolist() == lengths


def test_a_sequence_depends_on_its_seed_alone():
    tokenizer = BpeTokenizer.trained(["ACGTACGTTTGACA", "TTGACATTGACA"] * 20, 13, ["a"])
    lengths = [20, 20, 33, 20, 20, 33]
    arguments = {"sampler": sampler(steps=5, order="entropy"), "seed": 7}
    made = generate(denoiser(tokenizer), labels=["a"] * 6, lengths=lengths, **arguments)
    for size in (1, 2):
        again = generate(denoiser(tokenizer), labels=["a"] * 6, lengths=lengths, batch_size=size, **arguments)
        assert again["sequence"].tolist() == made["sequence"].tolist()
    tail = generate(denoiser(tokenizer), labels=["a"] * 2, lengths=lengths[4:], first_index=4, **arguments)
    assert tail["sequence"].tolist() == made["sequence"].tolist()[4:]
    other = generate(denoiser(tokenizer), labels=["a"] * 6, lengths=lengths, **{**arguments, "seed": 8})
    assert other["sequence"].tolist() != made["sequence"].tolist()


def test_a_model_that_does_not_say_how_long_its_tokens_are(tokenizer):
    made = as_denoiser(TokenModel(tokenizer, np.ones(tokenizer.vocab_size)))
    with pytest.raises(UserError, match=r"does not say how long its tokens are \(token_lengths\)"):
        generate(made, labels=[None], lengths=[10], sampler=sampler(), seed=1)
