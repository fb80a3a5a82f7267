"""Exact lengths from tokens of varying length: the law of each draw against enumeration."""

import logging
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sampling_cases import FALSE_ALARM, chi_square
from sampling_cases import settings as sampler
from toy_models import TokenModel, as_denoiser
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.sampling.order import ORDERS
from diffusion_bert.tables import WINDOWS, write_parquet
from diffusion_bert.tokens import BaseTokenizer, BpeTokenizer, KmerTokenizer
from diffusion_bert.training.checkpoints import load_model_folder
from diffusion_bert.training.data import TokenisedWindows
from diffusion_bert.training.train import train

SPELLED = torch.tensor([1, 1, 2, 4, 4])  # five tokens that may be drawn; none has 3 bp
HISTOGRAM = [6, 3, 5, 1]  # what no token has does not count
SIZES = np.array([1, 2, 4])
LAW = np.array([0.6, 0.3, 0.1])


@pytest.fixture(scope="module")
def tokenizer():
    return BpeTokenizer.trained(["ACGTACGTTTGACA", "TTGACATTGACA", "ACGTACGT"] * 20, 15, ["a", "b"])


def denoiser(tokenizer, weights=None, histogram=(10, 5, 2, 3)):
    weights = np.zeros(tokenizer.vocab_size) if weights is None else weights
    made = as_denoiser(TokenModel(tokenizer, weights))
    made.settings["token_lengths"] = list(histogram)
    return made


def renewal(tokens, length):
    """The probability that so many token lengths, each drawn alone, sum to ``length``."""
    return sum(np.prod(LAW[list(one)]) for one in product(range(3), repeat=tokens) if SIZES[list(one)].sum() == length)


@pytest.mark.parametrize(("length", "most"), [(7, None), (7, 3), (4, None), (1, None)])
@pytest.mark.parametrize(("longer", "histogram"), [(0, HISTOGRAM), (3, [6, 3]), (0, [6, 3, 5, 0, 9])])
def test_the_number_of_tokens(length, most, longer, histogram):
    """What it is does not hang on the longest sequence that the table was made for; an unseen length counts once."""
    law = Lengths(histogram, SPELLED, length + longer, most)
    expected = np.array([renewal(tokens, length) if most is None or tokens <= most else 0.0 for tokens in range(8)])
    drawn = law.number_of_tokens(torch.arange(20000), length).numpy()
    assert chi_square(np.bincount(drawn, minlength=8), expected / expected.sum()) > FALSE_ALARM


def test_no_number_of_tokens():
    with pytest.raises(
        UserError, match=r"9 bp was asked for, which no number of the model's tokens spells \(it takes at most 2\)"
    ):
        Lengths(HISTOGRAM, SPELLED, 9, 2).number_of_tokens(torch.arange(3), 9)
    with pytest.raises(UserError, match=r"3 bp was asked for, which no number of the model's tokens spells\."):
        Lengths([0, 4], torch.tensor([2, 2]), 4).number_of_tokens(torch.arange(3), 3)


