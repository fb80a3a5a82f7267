"""The reverse process: masked tokens are revealed step by step until none is left.

The denoiser does not see the time, only the tokens. So a step in which nothing is revealed changes nothing and needs
no forward pass, and two sequences in one batch need not be at the same step: each sequence goes from one of its own
steps that reveal something to the next. 1,000 steps on 200 tokens then cost about 190 forward passes, not 1,000, and
the result is that of 1,000 steps.
"""

import torch

from diffusion_bert.diffusion import Schedule
from diffusion_bert.sampling import draw
from diffusion_bert.sampling.noise import DRAW, LENGTH, ORDER, uniforms
from diffusion_bert.sampling.order import ORDERS, Planned, slots
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.settings import Sampler


def revealed_fractions(schedule: Schedule, steps: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The share of the masked tokens that is revealed after each of ``steps`` equal steps of time: (steps,) float64.

    From t = 1, where all are masked, to t = 0; a token that is masked at t is revealed by s with probability
    (alpha(s) - alpha(t)) / (1 - alpha(t)). The last is 1 exactly.
    """
    time = torch.arange(steps - 1, -1, -1, dtype=torch.float64, device=device) / steps
    start = schedule.alpha(torch.ones((), dtype=torch.float64, device=device))
    fractions = (schedule.alpha(time) - start) / (1 - start)
    fractions[-1] = 1.0
    return fractions


def dense(steps: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    """Steps renumbered 0, 1, 2... in each row so that none is empty; -1 where not used. Both (B, L); returns (B, L)."""
    ordered, index = steps.masked_fill(~used, -1).sort(dim=1)
    new = torch.zeros_like(ordered)
    new[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).long()
    number = new.cumsum(1) - (~used).any(1, keepdim=True).long()
    return torch.empty_like(number).scatter_(1, index, number)


def fill(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
    fractions: torch.Tensor,
    seeds: torch.Tensor,
    round_: int,
) -> torch.Tensor:
    """Draw every masked token; the others stay as they are. Returns new tokens (B, L).

    The tokens of one step are drawn independently where the predictor knows how long each has to be, else together, so
    that what is masked spells the bp that the others leave of the sequence's length (``lengths``).

    tokens (B, L) int64; masked (B, L) bool, where tokens hold the id of [MASK]; fractions: of ``revealed_fractions``;
    seeds (B,) int64, one a sequence; round_: the pass, which separates its random numbers from those of other passes.
    """
    tokens, masked = tokens.clone(), masked.clone()
    length = tokens.shape[1]
    order = ORDERS[sampler.order]
    order_noise = uniforms(seeds, length, purpose=ORDER, round_=round_)
    draw_noise = uniforms(seeds, length, purpose=DRAW, round_=round_)
    length_noise = uniforms(seeds, length, purpose=LENGTH, round_=round_)
    if isinstance(order, Planned):
        stage = dense(order.plan(masked, fractions, order_noise), masked)
    else:
        # Known ahead is only the step of the first, second, ... token that will be revealed, whichever it will be.
        stage = dense(*slots(masked, fractions))
    for number in range(int(stage.max()) + 1):
        now = stage == number
        rows = now.any(1).nonzero()[:, 0]
        if isinstance(order, Planned):
            chosen = now[rows]
            log_probs = predictor(tokens, rows, chosen)
        else:
            hidden = masked[rows]
            log_probs = predictor(tokens, rows, hidden)
            chosen = order.choose(log_probs, hidden, now[rows].sum(1), order_noise[rows])
            log_probs = log_probs[chosen[hidden]]
        drawn_from = draw.truncated(
            log_probs, temperature=sampler.temperature, top_p=sampler.top_p, top_k=sampler.top_k
        )
        row, position = chosen.nonzero(as_tuple=True)
        row = rows[row]
        if predictor.lengths is None:
            columns = draw.inverse_cdf(drawn_from, draw_noise[row, position])
        else:
            columns = predictor.lengths.draw(
                drawn_from,
                draw.tempered(log_probs, sampler.temperature),
                chosen,
                left=predictor.bp[rows] - predictor.bases[tokens[rows]].sum(1),
                masked_after=(masked[rows] & ~chosen).sum(1),
                length_noise=length_noise[row, position],
                token_noise=draw_noise[row, position],
            )
        tokens[row, position] = predictor.allowed[columns]
        masked[row, position] = False
    return tokens
