"""The sequences asked for, and no others: number, length, letters, seeds, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sampling_cases import FALSE_ALARM, chi_square, sequence_counts, settings
from toy_models import LabelModel, TokenModel, UniformModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.generate import batches, generate
from diffusion_bert.sampling.order import ORDERS
from diffusion_bert.tables import SEQUENCES, check
from diffusion_bert.tokens import KmerTokenizer

REFINED = settings({"passes": 2, "threshold": 0.2}, steps=5)


def made(n=30, length=15, sampler=None, seed=1, model=None, **options):
    return generate(
        as_denoiser(model or markov_model()),
        labels=[None] * n,
        lengths=[length] * n,
        sampler=sampler or settings(),
        seed=seed,
        **options,
    )


def test_the_table_has_what_was_asked_for_in_the_order_asked():
    labels = ["a", None, "b", "a", None] * 5
    lengths = [7, 30, 7, 1, 4] * 5
    model = LabelModel({"a": [0.97, 0.01, 0.01, 0.01], "b": [0.01, 0.01, 0.01, 0.97]})
    frame = generate(
        as_denoiser(model), labels=labels, lengths=lengths, sampler=settings(), seed=1, batch_size=3, first_index=100
    )
    pd.testing.assert_frame_equal(frame, check(frame, SEQUENCES, "it"))
    assert frame.length.tolist() == lengths
    assert frame.sequence.str.len().tolist() == lengths
    assert frame.label.tolist() == [label or "unlabelled" for label in labels]
    assert frame.name[:3].tolist() == ["a_000100", "seq_000101", "b_000102"]
    assert frame.name.is_unique
    assert frame.seed.is_unique
    assert frame.bits_per_base.isna().all()
    for label, base in (("a", "A"), ("b", "T")):
        text = "".join(frame.sequence[frame.label == label])
        assert text.count(base) > 0.9 * len(text)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sampler", [{}, {"temperature": 3.0}, {"refine": {"passes": 2, "fraction": 0.3}}])
def test_only_bases_are_made(order, sampler):
    # The toy's logits of everything but the bases are far above those of the bases.
    frame = made(n=50, length=11, model=UniformModel(), sampler=settings(order=order, **sampler))
    assert set("".join(frame.sequence)) == set("ACGT")
    assert len(frame) == 50
    assert (frame.sequence.str.len() == 11).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sampler", [{}, {"top_p": 0.9}, {"top_k": 7}, {"refine": {"passes": 2, "fraction": 0.3}}])
def test_lengths_in_bp_are_exact_with_k_mers(order, sampler):
    tokenizer = KmerTokenizer(3, ["a"])
    # Single bases are as good as never predicted: where the length wants one, one stands there all the same.
    weights = np.where(tokenizer.known_bases == 1, -30.0, 0.0)
    lengths = [1, 2, 3, 5, 6, 11, 12] * 3
    frame = generate(
        as_denoiser(TokenModel(tokenizer, weights)),
        labels=["a", None, None] * 7,
        lengths=lengths,
        sampler=settings(order=order, guidance=1.5, steps=4, **sampler),
        seed=1,
    )
    assert frame.sequence.str.len().tolist() == lengths
    assert set("".join(frame.sequence)) <= set("ACGT")


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_k_mers_are_drawn_from_the_model_given_their_length(guidance):
    tokenizer = KmerTokenizer(2, ["a"])
    plain, more = np.random.default_rng(3).normal(size=(2, tokenizer.vocab_size))
    model = TokenModel(tokenizer, plain, {tokenizer.label_ids["a"]: more})
    sampler = settings(order="random", guidance=guidance)
    n = 4000
    frame = generate(as_denoiser(model), labels=["a"] * n, lengths=[3] * n, sampler=sampler, seed=5, batch_size=n)
    weight = dict(zip(tokenizer.tokens, np.exp(plain + (1 + guidance) * more), strict=True))
    law = np.array([weight[sequence[:2]] * weight[sequence[2]] for sequence in all_sequences(3)])
    assert chi_square(sequence_counts(frame.sequence, 3), law / law.sum()) > FALSE_ALARM


def test_nothing_asked_for_is_an_empty_table():
    frame = made(n=0)
    assert list(frame) == list(SEQUENCES)
    assert len(frame) == 0


@pytest.mark.parametrize("order", ORDERS)
def test_a_sequence_is_a_function_of_seed_and_number(order):
    sampler = {**REFINED, "order": order}
    whole = made(sampler=sampler)
    pd.testing.assert_frame_equal(made(sampler=sampler), whole)
    for batch_size in (1, 7, 1000):
        pd.testing.assert_frame_equal(made(sampler=sampler, batch_size=batch_size), whole)
    parts = [made(n=n, first_index=first, sampler=sampler) for first, n in ((0, 11), (11, 1), (12, 18))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    other = made(sampler=sampler, seed=2)
    assert not set(other.seed) & set(whole.seed)
    assert (other.sequence != whole.sequence).all()
    assert whole.sequence.is_unique


def test_batch_size_does_not_matter_with_labels_guidance_and_lengths():
    model = LabelModel({"a": [0.4, 0.3, 0.2, 0.1], "b": [0.1, 0.2, 0.3, 0.4]})
    frames = [
        generate(
            as_denoiser(model),
            labels=["a", "b", None, "b"] * 6,
            lengths=[9, 12, 9] * 8,
            sampler=settings({"passes": 1, "fraction": 0.2}, guidance=1.5, order="margin", steps=4),
            seed=3,
            batch_size=batch_size,
        )
        for batch_size in (1, 5, 64)
    ]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    pd.testing.assert_frame_equal(frames[0], frames[2])


def test_batches_have_one_length_each_and_are_full():
    assert batches([5, 9, 5, 5, 9, 2], 2) == [[5], [0, 2], [3], [1, 4]]
    assert batches([], 4) == []
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        batches([5], 0)


def test_progress_is_told_after_each_batch():
    told = []
    made(n=10, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


def refused(message, sampler=None, **changes):
    asked = {"labels": [None], "lengths": [8], "sampler": sampler or settings(), "seed": 1, **changes}
    model = LabelModel({"a": [0.25] * 4, "b": [0.25] * 4})
    model.config = SimpleNamespace(max_position_embeddings=103)
    with pytest.raises(UserError) as error:
        generate(as_denoiser(model), **asked)
    assert message in str(error.value)
    assert error.value.remedy
    assert model.calls == 0


def test_an_unknown_label_is_refused_with_the_known_ones():
    refused("it knows a, b", labels=["a", "liver"], lengths=[8, 8])
    refused("label liver", labels=["liver"])


def test_a_length_that_cannot_be_made_is_refused():
    refused("A sequence of 0 bp was asked for. Ask for lengths of at least 1 bp.", lengths=[0])
    refused("A sequence of -3 bp", lengths=[-3])
    refused("A sequence of 101 bp was asked for, but the model takes at most 100 bp", lengths=[101])


def test_a_length_that_takes_too_many_k_mers_is_refused():
    tokenizer = KmerTokenizer(6)
    model = TokenModel(tokenizer, np.zeros(tokenizer.vocab_size))
    model.config = SimpleNamespace(max_position_embeddings=5)
    asked = {"labels": [None], "sampler": settings(), "seed": 1}
    for length in (18, 13, 3):  # 3 tokens each
        assert generate(as_denoiser(model), lengths=[length], **asked).sequence.str.len().tolist() == [length]
    with pytest.raises(UserError, match="17 bp was asked for, which is 7 tokens; the model takes 3. Ask for 12 bp"):
        generate(as_denoiser(model), lengths=[17], **asked)
    with pytest.raises(UserError, match="19 bp was asked for, but the model takes at most 18 bp"):
        generate(as_denoiser(model), lengths=[19], **asked)


def test_labels_and_lengths_must_pair():
    with pytest.raises(ValueError, match="2 labels, but 1 lengths and 2 seeds"):
        generate(as_denoiser(markov_model()), labels=[None] * 2, lengths=[3], sampler=settings(), seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "backwards"}, "sampler.order is 'backwards'. Choose one of ancestral, random, left_to_right,"),
        ({"steps": 0}, "sampler.steps is 0. Give a whole number of at least 1."),
        ({"steps": 2.5}, "sampler.steps is 2.5."),
        ({"steps": True}, "sampler.steps is True."),
        ({"temperature": 0}, "sampler.temperature is 0. Give a number above 0 (for the most probable token"),
        ({"temperature": float("inf")}, "sampler.temperature is inf."),
        ({"top_p": 0.0}, "sampler.top_p is 0.0. Give a number above 0 and at most 1"),
        ({"top_p": 1.1}, "sampler.top_p is 1.1."),
        ({"top_k": 0}, "sampler.top_k is 0. Give a whole number of at least 1, or null for all tokens."),
        ({"guidance": -1}, "sampler.guidance is -1. Give a number of at least 0"),
        ({"guidance": "much"}, "sampler.guidance is 'much'."),
        ({"beam": 3}, "sampler.beam is not a known key. Known are order, steps,"),
        ({"refine": {"passes": -1}}, "sampler.refine.passes is -1. Give a whole number of at least 0."),
        ({"refine": {"steps": 0}}, "sampler.refine.steps is 0."),
        ({"refine": {"threshold": 1.5}}, "sampler.refine.threshold is 1.5. Give a probability, or null."),
        ({"refine": {"fraction": 0}}, "sampler.refine.fraction is 0. Give a number above 0 and at most 1, or null."),
        ({"refine": {"rounds": 1}}, "sampler.refine.rounds is not a known key. Known are passes,"),
        ({"refine": {"passes": 1}}, "threshold None and fraction None; exactly one must say"),
        ({"refine": {"passes": 1, "threshold": 0.1, "fraction": 0.1}}, "exactly one must say which tokens"),
    ],
)
def test_a_setting_that_will_not_do_is_refused(changes, message):
    refused(message, settings(**changes))


def test_a_missing_setting_is_named():
    partial = settings()
    del partial["top_p"]
    refused("sampler.top_p is missing.", partial)
    partial = settings()
    del partial["refine"]["steps"]
    refused("sampler.refine.steps is missing.", partial)
