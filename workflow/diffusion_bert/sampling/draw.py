"""Drawing a token from a predicted distribution: temperature, then top-k, then top-p, then one uniform number.

Each step acts on the renormalised result of the one before (the order that the transformers library uses). All of it is
float64: in float32 the tails of a distribution are lost, which acts as a lower temperature (Zheng et al. 2024,
arXiv:2409.02908).
"""

import torch


def tempered(log_probs: torch.Tensor, temperature: float) -> torch.Tensor:
    """p^(1/temperature), renormalised. log_probs (n, V), natural logarithms; any finite temperature above 0."""
    if temperature == 1.0:
        return log_probs
    return torch.log_softmax(log_probs / temperature, dim=-1)


def top_k_mask(log_probs: torch.Tensor, k: int) -> torch.Tensor:
    """(n, V) bool: the k most probable tokens of each row; of equal ones, those with the lower id."""
    ranked = log_probs.sort(dim=-1, descending=True, stable=True).indices
    return torch.zeros_like(log_probs, dtype=torch.bool).scatter_(-1, ranked[:, :k], True)


def top_p_mask(log_probs: torch.Tensor, p: float) -> torch.Tensor:
    """(n, V) bool: the nucleus, the fewest tokens, most probable first, whose probabilities sum to at least p.

    Holtzman et al. 2020, arXiv:1904.09751. Never empty: the most probable token is always in it.
    """
    ranked = log_probs.sort(dim=-1, descending=True, stable=True)
    probs = ranked.values.exp()
    before = probs.cumsum(-1) - probs
    inside = before < p
    inside[:, 0] = True
    return torch.zeros_like(inside).scatter_(-1, ranked.indices, inside)


def truncated(log_probs: torch.Tensor, *, temperature: float, top_p: float, top_k: int | None) -> torch.Tensor:
    """The distribution that is drawn from: (n, V) float64 log probabilities, -inf for what was cut off."""
    log_probs = tempered(log_probs.to(torch.float64), temperature)
    if top_k is not None and top_k < log_probs.shape[-1]:
        log_probs = torch.log_softmax(log_probs.masked_fill(~top_k_mask(log_probs, top_k), -torch.inf), dim=-1)
    if top_p < 1.0:
        log_probs = torch.log_softmax(log_probs.masked_fill(~top_p_mask(log_probs, top_p), -torch.inf), dim=-1)
    return log_probs


def inverse_cdf(log_probs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """One column of each row: the first whose cumulative probability exceeds the row's uniform number.

    log_probs (n, V) float64, uniforms (n,) in [0, 1). Returns (n,) int64. A column of probability 0 is never chosen.
    """
    cumulative = log_probs.exp().cumsum(-1)
    return (cumulative <= (uniforms * cumulative[:, -1])[:, None]).sum(-1)
