import itertools
import math

import numpy as np
import pytest
import torch
from toy_models import (
    CHAIN_START,
    CHAIN_TRANSITION,
    FactorisedModel,
    MarkovModel,
    ToyModel,
    UniformModel,
    all_sequences,
    as_denoiser,
    markov_model,
)

from diffusion_bert.diffusion import (
    BITS,
    SCHEDULES,
    Schedule,
    bound_of_counts,
    cross_entropy,
    mask,
    mask_counts,
    restrict,
    stratified_counts,
    stratified_times,
    training_weight,
)
from diffusion_bert.tokens import BaseTokenizer

SCHEDULE_SET = [Schedule(name) for name in SCHEDULES] + [Schedule("polynomial", power=3.0)]


@pytest.mark.parametrize("schedule", SCHEDULE_SET, ids=str)
class TestSchedules:
    def test_alpha_falls_from_one_to_zero(self, schedule):
        t = torch.linspace(0, 1, 101, dtype=torch.float64)
        alpha = schedule.alpha(t)
        assert alpha[0] == pytest.approx(1, abs=1e-12)
        assert alpha[-1] == pytest.approx(1e-3 if schedule.name == "log-linear" else 0, abs=1e-12)
        assert (alpha.diff() < 0).all()

    def test_alpha_prime_is_the_derivative(self, schedule):
        t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64, requires_grad=True)
        (derivative,) = torch.autograd.grad(schedule.alpha(t).sum(), t)
        torch.testing.assert_close(schedule.alpha_prime(t.detach()), derivative)

    def test_weight(self, schedule):
        t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
        torch.testing.assert_close(schedule.weight(t), -schedule.alpha_prime(t) / (1 - schedule.alpha(t)))

    def test_weight_is_exact_at_small_times_in_single_precision(self, schedule):
        t = torch.tensor([1e-4, 1e-3])
        exact = schedule.weight(t.double())
        torch.testing.assert_close(schedule.weight(t).double(), exact, rtol=1e-4, atol=0)


def test_weights_of_the_linear_schedule_are_one_over_t():
    t = torch.tensor([0.01, 0.5, 1.0])
    torch.testing.assert_close(training_weight(Schedule(), t, "elbo"), torch.tensor([100.0, 2.0, 1.0]))
    torch.testing.assert_close(training_weight(Schedule(), t, "clipped", 10.0), torch.tensor([10.0, 2.0, 1.0]))
    torch.testing.assert_close(training_weight(Schedule(), t, "unweighted"), torch.ones(3))
    with pytest.raises(ValueError, match="max_weight"):
        training_weight(Schedule(), t, "clipped")
    with pytest.raises(ValueError, match="weighting must be one of"):
        training_weight(Schedule(), t, "flat")
    with pytest.raises(ValueError, match="schedule must be one of linear, cosine, polynomial, log-linear"):
        Schedule("Linear")


def test_stratified_times_put_one_time_in_each_stratum():
    t = stratified_times(64, 0.1, torch.Generator().manual_seed(0))
    strata = ((t - 0.1) / 0.9 * 64).floor()
    assert strata.tolist() == list(range(64))
    means = [float(stratified_times(8, 0.0, torch.Generator().manual_seed(seed)).mean()) for seed in range(200)]
    assert np.mean(means) == pytest.approx(0.5, abs=0.005)
    assert np.std(means) < 0.02  # eight independent times would give 0.10


def framed(sequences, labels=None, tokenizer=None):
    tokenizer = tokenizer or BaseTokenizer()
    ids, _ = tokenizer.frame(tokenizer.encode(sequences), labels or [None] * len(sequences))
    ids = torch.from_numpy(ids)
    return ids, torch.from_numpy(tokenizer.is_base)[ids], tokenizer


def test_special_tokens_and_unknown_bases_are_never_masked():
    ids, maskable, tokenizer = framed(["ACGTN" * 20, "AC"], ["x", None], BaseTokenizer(["x"]))
    generator = torch.Generator().manual_seed(0)
    for masked_ids, masked in (
        mask(ids, maskable, torch.zeros(2), tokenizer.mask_id, generator),
        mask_counts(ids, maskable, torch.tensor([80, 2]), tokenizer.mask_id, generator),
    ):
        assert torch.equal(masked, maskable)
        assert masked.sum(-1).tolist() == [80, 2]
        assert torch.equal(masked_ids[~masked], ids[~masked])
        assert (masked_ids[masked] == tokenizer.mask_id).all()


