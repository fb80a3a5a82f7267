"""The reverse process: masked tokens are revealed step by step until none is left.

The denoiser does not see the time, only the tokens. So a step in which nothing is revealed changes nothing and needs
no forward pass, and two sequences in one batch need not be at the same step: each sequence goes from one of its own
steps that reveal something to the next. 1,000 steps on 200 tokens then cost about 190 forward passes, not 1,000, and
the result is that of 1,000 steps.
"""

from collections.abc import Callable, Iterator, Sequence

import torch

from diffusion_bert.diffusion import Schedule
from diffusion_bert.sampling import draw
from diffusion_bert.sampling.noise import DRAW, LAYOUT, LENGTH, ORDER, REDRAW, RELENGTH, REMASK, step_of, uniforms
from diffusion_bert.sampling.order import EntropyBounded, LeftToRight, Planned, slots
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
    that what is masked spells the bp that the others leave of the sequence's length (``lengths``) or what they leave of
    its template (``templates``).

    tokens (B, L) int64; masked (B, L) bool, where tokens hold the id of [MASK]; fractions: of ``revealed_fractions``;
    seeds (B,) int64, one a sequence; round_: the pass, which separates its random numbers from those of other passes.
    """
    tokens, masked = tokens.clone(), masked.clone()
    length = tokens.shape[1]
    order_noise = uniforms(seeds, length, purpose=ORDER, round_=round_)
    noise = [uniforms(seeds, length, purpose=purpose, round_=round_) for purpose in (DRAW, LENGTH)]
    stage = dense(*planned(sampler, masked, fractions, order_noise))
    advance(tokens, masked, stage, order_noise, predictor, sampler, seeds, lambda number: noise, step_of(round_, 0))
    return tokens


def planned(
    sampler: Sampler, masked: torch.Tensor, fractions: torch.Tensor, order_noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The step of each reveal, (B, L) int64, and which of the L exist, bool: those of the masked positions, or, where
    the order looks at predictions, of the first, second, ... token to be revealed, whichever it will be."""
    order = sampler.reveals()
    if isinstance(order, Planned):
        return order.plan(masked, fractions, order_noise), masked
    return slots(masked, fractions)


def advance(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    stage: torch.Tensor,
    order_noise: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
    seeds: torch.Tensor,
    noise: Callable[[int], Sequence[torch.Tensor]],
    first: int,
) -> None:
    """Reveal stage after stage, in place: tokens, masked (B, L).

    stage (B, L) int64: the number, from 0, of the stage in which what ``planned`` tells of is revealed, none of a row
    empty; -1 for what stays masked. noise: of a stage's number, the uniform numbers (B, L) for tokens and for their
    lengths. first: the number of the first stage among all steps of all passes.
    """
    for number, rows, chosen, log_probs in stages(tokens, masked, stage, order_noise, predictor, sampler):
        _reveal(tokens, masked, predictor, sampler, rows, chosen, log_probs, *noise(number), seeds, first + number)


