"""Steering by a scorer: the laws of both methods against enumeration, seeds, every tokenizer, and what is refused."""

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, chi_square, sequence_counts, settings, two_step_law
from scipy.stats import chi2
from toy_models import FactorisedModel, LabelModel, TokenModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.errors import UserError
from diffusion_bert.oracle.folder import Oracle, activity, save_oracle
from diffusion_bert.oracle.network import SequenceNetwork
from diffusion_bert.sampling import generate as generating
from diffusion_bert.sampling import guide, reverse
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.guide import Scorer, stops, systematic
from diffusion_bert.sampling.noise import uniforms
from diffusion_bert.sampling.reverse import revealed_fractions
from diffusion_bert.sampling.scorers import scorer_of
from diffusion_bert.tokens import BaseTokenizer, BpeTokenizer, KmerTokenizer

LENGTH = 3
SEQUENCES = all_sequences(LENGTH)
# A score for each sequence, no two alike, which no score of single bases explains.
SCORES = np.random.default_rng(5).normal(size=len(SEQUENCES))
TABLE = dict(zip(SEQUENCES, SCORES, strict=True))


def chain_law():
    return np.exp(markov_model().log_prob(SEQUENCES))


def tilted(law, strength=1.0):
    law = law * np.exp(strength * SCORES)
    return law / law.sum()


def best_of(law, n):
    """The law of the one with the highest score among n independent draws."""
    order = np.argsort(SCORES)
    up_to = law[order].cumsum() ** n
    out = np.empty_like(law)
    out[order] = np.diff(up_to, prepend=0.0)
    return out


def by_table(sequences, labels):
    return [TABLE[sequence] for sequence in sequences]


def counts(n=800, model=None, refine=None, seed=11, **changes):
    changes = {"steps": 3000, **changes}
    frame = generate(
        as_denoiser(model or markov_model()),
        labels=[None] * n,
        lengths=[LENGTH] * n,
        sampler=settings(refine, **changes),
        scorer=Scorer(by_table, "the table"),
        seed=seed,
        batch_size=20_000,
    )
    return sequence_counts(frame.sequence, LENGTH)


# The laws


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_best_of_n_has_the_law_of_the_highest_of_n_draws(n):
    drawn = counts(guide={"method": "best_of", "candidates": n})
    assert chi_square(drawn, best_of(chain_law(), n)) > FALSE_ALARM
    if n > 1:
        assert chi_square(drawn, chain_law()) < 1e-9
        assert chi_square(drawn, best_of(chain_law(), n + 2)) < 1e-9


SMC = {"method": "smc", "candidates": 32, "resamplings": 2}


@pytest.mark.parametrize(
    ("changes", "strength"),
    [
        ({}, 1.0),
        ({}, 0.6),
        ({"order": "random", "steps": LENGTH}, 1.0),
        ({"order": "left_to_right", "steps": LENGTH}, 1.0),
        ({"order": "entropy", "steps": LENGTH}, 1.0),
    ],
)
def test_many_particles_have_the_tilted_law(changes, strength):
    drawn = counts(guide={**SMC, "strength": strength}, **changes)
    assert chi_square(drawn, tilted(chain_law(), strength)) > FALSE_ALARM
    assert chi_square(drawn, chain_law()) < 1e-9


@pytest.mark.parametrize("resamplings", [1, 5])
def test_with_few_steps_it_is_the_law_of_those_steps_that_is_tilted(resamplings):
    law = two_step_law(markov_model(), LENGTH, 1 / 2)
    drawn = counts(steps=2, guide={**SMC, "resamplings": resamplings})
    assert chi_square(drawn, tilted(law)) > FALSE_ALARM
    assert chi_square(drawn, tilted(chain_law())) < 1e-6


def test_refinement_comes_before_the_last_weighing():
    """Redrawing a base of independent ones leaves their law; a weight from before would be that of another sequence."""
    probabilities = np.random.default_rng(2).dirichlet([2] * 4, LENGTH)
    model = FactorisedModel(probabilities)
    law = np.exp(model.log_prob(SEQUENCES))
    drawn = counts(model=model, refine={"passes": 1, "fraction": 1.0}, guide=SMC)
    assert chi_square(drawn, tilted(law)) > FALSE_ALARM
    assert chi_square(drawn, law) < 1e-9


