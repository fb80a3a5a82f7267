"""The absorbing-state diffusion of tokens: schedules, masking and the evidence bound. torch and mathematics only.

Time t runs over (0, 1]; alpha(t) is the probability that a token is still unmasked, from alpha(0) = 1 downwards.
Forward: each maskable token becomes [MASK] independently with probability 1 - alpha(t). The negative evidence lower
bound of a sequence x is (Sahoo et al. 2024, "Simple and effective masked diffusion language models"; Shi et al. 2024)

    NELBO(x) = E_t [ -alpha'(t) / (1 - alpha(t)) * sum over masked i of -log p(x_i | x_t) ].

By the change of variable u = 1 - alpha(t) the schedule falls out of it. Integrating over u and taking the number k of
masked tokens first gives the same number without any time (Hoogeboom et al. 2022, "Autoregressive diffusion models"):

    NELBO(x) = L * E over k uniform in 1..L and sets S of k tokens [ 1/k * sum over i in S of -log p(x_i | x but S) ]

which has no singularity at t = 0 and less variance: what is reported is estimated this way, what is trained on is the
first form with a weighting of choice.

A model whose prediction at a token does not depend on that token (``leave_one_out``) predicts from one x_t the masked
tokens given those in sight, and each token in sight given the others in sight: as if it were masked too. With u uniform
in (0, 1), and each token masked with probability u, all of these are samples of the second form's terms, and each term
comes up as often as it should:

    NELBO(x) = E_u [ sum over all i of -log p(x_i | x_t but x_i) ]

For: the number k of masked tokens is uniform in 0..L. Let l(v) be the mean of -log p of a token given v others. The
sum is expected to be k l(L - k) + (L - k) l(L - k - 1); over all k each l(v), v = 0..L - 1, is counted L - v times and
v + 1 times, L + 1 in all, and the mean over the L + 1 values of k is the sum of all l(v), which is NELBO(x). Every
token of every pass counts, and none more than another: what such a model is trained on.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BITS = 1 / math.log(2)  # bits in a nat
SCHEDULES = ("linear", "cosine", "polynomial", "log-linear")
WEIGHTINGS = ("elbo", "clipped", "unweighted")


@dataclass(frozen=True)
class Schedule:
    """How fast tokens are masked.

    linear: alpha = 1 - t. cosine: alpha = 1 - cos(pi/2 (1 - t)). polynomial: alpha = 1 - t ** power.
    log-linear: total noise -log alpha = -log(1 - (1 - epsilon) t), so that alpha(1) = epsilon instead of 0 and the
    noise stays finite (SEDD, MDLM); all the others end in alpha(1) = 0.
    """

    name: str = "linear"
    power: float = 2.0
    epsilon: float = 1e-3

    def __post_init__(self):
        if self.name not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.name!r}")

    def masked_share(self, t: Tensor) -> Tensor:
        """1 - alpha(t), without the rounding of a difference from 1: the weight divides by it at small t."""
        if self.name == "cosine":
            return torch.cos(math.pi / 2 * (1 - t))
        if self.name == "polynomial":
            return t**self.power
        if self.name == "log-linear":
            return (1 - self.epsilon) * t
        return t

    def alpha(self, t: Tensor) -> Tensor:
        """Probability that a token is unmasked at time t."""
        return 1 - self.masked_share(t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """d alpha / dt, negative."""
        if self.name == "cosine":
            return -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))
        if self.name == "polynomial":
            return -self.power * t ** (self.power - 1)
        if self.name == "log-linear":
            return torch.full_like(t, self.epsilon - 1)
        return torch.full_like(t, -1.0)

    def weight(self, t: Tensor) -> Tensor:
        """-alpha'(t) / (1 - alpha(t)): the weight of the bound at time t > 0."""
        return -self.alpha_prime(t) / self.masked_share(t)


def training_weight(schedule: Schedule, t: Tensor, kind: str, max_weight: float | None = None) -> Tensor:
    """The weight of a row at time t in training: ``elbo`` as in the bound; ``clipped`` the same, at most max_weight
    (the bound's weight grows without limit as t falls, and with it the noise of the gradient); ``unweighted`` 1."""
    if kind == "unweighted":
        return torch.ones_like(t)
    if kind == "elbo":
        return schedule.weight(t)
    if kind == "clipped":
        if max_weight is None:
            raise ValueError("clipped weights need max_weight")
        return schedule.weight(t).clamp(max=max_weight)
    raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, got {kind!r}")


def stratified_times(n: int, floor: float, generator: torch.Generator | None = None) -> Tensor:
    """n times (n,) in [floor, 1], float32 on the generator's device: one uniform draw in each of n equal strata, in
    ascending order. Rows they are given to must be in random order."""
    device = generator.device if generator is not None else "cpu"
    u = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
    return floor + (1 - floor) * u


def mask(
    ids: Tensor, maskable: Tensor, alpha: Tensor, mask_id: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Forward process at time t: (ids with [MASK], which are masked).

    ids (B, T); maskable (B, T) bool, False for special tokens, labels, padding and unknown bases;
    alpha (B,), the probability that a token stays.
    """
    masked = maskable & (torch.rand(ids.shape, generator=generator, device=ids.device) >= alpha.unsqueeze(-1))
    return ids.masked_fill(masked, mask_id), masked


def mask_counts(
    ids: Tensor, maskable: Tensor, counts: Tensor, mask_id: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mask exactly counts (B,) of each row's maskable tokens, chosen uniformly: (ids with [MASK], which are masked)."""
    keys = torch.rand(ids.shape, generator=generator, device=ids.device).masked_fill(~maskable, 2.0)
    masked = maskable & (keys.argsort(-1).argsort(-1) < counts.unsqueeze(-1))
    return ids.masked_fill(masked, mask_id), masked


def restrict(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logits (..., V) with no mass on tokens that are not allowed (V,) bool: [MASK], specials, labels."""
    return logits.masked_fill(~allowed, -math.inf)


def cross_entropy(logits: Tensor, ids: Tensor, masked: Tensor, allowed: Tensor) -> Tensor:
    """Sum over the masked tokens of each row of -log p(true token), nats, (B,); p is over the allowed tokens only."""
    log_p = torch.log_softmax(restrict(logits.float(), allowed), dim=-1)
    # Unmasked positions may hold ids that are not allowed, whose log p is -inf: they are set to 0, not multiplied by 0.
    picked = log_p.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return -picked.masked_fill(~masked, 0.0).sum(-1)


def stratified_counts(tokens: Tensor, u: Tensor) -> Tensor:
    """How many tokens to mask, uniform in 1..tokens for u uniform in [0, 1): (B,) int64 from tokens (B,), u (B,)."""
    return (u * tokens).long().clamp(max=tokens - 1) + 1


def bound_of_counts(logits: Tensor, ids: Tensor, masked: Tensor, allowed: Tensor) -> Tensor:
    """Unbiased estimate of the NELBO per token of the sequence, nats (B,), for rows masked by ``mask_counts`` with
    counts uniform in 1..L: the second form of the module's docstring, L / k * sum / L."""
    return cross_entropy(logits, ids, masked, allowed) / masked.sum(-1).clamp(min=1)