def stages(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    stage: torch.Tensor,
    order_noise: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """What is to be revealed, stage after stage, as for ``advance``: the stage's number, the rows (b,) it concerns, the
    positions chosen (b, L) bool, and the predictions (n, A) at these in row-major order.

    Whoever asks puts the tokens there, in ``tokens`` and ``masked``, before the next stage is predicted.
    A model that can go from left to right reading each base once does so where the order is that: one base at a time,
    since several would cost no less.
    """
    order = sampler.reveals()
    if isinstance(order, LeftToRight) and predictor.denoiser.walks:
        yield from _walked(tokens, stage, predictor)
        return
    bounded = isinstance(order, EntropyBounded)
    number = 0
    while True:
        now = stage == number
        rows = (masked if bounded else now).any(1).nonzero()[:, 0]
        if not len(rows):
            return
        if isinstance(order, Planned):
            chosen = now[rows]
            log_probs = predictor(tokens, rows, chosen)
        else:
            hidden = masked[rows]
            log_probs = predictor(tokens, rows, hidden)
            counts = order.allowed(log_probs, hidden) if bounded else now[rows].sum(1)
            chosen = order.choose(log_probs, hidden, counts, order_noise[rows])
            log_probs = log_probs[chosen[hidden]]
        yield number, rows, chosen, log_probs
        number += 1


def _walked(
    tokens: torch.Tensor, stage: torch.Tensor, predictor: Predictor
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """``stages`` that go from left to right one token at a time; their number is that of the position."""
    revealed = stage >= 0
    walk = predictor.walk(tokens)
    ends = int((revealed.any(0) * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)).max())
    for position in range(ends):
        rows = revealed[:, position].nonzero()[:, 0]
        if len(rows):
            chosen = torch.zeros((len(rows), tokens.shape[1]), dtype=torch.bool, device=tokens.device)
            chosen[:, position] = True
            yield position, rows, chosen, walk.at(rows)
        walk.read(tokens[:, position])


def completed(
    tokens: torch.Tensor, masked: torch.Tensor, predictor: Predictor, sampler: Sampler, seeds: torch.Tensor, step: int
) -> torch.Tensor:
    """What the sequences might become: all masked tokens drawn at once, from one forward pass. Returns new tokens
    (B, L). step: a number that no other draw has."""
    tokens, masked = tokens.clone(), masked.clone()
    rows = masked.any(1).nonzero()[:, 0]
    if len(rows):
        chosen = masked[rows]
        noise = [uniforms(seeds, tokens.shape[1], purpose=purpose, round_=step) for purpose in (REDRAW, RELENGTH)]
        log_probs = predictor(tokens, rows, chosen)
        _reveal(tokens, masked, predictor, sampler, rows, chosen, log_probs, *noise, seeds, step)
    return tokens


def fill_remasking(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
    fractions: torch.Tensor,
    seeds: torch.Tensor,
) -> torch.Tensor:
    """As ``fill`` in ancestral order, with tokens drawn here masked again on the way: ReMDM, Wang et al. 2025,
    arXiv:2503.00307.

    From a share a of revealed tokens to a share b, a token in sight is masked again with probability sigma, a masked
    one is revealed with probability (b - (1 - sigma) a) / (1 - a), which makes up for it. With one sigma for all tokens
    the sequences keep the law of the ancestral order, however often they are remasked; a poor first draw can be mended.
    sigma is at most min(1, (1 - b) / a), which is 0 in the last step, and is

    - capped: ``remask.eta``, or that maximum where it is less;
    - rescaled: ``remask.eta`` times that maximum;
    - confidence: as rescaled, and shared out among the tokens in sight in proportion to exp(-p), p being the
      probability that the model gave the token when it was drawn; about eta tokens a step. Improbable tokens go more
      often, so the law moves towards probable ones, and masked tokens are revealed as if nothing were remasked.

    All that was in sight at the start stays. Every step with a reveal is a forward pass for its sequences, so more
    steps cost more, unlike in ``fill``.
    """
    tokens, masked = tokens.clone(), masked.clone()
    free = masked.clone()
    length = tokens.shape[1]
    certain = torch.zeros(tokens.shape, dtype=torch.float64, device=tokens.device)
    before = 0.0
    for number, after in enumerate(fractions.tolist()):
        step = step_of(0, number)
        moves, *noise = (
            uniforms(seeds, length, purpose=purpose, round_=step) for purpose in (REMASK, REDRAW, RELENGTH)
        )
        most = min(1.0, (1 - after) / before) if before else 1.0
        seen = free & ~masked
        if sampler.remask.strategy == "confidence":
            share = torch.softmax((-certain).masked_fill(~seen, -torch.inf), -1).nan_to_num(0.0)
            sigma, makes_up = sampler.remask.eta * most * share, 0.0
        else:
            capped = sampler.remask.strategy == "capped"
            sigma = makes_up = min(sampler.remask.eta, most) if capped else sampler.remask.eta * most
        again = seen & (moves < sigma)
        revealed = masked & (moves < (after - (1 - makes_up) * before) / (1 - before))
        if number == len(fractions) - 1:
            revealed = masked.clone()
        before = after
        rows = revealed.any(1).nonzero()[:, 0]
        chosen = revealed[rows]
        # What is masked again in this step was in sight when the step's tokens were predicted.
        log_probs = predictor(tokens, rows, chosen) if len(rows) else None
        tokens[again] = predictor.mask_id
        masked |= again
        if log_probs is not None:
            row, position = chosen.nonzero(as_tuple=True)
            columns = _reveal(tokens, masked, predictor, sampler, rows, chosen, log_probs, *noise, seeds, step)
            certain[rows[row], position] = log_probs.gather(1, columns[:, None])[:, 0].exp()
    return tokens


def _reveal(
    tokens: torch.Tensor,
    masked: torch.Tensor,
    predictor: Predictor,
    sampler: Sampler,
    rows: torch.Tensor,
    chosen: torch.Tensor,
    log_probs: torch.Tensor,
    draw_noise: torch.Tensor,
    length_noise: torch.Tensor,
    seeds: torch.Tensor,
    step: int,
) -> torch.Tensor:
    """Draw the n tokens at the positions of chosen (b, L) of the sequences rows (b,) into ``tokens`` and ``masked``.

    log_probs (n, A): their predictions; draw_noise, length_noise (B, L); step: its number among those of all passes.
    Returns the columns that were drawn, (n,).
    """
    drawn_from = draw.truncated(log_probs, temperature=sampler.temperature, top_p=sampler.top_p, top_k=sampler.top_k)
    row, position = chosen.nonzero(as_tuple=True)
    row = rows[row]
    token_noise = draw_noise[row, position]
    if predictor.spellings is None and predictor.lengths is None:
        columns = draw.inverse_cdf(drawn_from, token_noise)
    elif predictor.spellings is not None:
        whole = draw.tempered(log_probs, sampler.temperature)
        columns = torch.empty_like(row)
        layout_noise = uniforms(seeds[rows], tokens.shape[1], purpose=LAYOUT, round_=step)
        present = torch.searchsorted(predictor.allowed, tokens[rows]).clamp(max=len(predictor.allowed) - 1)
        for number, spelling in enumerate(predictor.spellings):
            of = predictor.which[rows] == number
            drawn = predictor.which[row] == number
            if of.any():
                columns[drawn] = spelling.draw(
                    drawn_from[drawn],
                    whole[drawn],
                    present[of],
                    masked[rows][of],
                    chosen[of],
                    layout_noise[of],
                    token_noise[drawn],
                )
    else:
        columns = predictor.lengths.draw(
            drawn_from,
            draw.tempered(log_probs, sampler.temperature),
            chosen,
            left=predictor.bp[rows] - predictor.bases[tokens[rows]].sum(1),
            masked_after=(masked[rows] & ~chosen).sum(1),
            length_noise=length_noise[row, position],
            token_noise=token_noise,
        )
    tokens[row, position] = predictor.allowed[columns]
    masked[row, position] = False
    return columns