def drawn(law, log_probs, chosen, left, after, seed=1, untruncated=None):
    """``law.draw`` with numbers of a generator; after and left are one number for all rows, or one a row."""
    noise = torch.rand((2, len(log_probs)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    each = torch.ones(len(chosen), dtype=torch.int64)
    return law.draw(
        log_probs,
        log_probs if untruncated is None else untruncated,
        chosen,
        torch.as_tensor(left) * each,
        torch.as_tensor(after) * each,
        noise[0],
        noise[1],
    )


@pytest.mark.parametrize(
    ("positions", "after", "left"), [(2, 0, 5), (2, 2, 6), (3, 1, 7), (3, 0, 6), (1, 0, 4), (1, 3, 7)]
)
def test_a_step_draws_from_the_exact_law(positions, after, left):
    """In proportion to the predictions and to what the tokens still masked can make of the rest."""
    p = np.random.default_rng(positions + 10 * left).dirichlet(np.ones(len(SPELLED)), size=positions)
    outcomes = np.array(list(product(range(len(SPELLED)), repeat=positions)))
    weights = np.array(
        [np.prod(p[np.arange(positions), one]) * renewal(after, left - SPELLED.numpy()[one].sum()) for one in outcomes]
    )
    n = 30000
    chosen = torch.zeros((n, 5), dtype=torch.bool)
    chosen[:, [0, 2, 4][:positions]] = True
    law = Lengths(HISTOGRAM, SPELLED, 9)
    columns = drawn(law, torch.from_numpy(np.log(p)).repeat(n, 1), chosen, left, after).reshape(n, positions)
    number = (columns.numpy() * len(SPELLED) ** np.arange(positions)[::-1]).sum(1)
    observed = np.bincount(number, minlength=len(outcomes))
    assert chi_square(observed, weights / weights.sum()) > FALSE_ALARM
    assert law.fallbacks == 0
    if after == 0 and positions > 1:  # tokens drawn alone and kept where they end at the length have another law
        alone = np.prod(p[np.arange(positions), outcomes], axis=1)
        assert chi_square(observed, alone / alone.sum()) < 1e-9


def test_rows_with_fewer_positions_and_other_budgets():
    law = Lengths(HISTOGRAM, SPELLED, 12)
    chosen = torch.tensor([[True, True, True], [False, True, False], [True, False, True]])
    log_probs = torch.full((6, 5), 0.2, dtype=torch.float64).log()
    seen = set()
    for seed in range(50):
        spelled = SPELLED[drawn(law, log_probs, chosen, [9, 4, 6], [0, 0, 1], seed)].tolist()
        assert sum(spelled[:3]) == 9
        assert spelled[3] == 4
        assert 6 - sum(spelled[4:]) in (1, 2, 4)  # what one token can still spell
        seen.add(tuple(spelled[:3]))
    assert seen == {(1, 4, 4), (4, 1, 4), (4, 4, 1)}


@pytest.mark.parametrize("long", [1e-300, 1 - 1e-12])
def test_what_is_less_probable_than_the_smallest_number(long):
    """200 tokens of 4 bp, or of 1, where each is all but impossible: their probability is 1e-60000 or 1e-2400."""
    p = torch.tensor([(1 - long) / 2, (1 - long) / 2, 0.0, long / 2, long / 2], dtype=torch.float64)
    size = 4 if long < 0.5 else 1
    law = Lengths([10**9, 1, 0, 1], SPELLED, 800)
    chosen = torch.ones((2, 200), dtype=torch.bool)
    columns = drawn(law, p.log().repeat(400, 1), chosen, 200 * size, 0)
    assert (SPELLED[columns] == size).all()
    half = torch.arange(200) < 100  # and where half of them stay masked, whose law knows next to no tokens of 4 bp
    columns = drawn(law, p.log().repeat(200, 1), half.expand(2, -1), 200 * size, 100)
    assert (SPELLED[columns] == size).all()
    assert law.fallbacks == 0


def test_a_truncation_that_leaves_no_way_is_given_up_for_that_row():
    law = Lengths(HISTOGRAM, SPELLED, 9)
    n = 20000
    full = torch.tensor([0.3, 0.2, 0.1, 0.15, 0.25], dtype=torch.float64).log()
    narrow = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64).log()
    chosen = torch.ones((2 * n, 1), dtype=torch.bool)
    columns = drawn(law, narrow.repeat(2 * n, 1), chosen, [1, 4] * n, 0, untruncated=full.repeat(2 * n, 1)).numpy()
    assert (columns[::2] == 0).all()  # the other token of 1 bp stays cut off
    assert chi_square(np.bincount(columns[1::2], minlength=5), [0, 0, 0, 0.15 / 0.4, 0.25 / 0.4]) > FALSE_ALARM
    assert law.fallbacks == n


def test_predictions_that_are_no_numbers_are_refused():
    law = Lengths(HISTOGRAM, SPELLED, 9)
    with pytest.raises(ValueError, match="no choice of tokens ends at the length"):
        drawn(law, torch.full((2, 5), torch.nan, dtype=torch.float64), torch.ones((1, 2), dtype=torch.bool), 5, 0)


# Whole sequences


def law_of_sequences(tokenizer, weights, histogram, length, steps):
    """The probability of each sequence, summed over all its spellings: {sequence: p}. With one step, tokens are drawn
    together given their number; with many, from left to right, each with what the rest can make of what is left."""
    tokens = [(tokenizer.spelled[i], float(np.exp(weights[i]))) for i in tokenizer.base_ids]
    sizes = {len(dna) for dna, _ in tokens}
    law = {size: max(histogram[size - 1], 1) for size in sizes}
    law = {size: count / sum(law.values()) for size, count in law.items()}

    def rest(number, bp):
        if number == 0:
            return float(bp == 0)
        return sum(p * rest(number - 1, bp - size) for size, p in law.items() if size <= bp)

    def spellings(number, bp, prefix, p):
        if number == 0:
            yield prefix, p
            return
        options = [(dna, q * (1.0 if steps == 1 else rest(number - 1, bp - len(dna)))) for dna, q in tokens]
        options = [(dna, q) for dna, q in options if len(dna) <= bp and rest(number - 1, bp - len(dna))]
        total = 1.0 if steps == 1 else sum(q for _, q in options)
        for dna, q in options:
            yield from spellings(number - 1, bp - len(dna), prefix + dna, p * q / total)

    numbers = {number: rest(number, length) for number in range(1, length + 1)}
    out = {}
    for number, p in numbers.items():
        found = list(spellings(number, length, "", 1.0)) if p else []
        total = sum(q for _, q in found)
        for sequence, q in found:
            out[sequence] = out.get(sequence, 0.0) + p / sum(numbers.values()) * q / total
    return out


@pytest.mark.parametrize("steps", [1, 1000])
def test_sequences_have_the_law_that_is_stated(tokenizer, steps):
    weights = np.random.default_rng(4).normal(size=tokenizer.vocab_size)
    model = denoiser(tokenizer, weights)
    n, length = 20000, 4
    frame = generate(
        model,
        labels=[None] * n,
        lengths=[length] * n,
        sampler=sampler(order="left_to_right", steps=steps),
        seed=2,
        batch_size=5000,
    )
    counts = frame["sequence"].value_counts()
    laws = {
        number: law_of_sequences(tokenizer, weights, model.settings["token_lengths"], length, number)
        for number in (1, 1000)
    }
    p_values = {
        number: chi_square(np.array([counts.get(sequence, 0) for sequence in law]), np.array(list(law.values())))
        for number, law in laws.items()
    }
    assert p_values.pop(steps) > FALSE_ALARM
    assert p_values.popitem()[1] < 1e-6  # and it is told from that of the other number of steps
    assert set(counts.index) <= set(laws[steps])


@hypothesis_settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(sorted(ORDERS)),
    st.integers(1, 12),
    st.sampled_from([{}, {"top_p": 0.3}, {"top_k": 1}, {"temperature": 0.01}, {"guidance": 2.0}]),
    st.sampled_from([None, {"passes": 2, "threshold": 0.3, "steps": 2}, {"passes": 1, "fraction": 0.5, "steps": 1}]),
    st.sampled_from([0.0, 3.0, 30.0, -30.0]),
    st.integers(0, 1000),
)
def test_every_sequence_has_its_length(tokenizer, lengths, order, steps, draw, refine, peak, seed):
    """Whatever the model would rather have: all tokens alike, long ones (next to nothing else), or short ones."""
    made = generate(
        denoiser(tokenizer, peak * tokenizer.bases_per_token),
        labels=["a", None, "b", "a", "a"][: len(lengths)],
        lengths=lengths,
        sampler=sampler(refine, order=order, steps=steps, **draw),
        seed=seed,
    )
    assert made["sequence"].str.len().tolist() == lengths
    assert set("".join(made["sequence"])) <= set("ACGT")


