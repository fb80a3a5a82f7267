"""IUPAC templates: every sequence fits its own, the rest has the law that is stated, and what cannot be is refused."""

from itertools import product

import numpy as np
import pytest
import torch
from Bio.Data.IUPACData import ambiguous_dna_values
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sampling_cases import FALSE_ALARM, Probe, chi_square, sequence_counts
from sampling_cases import settings as sampler
from toy_models import TokenModel, UniformModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.sampling.order import ORDERS
from diffusion_bert.sampling.templates import Spelling, fitting, read_templates
from diffusion_bert.tokens import AMBIGUOUS, BASES, BaseTokenizer, BpeTokenizer, KmerTokenizer

BPE = BpeTokenizer.trained(["ACGTACGTTTGACA", "TTGACATTGACA", "ACGTACGT"] * 20, 15, ["a", "b"])
HISTOGRAM = [10, 5, 2, 3]


def denoiser(tokenizer, weights=None):
    made = as_denoiser(TokenModel(tokenizer, np.zeros(tokenizer.vocab_size) if weights is None else weights))
    made.settings["token_lengths"] = HISTOGRAM
    return made


def meets(sequence, template):
    return len(sequence) == len(template) and all(
        base in ambiguous_dna_values[letter] for base, letter in zip(sequence, template, strict=True)
    )


def made(model, templates, seed=1, refine=None, batch_size=64, labels=None, **changes):
    frame = generate(
        model,
        labels=labels or [None] * len(templates),
        lengths=[len(template) for template in templates],
        templates=templates,
        sampler=sampler(refine, **changes),
        seed=seed,
        batch_size=batch_size,
    )
    return frame["sequence"].tolist()


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.sampled_from("NNNN" + BASES + AMBIGUOUS), min_size=1, max_size=24), min_size=1, max_size=4),
    st.sampled_from([BaseTokenizer(["a"]), KmerTokenizer(3, ["a"]), BPE]),
    st.sampled_from(sorted(ORDERS)),
    st.integers(1, 8),
    st.sampled_from(
        [
            {},
            {"top_p": 0.3},
            {"top_k": 1},
            {"temperature": 0.01},
            {"guidance": 2.0},
            {"remask": {"strategy": "rescaled", "eta": 0.8}, "order": "ancestral"},
        ]
    ),
    st.sampled_from([None, {"passes": 2, "threshold": 0.3, "steps": 2}, {"passes": 1, "fraction": 0.5, "steps": 1}]),
    st.sampled_from([0.0, 3.0, 30.0, -30.0]),
    st.integers(0, 1000),
)
def test_every_sequence_meets_its_template(templates, tokenizer, order, steps, draw, refine, peak, seed):
    """Whatever the model would rather have: all tokens alike, long ones (next to nothing else), or short ones."""
    model = denoiser(tokenizer, peak * tokenizer.bases_per_token)
    labels = ["a", None, "a", None][: len(templates)]
    sequences = made(model, templates, seed, refine, labels=labels, **{"order": order, "steps": steps, **draw})
    assert all(meets(one, template) for one, template in zip(sequences, templates, strict=True))


def test_the_letters_are_those_of_iupac():
    for letter in AMBIGUOUS + BASES:
        found = {s[0] for s in made(as_denoiser(UniformModel()), [letter] * 80)}
        assert found == set(ambiguous_dna_values[letter])


# The law of the free positions


@pytest.mark.parametrize("order", ["ancestral", "left_to_right", "confidence"])
def test_free_bases_are_drawn_given_the_fixed_ones(order):
    """Exact conditioning: a fixed base is in sight from the start, on both sides of the free ones."""
    n, template = 5000, "NTNNG"
    drawn = sequence_counts(
        made(as_denoiser(markov_model()), [template] * n, order=order, steps=5 if order != "ancestral" else 5000), 5
    )
    law = np.exp(markov_model().log_prob(all_sequences(5)))
    possible = np.array([meets(sequence, template) for sequence in all_sequences(5)])
    expected = np.where(possible, law, 0) / law[possible].sum()
    assert chi_square(drawn, expected) > FALSE_ALARM
    # Bases that are put in place at the end would leave the free ones as they are without a template.
    blind = np.zeros_like(law)
    for i, sequence in enumerate(all_sequences(5)):
        blind[all_sequences(5).index(sequence[0] + "T" + sequence[2:4] + "G")] += law[i]
    assert chi_square(drawn, blind) < 1e-9


