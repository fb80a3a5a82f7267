import itertools

import numpy as np
import pytest
import torch
from toy_models import LabelModel, TokenModel, ToyModel, UniformModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.diffusion import BITS
from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import apply_masks, bits_per_base, draw_masks
from diffusion_bert.tokens import BpeTokenizer, KmerTokenizer

SEQUENCES = ["ACGTCA", "TTTTTT", "CATGAC", "GGGGCC"]


def test_uniform_logits_cost_two_bits_a_base_without_error():
    value, error = bits_per_base(as_denoiser(UniformModel()), SEQUENCES, [None] * 4, samples=4)
    assert value == pytest.approx(np.full(4, 2.0), abs=1e-6)
    assert error == pytest.approx(np.zeros(4), abs=1e-6)


def test_the_exact_denoiser_gives_the_exact_likelihood_within_its_error():
    model = markov_model()
    value, error = bits_per_base(as_denoiser(model), SEQUENCES, [None] * 4, samples=600, seed=3)
    exact = -model.log_prob(SEQUENCES) * BITS / 6
    assert (np.abs(value - exact) < 4 * error).all()
    assert (error > 0).all()
    assert (error < 0.06).all()


def test_the_estimate_is_unbiased_for_few_samples():
    model = markov_model()
    sequences = all_sequences(4)
    value, error = bits_per_base(as_denoiser(model), sequences * 4, [None] * 1024, samples=2, seed=5)
    exact = np.tile(-model.log_prob(sequences) * BITS / 4, 4)
    difference = value - exact
    assert abs(difference.mean()) < 4 * difference.std() / 1024**0.5
    assert np.sqrt((error**2).mean()) > difference.std() * 0.9  # the stated error is not too small


def test_the_stated_error_is_the_spread_of_repeated_estimates():
    model = markov_model()
    value, error = bits_per_base(as_denoiser(model), ["ACGTCA"] * 300, [None] * 300, samples=8, seed=1)
    assert value.std() == pytest.approx(np.sqrt((error**2).mean()), rel=0.15)


def test_neither_batch_size_nor_the_other_sequences_matter():
    denoiser = as_denoiser(markov_model())
    value, error = bits_per_base(denoiser, SEQUENCES, [None] * 4, samples=6, seed=7, batch_size=1000)
    again, error_again = bits_per_base(denoiser, SEQUENCES, [None] * 4, samples=6, seed=7, batch_size=6)
    assert value == pytest.approx(again, abs=1e-6)
    assert error == pytest.approx(error_again, abs=1e-6)
    first, _ = bits_per_base(denoiser, SEQUENCES[:1], [None], samples=6, seed=7)
    assert first[0] == pytest.approx(value[0], abs=1e-6)
    other, _ = bits_per_base(denoiser, SEQUENCES, [None] * 4, samples=6, seed=8)
    assert (other != value).any()


def test_unequal_lengths_and_unknown_bases():
    value, _ = bits_per_base(as_denoiser(UniformModel()), ["ACGTACG", "NNNN", "ANT", "A"], [None] * 4, samples=2)
    assert value == pytest.approx(np.array([2.0, np.nan, 2.0, 2.0]), abs=1e-6, nan_ok=True)


def test_each_label_has_its_own_likelihood():
    denoiser = as_denoiser(LabelModel({"a": [0.7, 0.1, 0.1, 0.1], "b": [0.1, 0.1, 0.1, 0.7]}))
    value, _ = bits_per_base(denoiser, ["AAAA"] * 3, ["a", "b", None], samples=4)
    assert value == pytest.approx(-np.log2([0.7, 0.1, 0.4]), abs=1e-5)
    with pytest.raises(UserError, match="label c: the model was not trained on it; it knows a, b"):
        bits_per_base(denoiser, ["AAAA"], ["c"])