def test_one_particle_and_no_strength_leave_the_law_as_it_is():
    assert chi_square(counts(guide={**SMC, "candidates": 1}), chain_law()) > FALSE_ALARM
    assert chi_square(counts(guide={**SMC, "candidates": 8, "strength": 0}), chain_law()) > FALSE_ALARM


def not_weighed(log_weights, keys):
    return torch.zeros(len(keys), dtype=torch.int64)


def not_resampled(weights, noise):
    return torch.arange(weights.shape[1]).expand(weights.shape)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [(generating, "drawn_by_weight", not_weighed), (guide, "systematic", not_resampled)],
)
def test_weights_that_count_for_nothing_are_told(monkeypatch, module, name, broken):
    """Particles are drawn anew in the toy too, so that leaving either use of the weights out shows."""
    monkeypatch.setattr(module, name, broken)
    drawn = counts(guide={**SMC, "strength": 1.5})
    assert chi_square(drawn, tilted(chain_law(), 1.5)) < 1e-9


@pytest.mark.parametrize(("strength", "order"), [(1.0, "ancestral"), (0.7, "random"), (1.0, "entropy")])
def test_few_particles_estimate_without_bias(monkeypatch, strength, order):
    """What holds of any number of them: the mean weight at a sequence is p(x) exp(strength x score(x)).

    With more strength the weights have such tails that their standard error says nothing.
    """
    n, k = 6000, 4
    seen, weights = [], []

    def scorer(sequences, labels):
        seen[:] = sequences
        return by_table(sequences, labels)

    def noted(log_weights, keys):
        weights.append(log_weights.exp().numpy())
        return torch.zeros(len(keys), dtype=torch.int64)

    monkeypatch.setattr(generating, "drawn_by_weight", noted)
    generate(
        as_denoiser(markov_model()),
        labels=[None] * n,
        lengths=[LENGTH] * n,
        sampler=settings(
            order=order,
            steps=3000 if order == "ancestral" else LENGTH,
            guide={**SMC, "candidates": k, "strength": strength},
        ),
        scorer=Scorer(scorer, "it"),
        seed=3,
        batch_size=n * k,
    )
    estimates = np.zeros((n, len(SEQUENCES)))
    place = np.array([SEQUENCES.index(sequence) for sequence in seen]).reshape(n, k)
    for particle in range(k):
        estimates[np.arange(n), place[:, particle]] += weights[0][:, particle] / k
    truth = chain_law() * np.exp(strength * SCORES)
    common = truth > 0.005
    z = (estimates.mean(0) - truth)[common] / (estimates.std(0)[common] / n**0.5)
    assert chi2.sf((z**2).sum(), common.sum()) > FALSE_ALARM
    assert common.sum() > 30


def test_no_number_is_used_again_after_particles_are_drawn_anew(monkeypatch):
    """What a place has seen before is why its particle was replaced; its next one must not see it again."""
    used = []

    def noted(seeds, length, *, purpose, round_):
        used.append((purpose, round_))
        return uniforms(seeds, length, purpose=purpose, round_=round_)

    for module in (guide, reverse):
        monkeypatch.setattr(module, "uniforms", noted)
    made(denoiser(BPE), "smc", n=1, templates=["NNGATNNNNNNNNCCNN"])
    assert len(used) > 15
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("seed", range(3))
def test_systematic_resampling_gives_each_its_share(seed):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.softmax(3 * torch.randn(500, 9, generator=generator, dtype=torch.float64), -1)
    weights[:50, -3:] = 0
    weights /= weights.sum(-1, keepdim=True)
    chosen = systematic(weights, torch.rand(500, 1, generator=generator, dtype=torch.float64))
    copies = torch.nn.functional.one_hot(chosen, 9).sum(1)
    assert (copies.sum(-1) == 9).all()
    assert ((copies - 9 * weights).abs() < 1 + 1e-9).all()
    assert (copies[weights == 0] == 0).all()
    error = (copies - 9 * weights).mean(0).abs()
    assert (error < 0.1).all()  # on average each gets what its weight says


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize(("steps", "resamplings"), [(1, 4), (2, 1), (64, 8), (3, 8), (1000, 3)])
def test_particles_are_compared_in_equal_shares_of_the_tokens(schedule, steps, resamplings):
    fractions = revealed_fractions(as_denoiser(markov_model(), schedule).schedule, steps)
    at = stops(fractions, resamplings)
    assert at[-1] == steps
    assert at == sorted(set(at))
    for number in range(1, resamplings + 1):
        share = number / (resamplings + 1)
        assert next(stop for stop in at if fractions[stop - 1] >= share) == int((fractions < share).sum()) + 1