def test_fixed_bases_are_in_sight_from_the_first_pass_to_the_last():
    probe = Probe(np.full((8, 4), 1 / 4))
    made(as_denoiser(probe), ["NNACNNGR"] * 3, steps=4, refine={"passes": 2, "fraction": 1.0, "steps": 2})
    for seen in probe.seen:
        # Confidence masks every 8th position in turn, so a fixed base is hidden when it is judged, and then alone.
        hidden = (seen < 0).numpy()
        alone = hidden.sum(1) == 1
        assert (alone | ~hidden[:, [2, 3, 6]].any(1)).all()
    assert (probe.seen[0][:, [2, 3, 6]].numpy() == [0, 1, 2]).all()


@pytest.mark.parametrize(
    ("remask", "refine"),
    [({"strategy": "rescaled", "eta": 1.0}, None), ({}, {"passes": 1, "fraction": 1.0, "steps": 2})],
)
def test_k_mers_that_are_fixed_stay_and_others_are_drawn_anew(remask, refine):
    tokenizer = KmerTokenizer(3)
    template = "ACGNNNARGT"  # fixed, free, fixed in part, and a single base that is fixed
    sequences = made(denoiser(tokenizer), [template] * 300, refine=refine, remask=remask, steps=6)
    assert all(meets(one, template) for one in sequences)
    assert len({one[3:6] for one in sequences}) > 40
    assert {one[7] for one in sequences} == {"A", "G"}


def test_a_template_fixed_throughout_needs_no_model():
    model = markov_model()
    refine = {"passes": 3, "threshold": 1.0}
    assert made(as_denoiser(model), ["ACGT"] * 3, refine=refine) == ["ACGT"] * 3
    assert model.calls == 0


def test_which_k_mers_fit():
    tokenizer = KmerTokenizer(2)
    fit = fitting(tokenizer, "ARNCT")
    found = [{tokenizer.spelled[tokenizer.base_ids[i]] for i in np.flatnonzero(row)} for row in fit]
    assert found == [{"AA", "AG"}, {"AC", "CC", "GC", "TC"}, {"T"}]


# BPE


def law_of_template(template, weights, steps):
    """The probability of each sequence, over all spellings: {sequence: p}. With one step all tokens are drawn together;
    with many, from left to right, each with what masked tokens can spell of the rest. By enumeration."""
    tokens = [(BPE.spelled[i], float(np.exp(weights[i]))) for i in BPE.base_ids]
    sizes = {}
    for dna, _ in tokens:
        sizes.setdefault(len(dna), []).append(dna)
    law = {size: max(HISTOGRAM[size - 1], 1) for size in sizes}
    law = {size: count / sum(law.values()) for size, count in law.items()}

    def fits(dna, at):
        return meets(dna, template[at : at + len(dna)])

    def rest(number, at):
        if number == 0:
            return float(at == len(template))
        return sum(
            law[size] * np.mean([fits(dna, at) for dna in dnas]) * rest(number - 1, at + size)
            for size, dnas in sizes.items()
        )

    def spellings(number, prefix, p):
        if number == 0:
            yield prefix, p
            return
        options = [(dna, q, rest(number - 1, len(prefix) + len(dna))) for dna, q in tokens if fits(dna, len(prefix))]
        options = [(dna, q * (1.0 if steps == 1 else ahead)) for dna, q, ahead in options if ahead]
        total = 1.0 if steps == 1 else sum(q for _, q in options)
        for dna, q in options:
            yield from spellings(number - 1, prefix + dna, p * q / total)

    numbers = {number: rest(number, 0) for number in range(1, len(template) + 1)}
    out = {}
    for number, p in numbers.items():
        found = list(spellings(number, "", 1.0)) if p else []
        total = sum(q for _, q in found)
        for sequence, q in found:
            out[sequence] = out.get(sequence, 0.0) + p / sum(numbers.values()) * q / total
    return out