@pytest.mark.parametrize("tokenizer", [KmerTokenizer(3), BpeTokenizer.trained(["ACGTTACGGT"] * 9, 15)])
def test_bits_are_those_of_the_tokens_and_bases_those_that_they_spell(tokenizer):
    weights = np.random.default_rng(0).normal(size=tokenizer.vocab_size)
    sequences = ["ACGTTACGGTA", "ACGNNTTACGG", "ACNG"]
    value, _ = bits_per_base(as_denoiser(TokenModel(tokenizer, weights)), sequences, [None] * 3, samples=400, seed=2)
    log_p = weights - np.log(np.exp(weights[tokenizer.is_base]).sum())
    for sequence, bits in zip(sequences, value, strict=True):
        ids = tokenizer.encode([sequence])[0]
        assert len(ids) < len(sequence) or sequence == "ACNG"
        exact = -log_p[ids[tokenizer.is_base[ids]]].sum() * BITS
        assert bits == pytest.approx(exact / (len(sequence) - sequence.count("N")), rel=0.03)


@pytest.mark.parametrize("k", [2, 3])
def test_uniform_k_mers_cost_two_bits_a_base_without_error(k):
    tokenizer = KmerTokenizer(k)
    kmers = TokenModel(tokenizer, np.where(tokenizer.known_bases == 1, -100.0, 0.0))
    sequences = ["ACGTTG", "ACGTTGCATTGA", "TTNNNNNNNN" if k == 2 else "NGATNACGN"]
    value, error = bits_per_base(as_denoiser(kmers), sequences, [None] * 3, samples=4)
    assert value == pytest.approx(np.full(3, 2.0), abs=1e-6)
    assert error == pytest.approx(np.zeros(3), abs=1e-6)
    every = TokenModel(tokenizer, np.zeros(tokenizer.vocab_size))  # single bases as probable as each k-mer
    value, _ = bits_per_base(as_denoiser(every), ["ACGTTGA"], [None], samples=4)
    assert value == pytest.approx([(6 // k + 1) * np.log2(4**k + 4) / 7], abs=1e-6)


def test_one_sample_has_no_error():
    with pytest.raises(ValueError, match="at least 2"):
        bits_per_base(as_denoiser(UniformModel()), ["A"], [None], samples=1)


class Inconsistent(ToyModel):
    """Conditionals that belong to no distribution, so that the bound is not tight and depends on which are masked."""

    def base_log_probs(self, observed, labels):
        length = observed.shape[1]
        seen = (observed + 2) * torch.arange(1, length + 1)
        logits = torch.sin(seen.sum(-1)[:, None, None] * torch.arange(1, 5) + torch.arange(length)[:, None])
        return torch.log_softmax(2 * logits.double(), dim=-1)


def exact_bound(model, sequence):
    """-ELBO in bits a base: every count, every set of that size."""
    length = len(sequence)
    true = torch.tensor(["ACGT".index(letter) for letter in sequence])
    total = 0.0
    for count in range(1, length + 1):
        sets = list(itertools.combinations(range(length), count))
        observed = true.repeat(len(sets), 1)
        for row, chosen in enumerate(sets):
            observed[row, list(chosen)] = -1
        log_p = model.base_log_probs(observed, None).gather(-1, true.expand(len(sets), -1)[..., None])[..., 0]
        total -= torch.where(observed < 0, log_p, 0.0).sum().item() / len(sets) / count
    return total * BITS / length


@pytest.mark.parametrize("samples", [2, 3, 5, 6])
@pytest.mark.parametrize("sequence", ["A", "GAT", "TGCATC"])
def test_the_bound_is_that_of_all_masks(sequence, samples):
    model = Inconsistent()
    value, error = bits_per_base(as_denoiser(model), [sequence] * 1000, [None] * 1000, samples=samples, seed=4)
    assert abs(value.mean() - exact_bound(model, sequence)) < 4 * value.std() / 1000**0.5 + 1e-6
    assert np.sqrt((error**2).mean()) >= 0.9 * value.std() - 1e-6


def test_two_passes_of_a_pair_mask_all_tokens_between_them():
    maskable = torch.tensor([False, True, True, False, True, True, True, False])
    counted = np.zeros(6, dtype=int)
    for seed in range(500):
        masked = apply_masks(maskable, *draw_masks(6, 8, seed))
        for one, other in zip(masked[:3], masked[3:], strict=True):
            assert not (one & ~maskable).any()
            assert (torch.equal(one, maskable) and torch.equal(other, maskable)) or torch.equal(one ^ other, maskable)
        counted += np.bincount(masked.sum(-1), minlength=6)
    assert counted[0] == 0
    assert counted[1:] / counted.sum() == pytest.approx(np.full(5, 1 / 5), abs=0.03)