@pytest.mark.parametrize("peak", [-8.0, 8.0])
def test_long_sequences_of_a_model_that_wants_others(tokenizer, peak):
    """A thousand bp in one step, then half of the tokens anew: far below the smallest float64."""
    made = generate(
        denoiser(tokenizer, peak * tokenizer.bases_per_token, [10**6, 1, 1, 1]),
        labels=[None] * 3,
        lengths=[1000, 999, 1000],
        sampler=sampler({"passes": 1, "fraction": 0.5, "steps": 1}, steps=1),
        seed=1,
    )
    assert made["sequence"].str.len().tolist() == [1000, 999, 1000]


@pytest.mark.parametrize("order", ["ancestral", "entropy"])
def test_a_sequence_depends_on_its_seed_alone(tokenizer, order):
    weights = np.random.default_rng(3).normal(size=tokenizer.vocab_size)
    lengths = [20, 20, 33, 20, 21, 33]
    arguments = {"sampler": sampler({"passes": 1, "threshold": 0.1}, steps=5, order=order), "seed": 7}
    made = generate(denoiser(tokenizer, weights), labels=["a"] * 6, lengths=lengths, **arguments)
    for size in (1, 2):
        again = generate(denoiser(tokenizer, weights), labels=["a"] * 6, lengths=lengths, batch_size=size, **arguments)
        assert again["sequence"].tolist() == made["sequence"].tolist()
    tail = generate(denoiser(tokenizer, weights), labels=["a"] * 2, lengths=lengths[4:], first_index=4, **arguments)
    assert tail["sequence"].tolist() == made["sequence"].tolist()[4:]
    other = generate(denoiser(tokenizer, weights), labels=["a"] * 6, lengths=lengths, **{**arguments, "seed": 8})
    assert other["sequence"].tolist() != made["sequence"].tolist()