# Seeds

WHOLE = {
    "best_of": {"method": "best_of", "candidates": 3},
    "smc": {"method": "smc", "candidates": 5, "strength": 2.0, "resamplings": 3},
}


def g_c(sequences, labels):
    """More G for label a, more C for others."""
    return [sequence.count("G" if label == "a" else "C") for sequence, label in zip(sequences, labels, strict=True)]


def made(model, method, n=12, lengths=None, templates=None, labels=("a", "b", None), scorer=g_c, **options):
    sampler = options.pop("sampler", {"steps": 6})
    frame = generate(
        model,
        labels=[labels[i % len(labels)] for i in range(n)],
        lengths=lengths or [len(template) for template in templates or []] or [14] * n,
        templates=templates,
        sampler=settings(guide=WHOLE[method], **sampler),
        scorer=Scorer(scorer, "it"),
        seed=4,
        **options,
    )
    return frame["sequence"].tolist()


BPE = BpeTokenizer.trained(["ACGTACGTTTGACA", "TTGACATTGACA", "ACGTACGT"] * 20, 15, ["a", "b"])
TOKENIZERS = [BaseTokenizer(["a", "b"]), KmerTokenizer(3, ["a", "b"]), BPE]


def denoiser(tokenizer):
    out = as_denoiser(TokenModel(tokenizer, np.random.default_rng(1).normal(size=tokenizer.vocab_size)))
    out.settings["token_lengths"] = [10, 5, 2, 3]
    return out


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["bases", "kmers", "bpe"])
@pytest.mark.parametrize("method", WHOLE)
def test_a_sequence_is_a_function_of_its_seed(tokenizer, method):
    model = denoiser(tokenizer)
    lengths = [14, 9, 14, 11] * 3
    whole = made(model, method, lengths=lengths)
    for batch_size in (1, 20, 1000):
        assert made(model, method, lengths=lengths, batch_size=batch_size) == whole
    assert made(model, method, n=6, lengths=lengths[:6]) == whole[:6]
    assert made(model, method, n=6, lengths=lengths[6:], first_index=6) == whole[6:]


@pytest.mark.parametrize("order", ["ancestral", "margin", "entropy_bounded"])
def test_the_first_candidate_is_the_sequence_without_a_guide(order):
    model = denoiser(TOKENIZERS[0])
    plain = settings({"passes": 1, "fraction": 0.2}, order=order, steps=5)
    asked = {"labels": ["a"] * 9, "lengths": [12] * 9, "seed": 2}
    unguided = generate(model, sampler=plain, **asked)
    seen = []

    def first_is_best(sequences, labels):
        seen.extend(sequences)
        return [1.0 if i % 3 == 0 else 0.0 for i in range(len(sequences))]

    sampler = {**plain, "guide": {**plain["guide"], "method": "best_of", "candidates": 3}}
    guided = generate(model, sampler=sampler, scorer=Scorer(first_is_best, "it"), **asked)
    assert guided.equals(unguided)
    assert len(set(seen)) == 27


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["bases", "kmers", "bpe"])
@pytest.mark.parametrize("method", WHOLE)
@pytest.mark.parametrize("templates", [None, ["NNGATWNNNNNNNCC", "NNNNNNNN"] * 6])
def test_whole_sequences_are_scored_and_the_chosen_one_is_among_them(tokenizer, method, templates):
    lengths = [len(template) for template in templates] if templates else [15, 8] * 6
    calls = []

    def scorer(sequences, labels):
        calls.append((sequences, labels))
        return g_c(sequences, labels)

    out = made(denoiser(tokenizer), method, lengths=lengths, templates=templates, scorer=scorer)
    assert [len(sequence) for sequence in out] == lengths
    for sequences, labels in calls:
        assert set("".join(sequences)) <= set("ACGT")
        assert {len(sequence) for sequence in sequences} <= {15, 8}
        assert set(labels) <= {"a", "b", None}
        if templates:
            assert all(s[2:5] == "GAT" and s[5] in "AT" and s[-2:] == "CC" for s in sequences if len(s) == 15)
    last = [sequence for sequences, _ in calls for sequence in sequences]
    assert set(out) <= set(last)
    plain = made(denoiser(tokenizer), method, lengths=lengths, templates=templates, scorer=lambda s, _: [0.0] * len(s))
    told = [sum(g_c(sequences, [("a", "b", None)[i % 3] for i in range(12)])) for sequences in (out, plain)]
    assert told[0] > told[1]