@pytest.mark.parametrize("template", ["NNRN", "RNGTN"])
@pytest.mark.parametrize("steps", [1, 1000])
def test_bpe_spells_a_template_with_the_law_that_is_stated(template, steps):
    weights = np.random.default_rng(4).normal(size=BPE.vocab_size)
    n = 20000
    sequences = made(
        denoiser(BPE, weights), [template] * n, seed=2, order="left_to_right", steps=steps, batch_size=5000
    )
    names, numbers = np.unique(sequences, return_counts=True)
    counts = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    p_values = {}
    for number in (1, 1000):
        law = law_of_template(template, weights, number)
        assert sum(law.values()) == pytest.approx(1)
        p_values[number] = chi_square(np.array([counts.get(name, 0) for name in law]), np.array(list(law.values())))
    assert p_values.pop(steps) > FALSE_ALARM
    if template == "NNRN":  # and it is told from that of the other number of steps
        assert p_values.popitem()[1] < 1e-4
    assert set(counts) <= set(law)


def law_of_random_order(template, weights):
    """The probability of each sequence where tokens are drawn one by one in random order, by enumeration of all ways to
    spell the template: what a token may be hangs on all the ways to lay out those that are masked on either side."""
    tokens = {BPE.spelled[i]: float(np.exp(weights[i])) for i in BPE.base_ids}
    sizes = [len(dna) for dna in tokens]
    total = sum(max(HISTOGRAM[size - 1], 1) for size in set(sizes))
    prior = {dna: max(HISTOGRAM[len(dna) - 1], 1) / total / sizes.count(len(dna)) for dna in tokens}

    def spellings(number, at):
        if number == 0:
            return [()] if at == len(template) else []
        fit = [dna for dna in tokens if meets(dna, template[at : at + len(dna)])]
        return [(dna, *rest) for dna in fit for rest in spellings(number - 1, at + len(dna))]

    def ahead(state, ways):
        """The prior weight of what is masked (None), over the ways that agree with the rest."""
        return sum(
            np.prod([prior[dna] for dna, known in zip(way, state, strict=True) if known is None])
            for way in ways
            if all(known in (None, dna) for dna, known in zip(way, state, strict=True))
        )

    def drawn(state, ways, p, out):
        masked = [i for i, known in enumerate(state) if known is None]
        if not masked:
            out["".join(state)] = out.get("".join(state), 0.0) + p
        for i in masked:
            then = {dna: (*state[:i], dna, *state[i + 1 :]) for dna in tokens}
            options = {dna: tokens[dna] * ahead(one, ways) for dna, one in then.items()}
            for dna, weight in options.items():
                if weight:
                    drawn(then[dna], ways, p / len(masked) * weight / sum(options.values()), out)

    out = {}
    counts = {number: spellings(number, 0) for number in range(1, len(template) + 1)}
    shares = {number: ahead((None,) * number, ways) for number, ways in counts.items()}
    for number, ways in counts.items():
        if ways:
            drawn((None,) * number, ways, shares[number] / sum(shares.values()), out)
    return out


@pytest.mark.parametrize("template", ["RACGN", "WWWWW"])
def test_bpe_draws_in_any_order_with_the_law_that_is_stated(template):
    """RACGN is told from the law of left to right; WWWWW from numbers that lay masked tokens out alike in each step."""
    weights = np.random.default_rng(6).normal(size=BPE.vocab_size) * 2
    n = 20000
    law = law_of_random_order(template, weights)
    assert sum(law.values()) == pytest.approx(1)
    sequences = made(denoiser(BPE, weights), [template] * n, seed=3, order="random", steps=1000, batch_size=5000)
    counts = dict(zip(*(part.tolist() for part in np.unique(sequences, return_counts=True)), strict=True))
    assert chi_square(np.array([counts.get(name, 0) for name in law]), np.array(list(law.values()))) > FALSE_ALARM
    if template == "RACGN":
        left = law_of_template(template, weights, 1000)
        assert chi_square(np.array([counts.get(name, 0) for name in left]), np.array(list(left.values()))) < 1e-6