def test_a_truncation_that_is_given_up_leaves_the_temperature(tokenizer, caplog):
    """2 bp, of which top_k leaves one token of 1 bp: either that one twice, or the likeliest token of 2 bp."""
    caplog.set_level(logging.INFO)
    weights = np.random.default_rng(5).normal(size=tokenizer.vocab_size) - 5.0 * (tokenizer.bases_per_token > 1)
    best = {
        size: max((i for i in tokenizer.base_ids if tokenizer.bases_per_token[i] == size), key=lambda i: weights[i])
        for size in (1, 2)
    }
    assert (tokenizer.bases_per_token == 2).sum() > 1
    draw = sampler(top_k=1, temperature=0.001)
    made = generate(denoiser(tokenizer, weights), labels=[None] * 60, lengths=[2] * 60, sampler=draw, seed=1)
    counts = made["sequence"].value_counts()
    assert set(counts.index) == {2 * tokenizer.spelled[best[1]], tokenizer.spelled[best[2]]}
    assert f"{counts[tokenizer.spelled[best[2]]]} times top_k and top_p left a sequence no way" in caplog.text


def test_a_length_that_the_model_cannot_take_is_refused(tokenizer):
    model = denoiser(tokenizer)
    model.model.config = type("Config", (), {"max_position_embeddings": 3 + model.tokenizer.extra_tokens})
    longest = 3 * int(tokenizer.known_bases.max())
    arguments = {"labels": [None], "sampler": sampler(), "seed": 1}
    assert len(generate(model, lengths=[longest], **arguments)["sequence"][0]) == longest
    with pytest.raises(UserError, match=f"takes at most {longest} bp"):
        generate(model, lengths=[longest + 1], **arguments)


def test_a_model_that_does_not_say_how_long_its_tokens_are(tokenizer):
    made = as_denoiser(TokenModel(tokenizer, np.zeros(tokenizer.vocab_size)))
    with pytest.raises(UserError, match=r"does not say how long its tokens are \(token_lengths\)"):
        generate(made, labels=[None], lengths=[10], sampler=sampler(), seed=1)


# A real model


def random_windows(n, seed):
    rng = np.random.default_rng(seed)
    rows = ["".join(rng.choice(list("ACGT"), int(rng.integers(20, 41)), p=[0.4, 0.1, 0.1, 0.4])) for _ in range(n)]
    return windows(["N" + row if i == 0 else row for i, row in enumerate(rows)], ["a", "b"] * (n // 2), strands="+")


def test_a_model_trained_on_bpe_makes_the_lengths_it_is_asked_for(tmp_path):
    for name, n, seed in (("train", 60, 0), ("validation", 20, 1)):
        write_parquet(random_windows(n, seed), tmp_path / f"{name}.parquet", WINDOWS)
    settings = {
        **SETTINGS,
        "backbone": "dnabert2",
        "tokenizer": {"kind": "bpe", "vocabulary_size": 30},
        "architecture": {"width": 16, "layers": 2, "heads": 2, "expansion": 2},
        "optimizer": "adamw",
        "steps": 6,
        "validate_every": 6,
    }
    train(
        *(tmp_path / f"{name}.parquet" for name in ("train", "validation")),
        settings,
        3,
        tmp_path / "model",
        device="cpu",
    )
    denoiser = load_model_folder(tmp_path / "model", device="cpu")
    tokenizer = denoiser.tokenizer
    spelled = [
        len(tokenizer.spelled[i])
        for row in tokenizer.encode(random_windows(60, 0)["sequence"].tolist())
        for i in row
        if i in tokenizer.base_ids
    ]
    assert denoiser.settings["token_lengths"] == [spelled.count(size) for size in range(1, max(spelled) + 1)]
    lengths = [1, 17, 30, 60, 30, 201]  # also longer than all that it was trained on
    made = generate(
        denoiser,
        labels=["a", "b", None] * 2,
        lengths=lengths,
        sampler=sampler({"passes": 1, "fraction": 0.2, "steps": 2}, order="entropy", steps=8, guidance=1.0, top_p=0.9),
        seed=1,
    )
    assert made["sequence"].str.len().tolist() == lengths


@pytest.mark.parametrize("tokenizer", [BaseTokenizer(["a", "b"]), KmerTokenizer(3, ["a", "b"])], ids=["bases", "kmers"])
def test_no_lengths_are_counted_where_bp_say_them(tokenizer):
    data = TokenisedWindows.of(random_windows(4, 0), tokenizer, "the windows", torch.device("cpu"))
    assert data.token_lengths() is None