def test_k_mers_have_the_tilted_law():
    tokenizer = KmerTokenizer(2)
    weights = np.random.default_rng(3).normal(size=tokenizer.vocab_size)
    weight = dict(zip(tokenizer.tokens, np.exp(weights), strict=True))
    law = np.array([weight[sequence[:2]] * weight[sequence[2]] for sequence in SEQUENCES])
    drawn = counts(model=TokenModel(tokenizer, weights), guide=SMC)
    assert chi_square(drawn, tilted(law / law.sum())) > FALSE_ALARM


def test_classifier_free_guidance_and_a_guide_act_together():
    table = {"a": [0.4, 0.3, 0.2, 0.1], "b": [0.1, 0.3, 0.2, 0.4]}
    law = np.array(table["a"]) ** 2 / np.mean(list(table.values()), 0)
    law = np.prod((law / law.sum())[[["ACGT".index(base) for base in sequence] for sequence in SEQUENCES]], -1)
    frame = generate(
        as_denoiser(LabelModel(table)),
        labels=["a"] * 800,
        lengths=[LENGTH] * 800,
        sampler=settings(guidance=1.0, guide=SMC),
        scorer=Scorer(by_table, "the table"),
        seed=1,
        batch_size=20_000,
    )
    assert chi_square(sequence_counts(frame.sequence, LENGTH), tilted(law)) > FALSE_ALARM


# What is refused


def refused(message, model=None, scorer=None, labels=("a",), **changes):
    model = model or LabelModel({"a": [0.25] * 4, "b": [0.25] * 4})
    with pytest.raises(UserError) as error:
        generate(
            as_denoiser(model),
            labels=list(labels),
            lengths=[8] * len(labels),
            sampler=settings(**changes),
            scorer=scorer or Scorer(g_c, "it"),
            seed=1,
        )
    assert message in str(error.value)
    assert error.value.remedy
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guide": {"method": "beam"}}, "sampler.guide.method is 'beam'. Give one of best_of, smc, or null."),
        ({"guide": {"candidates": 0}}, "sampler.guide.candidates is 0. Give a whole number of at least 1."),
        ({"guide": {"resamplings": 1.5}}, "sampler.guide.resamplings is 1.5."),
        ({"guide": {"strength": -1}}, "sampler.guide.strength is -1. Give a number of at least 0."),
        ({"guide": {"scorer": None}}, "sampler.guide.scorer is None."),
        ({"guide": {"particles": 3}}, "sampler.guide.particles is not a known key."),
        ({"guide": {"method": "smc"}, "order": "entropy_bounded"}, "has no steps known ahead"),
        ({"guide": {"method": "smc"}, "remask": {"strategy": "capped"}}, "sampler.remask is set"),
    ],
)
def test_a_setting_that_will_not_do_is_refused(changes, message):
    assert refused(message, **changes).calls == 0