def test_without_a_fixed_letter_the_law_of_bpe_is_that_of_the_length():
    law = Lengths(HISTOGRAM, torch.as_tensor(BPE.bases_per_token[BPE.base_ids]), 7)
    keys = torch.arange(4000)
    assert torch.equal(Spelling(law, BPE, "N" * 7).number_of_tokens(keys), law.number_of_tokens(keys, 7))


def test_bpe_draws_as_one_whatever_the_batch():
    weights = np.random.default_rng(3).normal(size=BPE.vocab_size)
    templates = ["NNACGNNN", "RRRRYYYY", "NNACGNNN", "NNNNNTTGACANNN", "ACGT"] * 3
    arguments = {"order": "entropy", "steps": 4, "refine": {"passes": 1, "threshold": 0.2}}
    whole = made(denoiser(BPE, weights), templates, **arguments)
    for size in (1, 4):
        assert made(denoiser(BPE, weights), templates, batch_size=size, **arguments) == whole


def test_bpe_gives_up_a_truncation_only_where_it_must():
    """top_k leaves one token, of 1 bp: it spells a template of that base alone, and nothing else."""
    weights = np.where(BPE.bases_per_token == 1, 5.0, 0.0)
    weights[BPE.tokens.index("A")] = 9.0
    sequences = made(denoiser(BPE, weights), ["NNNN", "NNCN"] * 20, top_k=1, steps=1)
    assert "AAAA" in sequences[::2]
    assert all(meets(one, "NNCN") for one in sequences[1::2])


# What is refused


def test_a_template_that_takes_too_many_tokens_is_refused_with_the_position():
    model = denoiser(BPE)
    longest = max(BPE.spelled, key=len)
    model.model.config = type("Config", (), {"max_position_embeddings": 2 + BPE.extra_tokens})
    assert made(model, [2 * longest]) == [2 * longest]
    with pytest.raises(UserError, match=rf"A template of {len(longest) + 2} bp cannot be met: .*\(2\).* past its posi"):
        made(model, [longest + "GG"])
    with pytest.raises(UserError, match=f"gets past its position {len(longest) + 1}"):
        made(model, [longest + "GG"])


def test_a_letter_that_is_none_is_refused_with_record_and_position(tmp_path):
    (tmp_path / "t.fa").write_text(">one\nacgn\n>two flank\nNNRX\nA\n")
    with pytest.raises(UserError, match=r"t\.fa, record two: position 4 is 'X'; an IUPAC letter of DNA was expected"):
        read_templates(tmp_path / "t.fa")
    (tmp_path / "t.fa").write_text(">one\nacgn\n>two flank\nNNRY\nA\n")
    assert read_templates(tmp_path / "t.fa") == ["ACGN", "NNRYA"]
    with pytest.raises(UserError, match="the template: position 2 is 'n'"):
        made(denoiser(BaseTokenizer()), ["An"])


def test_no_template_is_refused(tmp_path):
    (tmp_path / "t.fa").write_text("")
    with pytest.raises(UserError, match="holds no template"):
        read_templates(tmp_path / "t.fa")
    with pytest.raises(UserError, match="there is no such file of templates"):
        read_templates(tmp_path / "none.fa")


def test_templates_must_have_the_lengths_asked():
    with pytest.raises(ValueError, match="a template of its length"):
        generate(denoiser(BaseTokenizer()), labels=[None], lengths=[3], templates=["NN"], sampler=sampler(), seed=1)


def test_steps_are_enumerated_apart():
    """All templates of one length in one batch: each row keeps to its own."""
    templates = ["".join(letters) for letters in product("ARN", repeat=3)] * 4
    for tokenizer in (BaseTokenizer(), KmerTokenizer(2), BPE):
        for one, template in zip(made(denoiser(tokenizer), templates), templates, strict=True):
            assert meets(one, template)