def test_masking_keeps_a_share_alpha():
    ids, maskable, tokenizer = framed(["ACGT" * 2500] * 3)
    _, masked = mask(ids, maskable, torch.tensor([1.0, 0.7, 0.0]), tokenizer.mask_id, torch.Generator().manual_seed(0))
    share = masked.sum(-1) / 10000
    assert share[0] == 0
    assert float(share[1]) == pytest.approx(0.3, abs=0.02)
    assert share[2] == 1


def test_counts_are_exact_and_each_token_is_as_likely():
    ids, maskable, tokenizer = framed(["ACGTNACG"] * 7000)
    counts = torch.arange(7000) % 7 + 1
    _, masked = mask_counts(ids, maskable, counts, tokenizer.mask_id, torch.Generator().manual_seed(0))
    assert torch.equal(masked.sum(-1), counts)
    shares = masked.sum(0)[maskable[0]] / 7000
    assert shares.numpy() == pytest.approx(np.full(7, 4 / 7), abs=0.03)
    assert stratified_counts(torch.tensor([4] * 4), torch.tensor([0.0, 0.3, 0.6, 0.9999999])).tolist() == [1, 2, 3, 4]


def test_no_mass_on_tokens_that_are_not_allowed():
    allowed = torch.from_numpy(BaseTokenizer().is_base)
    p = restrict(torch.zeros(2, 3, 10), allowed).softmax(-1)
    assert p[..., allowed].unique().tolist() == [0.25]
    assert p[..., ~allowed].unique().tolist() == [0.0]


def test_masked_tokens_alone_cost_and_learn():
    # 5 known bases of which 2 are masked, an unknown one, and padding: uniform logits cost log 4 a masked base.
    ids, maskable, tokenizer = framed(["ACGTNA", "AC"])
    masked = torch.zeros_like(maskable)
    masked[0, 2:4] = True
    logits = torch.zeros(*ids.shape, tokenizer.vocab_size, requires_grad=True)
    allowed = torch.from_numpy(tokenizer.is_base)
    nats = cross_entropy(logits, ids, masked, allowed)
    assert nats.tolist() == pytest.approx([2 * math.log(4), 0.0])
    nats.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~masked] == 0).all()
    assert (logits.grad[..., ~allowed] == 0).all()


def exact_bound(model: ToyModel, sequence: str) -> float:
    """The NELBO in nats with every set of masked positions enumerated: over sets S, (|S|-1)! (L-|S|)! / L! * CE(S),
    which is the integral over t of weight(t) * P(S masked at t) for any schedule from 1 to 0."""
    ids, _, tokenizer = framed([sequence])
    length = len(sequence)
    sets = [s for k in range(1, length + 1) for s in itertools.combinations(range(length), k)]
    masked = torch.zeros(len(sets), ids.shape[1], dtype=torch.bool)
    for row, chosen in zip(masked, sets, strict=True):
        row[[2 + i for i in chosen]] = True
    ids = ids.expand(len(sets), -1)
    inputs = ids.masked_fill(masked, tokenizer.mask_id)
    nats = cross_entropy(model(inputs).logits, ids, masked, torch.from_numpy(tokenizer.is_base)).double()
    weights = torch.tensor([1 / (len(s) * math.comb(length, len(s))) for s in sets], dtype=torch.float64)
    return float((weights * nats).sum())


class BlurredMarkov(MarkovModel):
    """A Markov denoiser that believes half of what it knows: inexact conditionals."""

    def base_log_probs(self, observed, labels):
        return (super().base_log_probs(observed, labels).exp() / 2 + 1 / 8).log()


def log_prob_of_generation(model: ToyModel, sequence: str) -> float:
    """log p of ending in this sequence when tokens are revealed in random order, one by one: orders enumerated."""
    ids, _, tokenizer = framed([sequence])
    orders = list(itertools.permutations(range(len(sequence))))
    p = 0.0
    for order in orders:
        inputs = ids.clone()
        inputs[:, tokenizer.content] = tokenizer.mask_id
        one = 1.0
        for i in order:
            log_p = torch.log_softmax(model(inputs).logits[0, 2 + i, tokenizer.base_ids], -1)
            one *= math.exp(float(log_p[ids[0, 2 + i] - tokenizer.base_ids[0]]))
            inputs[0, 2 + i] = ids[0, 2 + i]
        p += one / len(orders)
    return math.log(p)