@pytest.mark.parametrize("got", [[1.0], [0.0] * 3 + [float("nan")], [float("-inf")] * 4, "ACGT", None, [[1.0]] * 4])
def test_what_is_no_number_for_each_is_refused(got):
    refused(
        "sampler.guide.scorer: mine gave",
        scorer=Scorer(lambda sequences, labels: got, "mine"),
        guide={"method": "best_of", "candidates": 4},
    )


def test_a_label_that_the_scorer_does_not_know_is_refused_before_anything_is_drawn():
    scorer = Scorer(g_c, "the oracle", ["b"])
    asked = {"scorer": scorer, "labels": ["b", None, "a"], "guide": {"method": "best_of"}}
    assert refused("label a: the oracle, which is to guide, does not know it; it knows b.", **asked).calls == 0


def test_a_sampler_with_a_guide_and_nothing_to_ask():
    with pytest.raises(ValueError, match="needs a scorer"):
        generate(
            as_denoiser(markov_model()),
            labels=[None],
            lengths=[3],
            sampler=settings(guide={"method": "smc"}),
            seed=1,
        )


# Where scorers come from


def oracle_in(folder, kind="guide", labels=("a", "b")):
    torch.manual_seed(3)
    labels = list(labels)
    network = SequenceNetwork(len(labels) + 1, 8).eval() if labels else None
    description = {"oracle": kind, "labels": labels, "settings": {"width": 8}, "temperature": 1.5}
    oracle = Oracle(labels, network, 1.5, description)
    save_oracle(oracle, folder)
    return oracle


def test_the_guide_says_how_much_more_probable_the_label_is_than_background(tmp_path):
    oracle = oracle_in(tmp_path)
    scorer = scorer_of("oracle", tmp_path)
    sequences = ["ACGTTGACATTGACAACGTA", "GGGCGCTTATTTACAGGATC", "TTTTTTTTTTACGACGTTTT"]
    log_p = oracle.read(sequences)[0]
    expected = [
        log_p[0, 1] - log_p[0, 2],
        log_p[1, 0] - log_p[1, 2],
        np.logaddexp(log_p[2, 0], log_p[2, 1]) - log_p[2, 2],
    ]
    np.testing.assert_allclose(scorer(sequences, ["b", "a", None]), expected)
    np.testing.assert_allclose(expected[:2], activity(log_p[:2], ["b", "a"], ["a", "b"]))
    assert scorer.labels == ["a", "b"]


def test_the_judge_may_not_steer(tmp_path):
    oracle_in(tmp_path / "judge", "judge")
    with pytest.raises(UserError, match="holds the oracle judge, and only the guide may steer"):
        scorer_of("oracle", tmp_path / "judge")
    with pytest.raises(UserError, match="no oracle is given. Give its folder"):
        scorer_of("oracle", None)
    oracle_in(tmp_path / "empty", labels=())
    with pytest.raises(UserError, match="knows no label"):
        scorer_of("oracle", tmp_path / "empty")


def test_a_function_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_scores").mkdir()
    (tmp_path / "mine_scores/__init__.py").write_text("")
    file = tmp_path / "mine_scores/gc.py"
    file.write_text("def share(sequences, labels):\n    return [s.count('G') / len(s) for s in sequences]\n")
    monkeypatch.syspath_prepend(tmp_path)
    scorer = scorer_of("mine_scores.gc:share", None)
    assert scorer(["GGAA", "ACGT"], [None, "a"]).tolist() == [0.5, 0.25]
    assert scorer.labels is None
    before = scorer.identity
    file.write_text(file.read_text() + "\n# changed\n")
    assert scorer_of("mine_scores.gc:share", None).identity != before
    (tmp_path / "mine_broken.py").write_text("1 / 0\n")
    for entry, message in {
        "mine_scores": "mine_scores. Write package.module:function",
        "mine_nowhere:f": r"cannot be imported \(ModuleNotFoundError",
        "mine_broken:f": r"cannot be imported \(ZeroDivisionError: division by zero\)",
        "mine_scores.gc:gc": r"\(.*gc.py\) has no function gc",
    }.items():
        with pytest.raises(UserError, match="sampler.guide.scorer is .*" + message):
            scorer_of(entry, None)
