"""Which masked positions are revealed when.

An order either plans every reveal before the first prediction (ancestral, random, left to right) or scores the masked
positions from the predictions of the moment and reveals the best (confidence, entropy, margin). How many are revealed
by when follows the noise schedule: ``fractions`` (S,) float64, increasing to 1, is the share of the masked tokens that
the process has revealed after each of its S steps. Only the entropy-bounded order takes as many steps as it needs.

A new order is a class with ``plan`` or with ``score`` and one entry in ``ORDERS``.
"""

import math

import torch

# Added to scores times a uniform number, so that ties are broken at random and not from left to right, and so that
# float noise of the forward pass (about 1e-7) does not break them differently in another batch.
_TIE = 1e-6


def ranks(priority: torch.Tensor) -> torch.Tensor:
    """The place of each entry in its row (0 = highest priority). priority (B, L); returns (B, L) int64."""
    return priority.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True)


def quotas(masked: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """How many tokens a row has revealed after each step: (B, S) int64, the last column all of the row's masked ones.

    masked (B, L) bool.
    """
    total = masked.sum(-1, keepdim=True)
    return torch.floor(total * fractions + 0.5).to(torch.int64)


def slots(masked: torch.Tensor, fractions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The step at which a row reveals its first, second, ... token: (B, L) int64, and which of the L exist, bool."""
    places = torch.arange(masked.shape[1], device=masked.device).expand(masked.shape)
    steps = torch.searchsorted(quotas(masked, fractions), places.contiguous(), right=True)
    return steps, places < masked.sum(-1, keepdim=True)


class Planned:
    """An order that does not look at the predictions."""

    def plan(self, masked: torch.Tensor, fractions: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        """The step (0-based) at which each masked position is revealed: (B, L) int64; what unmasked ones get is unused.

        masked (B, L) bool, fractions (S,) float64, uniforms (B, L) float64.
        """
        raise NotImplementedError


class Ancestral(Planned):
    """The exact reverse process: from time t to s each masked token is revealed, independently of all others, with
    probability (alpha(s) - alpha(t)) / (1 - alpha(t)), and the last step reveals all that are left.

    A token is then revealed by the first step whose fraction exceeds one uniform number: the same law, known ahead.
    """

    def plan(self, masked: torch.Tensor, fractions: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        return torch.searchsorted(fractions, uniforms, right=True)


class Counted(Planned):
    """As many a step as the schedule says on average, by a priority known ahead."""

    def priority(self, uniforms: torch.Tensor) -> torch.Tensor:
        """(B, L); the highest is revealed first."""
        raise NotImplementedError

    def plan(self, masked: torch.Tensor, fractions: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        place = ranks(self.priority(uniforms).masked_fill(~masked, -torch.inf))
        return torch.searchsorted(quotas(masked, fractions), place, right=True)


class Random(Counted):
    """A uniformly random order with an exact count a step."""

    def priority(self, uniforms: torch.Tensor) -> torch.Tensor:
        return uniforms


class LeftToRight(Counted):
    """The leftmost masked positions first."""

    def priority(self, uniforms: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(uniforms.shape[1], dtype=uniforms.dtype, device=uniforms.device)
        return -positions.expand_as(uniforms)


class Scored:
    """An order that reveals the masked positions with the highest scores.

    The score is a function of the predicted distribution (guided, but neither tempered nor truncated), never of the
    token that was drawn: to keep the draws that turned out probable would be to sample from another distribution.
    """

    def score(self, log_probs: torch.Tensor) -> torch.Tensor:
        """(n,) from log_probs (n, V) float64."""
        raise NotImplementedError

    def choose(
        self, log_probs: torch.Tensor, masked: torch.Tensor, counts: torch.Tensor, uniforms: torch.Tensor
    ) -> torch.Tensor:
        """(B, L) bool: the ``counts`` (B,) masked positions of each row with the highest scores.

        log_probs (n, V): the predictions at the n masked positions of ``masked`` (B, L), in row-major order.
        """
        priority = torch.full(masked.shape, -torch.inf, dtype=torch.float64, device=masked.device)
        priority[masked] = self.score(log_probs) + _TIE * uniforms[masked]
        return ranks(priority) < counts[:, None]


class Confidence(Scored):
    """Highest probability of the most probable token first."""

    def score(self, log_probs: torch.Tensor) -> torch.Tensor:
        return log_probs.max(-1).values.exp()


class Entropy(Scored):
    """Lowest entropy first."""

    def score(self, log_probs: torch.Tensor) -> torch.Tensor:
        return -torch.special.entr(log_probs.exp()).sum(-1)


class Margin(Scored):
    """Largest difference between the two most probable tokens first (Kim et al. 2025, arXiv:2502.06768)."""

    def score(self, log_probs: torch.Tensor) -> torch.Tensor:
        best = log_probs.topk(2, dim=-1).values.exp()
        return best[:, 0] - best[:, 1]


class EntropyBounded(Entropy):
    """Lowest entropy first, as many at once as a budget allows: the longest such row of positions whose entropies,
    without the largest of them, sum to at most ``budget`` bits. At least one is revealed.

    That sum bounds what is lost by drawing the tokens of a step independently. Ben-Hamu et al. 2025,
    arXiv:2505.24857.
    """

    def __init__(self, budget: float = 0.0):
        self.budget = budget

    def allowed(self, log_probs: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """How many positions of each row the budget allows: (B,) int64, at least 1 where one is masked.

        log_probs (n, V): the predictions at the n positions of masked (B, L), in row-major order.
        """
        entropies = torch.full(masked.shape, torch.inf, dtype=torch.float64, device=masked.device)
        entropies[masked] = -self.score(log_probs) / math.log(2)
        ordered = entropies.sort(dim=1).values
        without_largest = ordered.cumsum(1) - ordered  # the last of a sorted row is its largest
        within = (without_largest <= self.budget + _TIE) & (ordered < torch.inf)
        return within.sum(1)


ORDERS: dict[str, Planned | Scored] = {
    "ancestral": Ancestral(),
    "random": Random(),
    "left_to_right": LeftToRight(),
    "confidence": Confidence(),
    "entropy": Entropy(),
    "margin": Margin(),
    "entropy_bounded": EntropyBounded(),
}