class TestTheBoundAgainstEnumeratedLikelihood:
    """With exact conditionals every order of unmasking has the probability p(x), so the bound is tight for each
    sequence; with inexact ones the orders disagree and it lies above -log p of what the reverse process generates."""

    @pytest.mark.parametrize("sequence", ["ACGTCA", "TTTTTT", "CATGAC"])
    def test_tight_for_exact_conditionals_of_a_markov_chain(self, sequence):
        model = markov_model()
        assert exact_bound(model, sequence) == pytest.approx(-model.log_prob([sequence])[0], rel=1e-5)

    def test_tight_for_independent_positions(self):
        probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=5)
        model = FactorisedModel(probabilities)
        assert exact_bound(model, "GATTA") == pytest.approx(-model.log_prob(["GATTA"])[0], rel=1e-5)

    def test_two_bits_a_base_for_uniform_logits(self):
        assert exact_bound(UniformModel(), "ACGTA") * BITS == pytest.approx(10, rel=1e-6)

    @pytest.mark.parametrize("sequence", ["ACGT", "TTTT", "GCTA"])
    def test_above_the_exact_likelihood_for_inexact_conditionals(self, sequence):
        model = BlurredMarkov(CHAIN_START, CHAIN_TRANSITION)
        exact = -log_prob_of_generation(model, sequence)
        assert exact_bound(model, sequence) > exact + 1e-4
        assert -log_prob_of_generation(markov_model(), sequence) == pytest.approx(
            -markov_model().log_prob([sequence])[0]
        )

    def test_averaged_over_the_distribution_it_is_the_entropy(self):
        model = markov_model()
        sequences = all_sequences(4)
        p = np.exp(model.log_prob(sequences))
        assert p.sum() == pytest.approx(1)
        bound = sum(weight * exact_bound(model, sequence) for weight, sequence in zip(p, sequences, strict=True))
        assert bound == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)

    @pytest.mark.parametrize("schedule", SCHEDULE_SET, ids=str)
    def test_the_estimate_with_times_converges_to_it_for_every_schedule(self, schedule):
        model, sequence, n = markov_model(), "ACGTCA", 20000
        ids, maskable, tokenizer = framed([sequence])
        generator = torch.Generator().manual_seed(1)
        t = stratified_times(n, 1e-4, generator)
        inputs, masked = mask(
            ids.expand(n, -1), maskable.expand(n, -1), schedule.alpha(t), tokenizer.mask_id, generator
        )
        logits = model(inputs).logits
        allowed = torch.from_numpy(tokenizer.is_base)
        nats = schedule.weight(t) * cross_entropy(logits, ids.expand(n, -1), masked, allowed)
        error = float(nats.std() / n**0.5)
        assert float(nats.mean()) == pytest.approx(-model.log_prob([sequence])[0], abs=4 * error + 0.01)

    def test_the_estimate_with_counts_has_less_variance(self):
        model, sequence, n = markov_model(), "ACGTCA", 4000
        ids, maskable, tokenizer = framed([sequence])
        allowed = torch.from_numpy(tokenizer.is_base)
        generator = torch.Generator().manual_seed(1)
        rows, maskable = ids.expand(n, -1), maskable.expand(n, -1)
        t = stratified_times(n, 1e-4, generator)
        inputs, masked = mask(rows, maskable, 1 - t, tokenizer.mask_id, generator)
        by_time = cross_entropy(model(inputs).logits, rows, masked, allowed) / t
        counts = stratified_counts(torch.full((n,), 6), (torch.arange(n) + 0.5) / n)
        inputs, masked = mask_counts(rows, maskable, counts, tokenizer.mask_id, generator)
        by_count = bound_of_counts(model(inputs).logits, rows, masked, allowed) * 6
        assert by_count.std() < by_time.std() / 2
        assert float(by_count.mean()) == pytest.approx(
            -model.log_prob([sequence])[0], abs=4 * float(by_count.std()) / n**0.5
        )


def test_the_toy_chain_gives_the_conditionals_of_enumeration():
    model = markov_model()
    sequences = all_sequences(5)
    p = np.exp(model.log_prob(sequences))
    denoiser = as_denoiser(model)
    ids, _, tokenizer = framed(["ACGTA"])
    ids[0, [3, 5]] = tokenizer.mask_id
    found = denoiser.log_probs(ids).exp()[0, 3, tokenizer.base_ids].numpy()
    agreeing = np.array(
        [[s[0] == "A" and s[2] == "G" and s[4] == "A" and s[1] == b for s in sequences] for b in "ACGT"]
    )
    assert found == pytest.approx((agreeing * p).sum(1) / p[agreeing.any(0)].sum(), rel=1e-5)


def test_the_mathematics_knows_neither_tables_nor_files():
    from pathlib import Path

    from diffusion_bert import diffusion

    text = Path(diffusion.__file__).read_text()
    assert "import pandas" not in text
    assert "pathlib" not in text
