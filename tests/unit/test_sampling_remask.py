"""Remasking during sampling: each strategy's probabilities, its law on a known chain, and what it must leave alone."""

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, Probe, chi_square, sequence_counts, settings
from toy_models import FactorisedModel, all_sequences, as_denoiser, markov_model

from diffusion_bert.diffusion import Schedule
from diffusion_bert.errors import UserError
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.reverse import revealed_fractions

N, LENGTH = 4000, 3


def made(model, n=N, length=LENGTH, seed=11, schedule="linear", batch_size=2000, **changes):
    return generate(
        as_denoiser(model, schedule),
        labels=[None] * n,
        lengths=[length] * n,
        sampler=settings(**changes),
        seed=seed,
        batch_size=batch_size,
    )["sequence"].tolist()


def chain_law():
    return np.exp(markov_model().log_prob(all_sequences(LENGTH)))


@pytest.mark.parametrize(
    ("schedule", "remask"),
    [
        ("linear", {"strategy": "capped", "eta": 0.01}),
        ("cosine", {"strategy": "capped", "eta": 0.01}),
        ("linear", {"strategy": "rescaled", "eta": 0.005}),
    ],
)
def test_remasking_keeps_the_law_of_the_chain(schedule, remask):
    """With steps so small that next to never two tokens of a sequence are drawn in one."""
    drawn = made(markov_model(), schedule=schedule, steps=500, remask=remask)
    assert chi_square(sequence_counts(drawn, LENGTH), chain_law()) > FALSE_ALARM


def steps_of(probe, n):
    """What was seen in each step, (n, L), where no sequence skips one. The model gets a batch in parts."""
    return [part.numpy() for part in torch.cat(probe.seen).split(n)]


def sigma(strategy, eta, before, after):
    most = min(1.0, (1 - after) / before) if before else 1.0
    return min(eta, most) if strategy == "capped" else eta * most


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize(("strategy", "eta"), [("capped", 0.3), ("rescaled", 0.3), ("rescaled", 1.0)])
def test_what_is_remasked_and_revealed_in_each_step_is_the_published_posterior(strategy, eta, schedule):
    """Between forward passes tokens vanish with probability sigma and appear with (b - (1 - sigma) a) / (1 - a)."""
    n, length, steps = 30, 800, 6
    probe = Probe(np.full((length, 4), 1 / 4))
    remask = {"strategy": strategy, "eta": eta}
    made(probe, n=n, length=length, schedule=schedule, steps=steps, remask=remask, batch_size=n)
    seen = steps_of(probe, n)
    assert len(seen) == steps
    fractions = [0.0, *revealed_fractions(Schedule(schedule), steps).tolist()]
    masked = [one < 0 for one in seen] + [np.zeros((n, length), dtype=bool)]
    for number in range(steps - 1):  # each sequence has some to reveal in each step
        before, after = fractions[number : number + 2]
        s = sigma(strategy, eta, before, after)
        now, then = masked[number], masked[number + 1]
        shown = (after - (1 - s) * before) / (1 - before)
        assert chi_square(np.array([(now & ~then).sum(), (now & then).sum()]), [shown, 1 - shown]) > FALSE_ALARM
        if before and s < 1:
            assert chi_square(np.array([(~now & then).sum(), (~now & ~then).sum()]), [s, 1 - s]) > FALSE_ALARM
        # whichever the strategy, the share in sight is that of the schedule
        assert chi_square(np.array([(~then).sum(), then.sum()]), [after, 1 - after]) > FALSE_ALARM
    assert not (masked[-2].all(1)).any()


def test_confidence_shares_out_the_remasking_by_how_improbable_a_token_was():
    """Each position is A with .6 or C with .4: a C goes exp(.6 - .4) times as often, and eta tokens go on average."""
    n, length, steps, eta = 3000, 160, 4, 0.8
    probe = Probe(np.tile([0.6, 0.4, 0, 0], (length, 1)).clip(1e-12))
    made(probe, n=n, length=length, steps=steps, remask={"strategy": "confidence", "eta": eta}, batch_size=n)
    seen = steps_of(probe, n)
    assert len(seen) == steps  # 40 tokens a step: no sequence skips one
    for number, most in ((1, 1.0), (2, 0.5)):
        gone = np.array([((seen[number] == base) & (seen[number + 1] < 0)).sum() for base in (0, 1)])
        present = np.array([(seen[number] == base).sum() for base in (0, 1)])
        share = present * np.exp([-0.6, -0.4])
        assert chi_square(gone, share / share.sum()) > FALSE_ALARM
        assert chi_square(gone, present / present.sum()) < FALSE_ALARM
        assert gone.sum() / n == pytest.approx(eta * most, rel=0.1)  # 3,000 x .4 or more: 3.5 standard deviations


@pytest.mark.parametrize("strategy", ["capped", "rescaled", "confidence"])
def test_a_sequence_depends_on_its_seed_alone(strategy):
    model = markov_model()
    changes = {"n": 30, "length": 15, "steps": 12, "remask": {"strategy": strategy, "eta": 0.4}}
    whole = made(model, **changes)
    assert made(model, batch_size=7, **changes) == whole
    assert made(model, seed=12, **changes) != whole
    assert len(set(whole)) > 25


def test_strategies_differ_from_each_other_and_from_none():
    model = markov_model()
    changes = {"n": 30, "length": 15, "steps": 12}
    drawn = {
        s: made(model, **changes, remask={"strategy": s, "eta": 0.4}) for s in ("capped", "rescaled", "confidence")
    }
    drawn[None] = made(model, **changes)
    assert len({tuple(sequences) for sequences in drawn.values()}) == 4


def test_no_remasking_is_the_ancestral_law():
    drawn = made(FactorisedModel(np.tile([0.4, 0.3, 0.2, 0.1], (3, 1))), remask={"strategy": "capped", "eta": 0.0})
    law = np.array([np.prod([[0.4, 0.3, 0.2, 0.1]["ACGT".index(b)] for b in s]) for s in all_sequences(3)])
    assert chi_square(sequence_counts(drawn, 3), law) > FALSE_ALARM


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remask": {"strategy": "often"}}, "sampler.remask.strategy is 'often'. Give one of capped, rescaled,"),
        ({"remask": {"strategy": "capped", "eta": 1.5}}, "sampler.remask.eta is 1.5. Give a number from 0 to 1."),
        ({"remask": {"strategy": "capped"}, "order": "entropy"}, "only the ancestral order remasks"),
        ({"entropy_budget": -1}, "sampler.entropy_budget is -1. Give a number of bits of at least 0."),
    ],
)
def test_a_setting_that_will_not_do_is_refused(changes, message):
    with pytest.raises(UserError) as error:
        made(markov_model(), n=1, **changes)
    assert message in str(error.value)
