"""Refinement: tokens that the model, on second thought, finds improbable are masked again and drawn in the new context.

The confidence in a token is its probability given all the others, which takes a forward pass in which it is masked: at
a token that it sees, a masked language model was never trained to say anything. One pass for each position would cost
L forwards, so GROUPS interleaved groups of positions (every GROUPS-th position) are masked in turn: GROUPS forwards,
and each token is judged with all of its GROUPS - 1 neighbours on either side in sight, 1 - 1/GROUPS of the whole. The
probability is that of the full distribution (guided where guidance is on), neither tempered nor truncated: a token's
probability in a nucleus says nothing about how odd the token is. A model that does not see the token it predicts
(``leave_one_out``) judges all from all the others, in one pass.
"""

import torch

from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.reverse import fill
from diffusion_bert.sampling.settings import Sampler

GROUPS = 8


def confidence(tokens: torch.Tensor, rows: torch.Tensor, predictor: Predictor) -> torch.Tensor:
    """Probability of each present token given (almost) all others: (b, L) float64 for the sequences ``rows`` (b,).

    tokens (B, L) int64, none masked.
    """
    groups = 1 if predictor.denoiser.leave_one_out else min(GROUPS, tokens.shape[1])
    group = torch.arange(tokens.shape[1], device=tokens.device) % groups
    out = torch.empty((len(rows), tokens.shape[1]), dtype=torch.float64, device=tokens.device)
    present = tokens[rows]
    for number in range(groups):
        where = (group == number).expand(len(rows), -1)
        hidden = tokens if predictor.denoiser.leave_one_out else tokens.masked_fill(group == number, predictor.mask_id)
        log_probs = predictor(hidden, rows, where)
        column = torch.searchsorted(predictor.allowed, present[where])
        out[where] = log_probs.gather(1, column[:, None])[:, 0].exp()
    return out


def doubtful(
    confidences: torch.Tensor, threshold: float | None, fraction: float | None, settled: torch.Tensor
) -> torch.Tensor:
    """(b, L) bool: which tokens are masked again: those below the threshold, or the lowest fraction of each row's
    (rounded up). settled (b, L) bool: tokens that stay, of which the fraction is not taken either."""
    if threshold is not None:
        return (confidences < threshold) & ~settled
    count = torch.ceil(fraction * (~settled).sum(1).to(torch.float64)).long()
    place = confidences.masked_fill(settled, torch.inf).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return place < count[:, None]


def refine(
    tokens: torch.Tensor, predictor: Predictor, sampler: Sampler, fractions: torch.Tensor, seeds: torch.Tensor
) -> torch.Tensor:
    """At most ``sampler.refine.passes`` passes over finished sequences; returns new tokens (B, L).

    A sequence is finished, and costs nothing more, once none of its tokens is below the threshold. What is re-masked
    in one pass is masked together and drawn with the sampler's order and draw over the steps of ``fractions``. Tokens
    that a template fixes are never masked.
    """
    settings = sampler.refine
    rows = (~predictor.settled(tokens)).any(1).nonzero()[:, 0]
    for number in range(1, settings.passes + 1):
        if not len(rows):
            break
        settled = predictor.settled(tokens)[rows]
        again = doubtful(confidence(tokens, rows, predictor), settings.threshold, settings.fraction, settled)
        unsettled = again.any(1)
        rows = rows[unsettled]
        if not len(rows):
            break
        masked = torch.zeros_like(tokens, dtype=torch.bool)
        masked[rows] = again[unsettled]
        tokens = tokens.masked_fill(masked, predictor.mask_id)
        tokens = fill(tokens, masked, predictor, sampler, fractions, seeds, round_=number)
    return tokens
