"""Steering by a scorer: any function that says of a sequence and its label how good it is, the higher the better.

best_of: of n independent candidates for a sequence, the one with the highest score. Cost: n sequences each. How far it
can go hangs on n alone: it picks from what the model draws anyway.

smc: sequential Monte Carlo (Feynman-Kac steering, Singhal et al. 2025, arXiv:2501.06848; Wu et al. 2023,
arXiv:2306.17775). n particles of a sequence go through the reverse process side by side. At ``resamplings`` times on
the way, in equal shares of the tokens, what is masked of each is completed by one draw from one forward pass, and the
completion is scored. A particle's weight is multiplied by exp(strength x (score - its score the last time)), at the
end with the score of the sequence itself. Where the effective number of particles falls under half, they are drawn
anew in proportion to their weights (systematic resampling), and the copies go their own ways from there. In the end one
is drawn by weight. Cost: n sequences each, and a forward pass of all particles for each resampling.

Its target is p(x) exp(strength x score(x)), normalised, where p is the law of the sampler without the guide: all
factors of a particle multiply to exp(strength x score(x)), whatever was scored on the way. The law comes to the target
as the particles become many; with one it is p. The scores on the way only decide how many are needed. The number of BPE
tokens of a sequence is drawn before and is the same for all candidates, so p is then the law given that number.

Candidate number 0 has the seed of the sequence, the others seeds derived from it, so a sequence is a function of the
same things as without a guide, as long as the scorer scores each sequence by itself.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.draw import inverse_cdf
from diffusion_bert.sampling.noise import GUESSED, ORDER, REDRAW, RELENGTH, RESAMPLE, step_of, uniforms
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.reverse import advance, completed, dense, planned
from diffusion_bert.sampling.settings import Sampler
from diffusion_bert.seeds import derive_seed


class Scorer:
    """A function of DNA sequences and as many requested labels (None for no label) that gives a number each.

    name: for messages. labels: those it knows, None for any. identity: tells it from others, for draws that are kept.
    """

    def __init__(
        self,
        function: Callable[[list[str], list[str | None]], Sequence[float]],
        name: str,
        labels: Sequence[str] | None = None,
        identity: str = "",
    ):
        self.function, self.name, self.identity = function, name, identity
        self.labels = None if labels is None else list(labels)

    def __call__(self, sequences: list[str], labels: list[str | None]) -> np.ndarray:
        """(n,) float64. Raises UserError where the function gives anything but a finite number for each."""
        got = self.function(sequences, labels)
        try:
            scores = np.asarray(got, dtype=np.float64)
        except (TypeError, ValueError):
            scores = np.full(0, np.nan)
        if scores.shape != (len(sequences),) or not np.isfinite(scores).all():
            raise UserError(
                f"sampler.guide.scorer: {self.name} gave {_told(got)} for {len(sequences)} sequences.",
                "Let it return one finite number for each sequence.",
            )
        return scores

    def check(self, labels: Sequence[str | None]) -> None:
        """Raises UserError for a label that it does not know."""
        unknown = sorted({label for label in labels if label is not None} - set(self.labels or []))
        if self.labels is not None and unknown:
            raise UserError(
                f"label {', '.join(unknown)}: {self.name}, which is to guide, does not know it; "
                f"it knows {', '.join(self.labels)}.",
                "Ask for other labels (generate.labels), give it more training windows, or leave guide.method null.",
            )


def _told(got: object) -> str:
    text = repr(got)
    return text if len(text) <= 60 else f"{text[:57]}..."


def candidate_seeds(seeds: Sequence[int], candidates: int) -> list[int]:
    """The seeds of the candidates of each sequence, sequence by sequence; the first is the sequence's own."""
    return [derive_seed(seed, "candidate", k) if k else seed for seed in seeds for k in range(candidates)]


def stops(fractions: torch.Tensor, resamplings: int) -> list[int]:
    """How many steps are done at each comparison on the way and at the end: ascending, the last all of them."""
    shares = torch.arange(1, resamplings + 1, dtype=fractions.dtype, device=fractions.device) / (resamplings + 1)
    done = torch.searchsorted(fractions, shares) + 1
    return sorted({*done.tolist(), len(fractions)})


def systematic(weights: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Systematic resampling: (B, K) int64, which particle each place gets. weights (B, K) that sum to 1, noise (B, 1)
    in [0, 1). A particle gets K x weight places, rounded up or down."""
    points = (torch.arange(weights.shape[1], device=weights.device) + noise) / weights.shape[1]
    cumulative = weights.cumsum(-1)
    return torch.searchsorted(cumulative / cumulative[:, -1:], points, right=True).clamp(max=weights.shape[1] - 1)


def particles(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
    fractions: torch.Tensor,
    seeds: torch.Tensor,
    keys: torch.Tensor,
    score: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The finished particles, (B x K, L), and the logarithms of their weights but for the last score, (B, K): with it,
    the weighted mean over the K of any function of the sequences estimates without bias, whatever K, its mean over
    p(x) exp(strength x score(x)), not normalised.

    tokens, masked (B x K, L): K particles of each sequence, one after the other. seeds (B x K,): of the particles; keys
    (B,): of the sequences. score: of tokens (B x K, L) without masks, (B, K) float64. As ``reverse.fill`` otherwise.
    """
    tokens, masked = tokens.clone(), masked.clone()
    length, shape = tokens.shape[1], (len(keys), len(seeds) // len(keys))
    first = torch.arange(shape[0], device=keys.device)[:, None] * shape[1]
    order_noise = uniforms(seeds, length, purpose=ORDER, round_=0)
    steps, used = planned(sampler, masked.clone(), fractions, order_noise)
    log_weights = torch.zeros(shape, dtype=torch.float64, device=keys.device)
    potential = torch.zeros_like(log_weights)

    def fresh(step: int) -> list[torch.Tensor]:
        # What a place has seen before the particles were drawn anew must not come again: it is why they were.
        return [uniforms(seeds, length, purpose=purpose, round_=step_of(0, step)) for purpose in (REDRAW, RELENGTH)]

    done = 0
    for number, stop in enumerate(stops(fractions, sampler.guide.resamplings)):
        stage = dense(steps, used & (steps >= done) & (steps < stop))
        at = done
        advance(
            tokens,
            masked,
            stage,
            order_noise,
            predictor,
            sampler,
            seeds,
            lambda n, at=at: fresh(at + n),
            step_of(0, at),
        )
        done = stop
        if stop == len(fractions):
            break
        guess = completed(tokens, masked, predictor, sampler, seeds, step_of(GUESSED, number))
        new = sampler.guide.strength * score(guess)
        log_weights, potential = log_weights + new - potential, new
        weights = torch.softmax(log_weights, -1)
        poor = weights.square().sum(-1) > 2 / shape[1]
        chosen = systematic(weights, uniforms(keys, 1, purpose=RESAMPLE, round_=number))
        chosen = torch.where(poor[:, None], chosen, torch.arange(shape[1], device=keys.device))
        even = torch.logsumexp(log_weights, -1, keepdim=True) - math.log(shape[1])
        log_weights = torch.where(poor[:, None], even, log_weights)
        potential = potential.gather(1, chosen)
        rows = (first + chosen).flatten()
        tokens, masked, steps, used, order_noise = (x[rows] for x in (tokens, masked, steps, used, order_noise))
    return tokens, log_weights - potential


def drawn_by_weight(log_weights: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """One particle of each sequence: (B,) int64. log_weights (B, K)."""
    noise = uniforms(keys, 1, purpose=RESAMPLE, round_=-1)[:, 0]
    return inverse_cdf(torch.log_softmax(log_weights, -1), noise)
