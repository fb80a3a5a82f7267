"""Exact lengths in bp from tokens of varying length (BPE).

A sequence of L bp has no fixed number of tokens. How many it gets is drawn first: T with probability proportional to
that of T token lengths summing to L, each drawn alone from the lengths of the training windows' tokens (a renewal
process). T masks are then revealed as ever, but the tokens that one step reveals are drawn together, from

    product of p_i(token_i)  x  P(the tokens still masked after the step spell what is left to L)

where the second factor is again that of independent lengths. It keeps every step feasible, so each sequence ends at L
bp exactly, and it spreads the correction over all steps instead of leaving it to the last tokens. Within a step the
draw is exact: messages are passed backwards over the positions (how likely is it to end at L with so many bp left),
then lengths are drawn forwards, and each token from its prediction among the tokens of its length.

The law of a sequence is thus the model's, given its length, up to that approximation of what is still masked. A
sequence has many spellings in tokens; nothing makes the one drawn that of the tokenizer.
"""

from collections.abc import Sequence

import torch

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.draw import inverse_cdf
from diffusion_bert.sampling.noise import COUNT, uniforms


class Lengths:
    """Sequences of one length.

    histogram: how many training tokens spell 1, 2, ... bp. spelled (A,) int64: the bases of each token that may be
    drawn, whatever the columns of the predictions are. length: bp. most: tokens that the model takes; None for any.
    Lengths that the vocabulary has and the training windows lack count as seen once.

    Attributes: ``length``; ``law`` (M,) float64, the probability of 1..M bp; ``fallbacks``, how many draws had to leave
    a truncated distribution, since nothing that was left in it could end at the length.

    Raises UserError where no number of tokens spells the length. Cost: length^2 x M once.
    """

    def __init__(self, histogram: Sequence[int], spelled: torch.Tensor, length: int, most: int | None = None):
        device = spelled.device
        longest = int(spelled.max())
        seen = torch.zeros(longest, dtype=torch.float64, device=device)
        counted = torch.tensor(list(histogram)[:longest], dtype=torch.float64, device=device)
        seen[: len(counted)] = counted
        exists = torch.zeros(longest, dtype=torch.float64, device=device)
        exists[spelled - 1] = 1.0
        seen = torch.where(seen > 0, seen, torch.ones_like(seen)) * exists
        self.law = seen / seen.sum()
        self.spelled, self.length, self.fallbacks = spelled, length, 0
        # sums[r, b]: the probability that r lengths sum to b bp.
        sums = torch.zeros((length + 1, length + 1), dtype=torch.float64, device=device)
        sums[0, 0] = 1.0
        for tokens in range(1, length + 1):
            sums[tokens] = self._before(sums[tokens - 1][None], self.law[None])[0]
        self.sums = sums
        counts = sums[:, length].clone()
        if most is not None:
            counts[most + 1 :] = 0.0
        if not counts.sum() > 0:
            raise UserError(
                f"A sequence of {length} bp was asked for, which no number of the model's tokens spells"
                + (f" (it takes at most {most})." if most is not None else "."),
                "Ask for another length.",
            )
        self.counts = counts.log() - counts.sum().log()

    def number_of_tokens(self, seeds: torch.Tensor) -> torch.Tensor:
        """How many tokens each sequence has: (B,) int64, from its seed (B,) alone."""
        noise = uniforms(seeds, 1, purpose=COUNT, round_=0)[:, 0]
        return inverse_cdf(self.counts.expand(len(seeds), -1), noise)

    def draw(
        self,
        log_probs: torch.Tensor,
        untruncated: torch.Tensor,
        chosen: torch.Tensor,
        left: torch.Tensor,
        masked_after: torch.Tensor,
        length_noise: torch.Tensor,
        token_noise: torch.Tensor,
    ) -> torch.Tensor:
        """One column for each of the n positions of chosen (b, T) bool, in row-major order: (n,) int64.

        log_probs (n, A): what is drawn from; where nothing in a row's distributions can end at the length, those of
        ``untruncated`` are taken for that row. left (b,): bp that the row's masked tokens have to spell; masked_after
        (b,): how many of those stay masked. length_noise, token_noise (n,): uniform in [0, 1).
        Time and memory: b x (left + 1) x M for each position of the row with the most.
        """
        row, place = chosen.nonzero()[:, 0], (chosen.cumsum(1) - 1)[chosen]
        weights = self._by_length(log_probs, row, place, chosen)
        messages = self._messages(weights, chosen, masked_after)
        start = torch.arange(len(left), device=left.device)
        stuck = messages[0][start, left] <= 0
        if stuck.any():
            self.fallbacks += int(stuck.sum())
            log_probs = torch.where(stuck[row, None], untruncated, log_probs)
            weights = self._by_length(log_probs, row, place, chosen)
            messages = self._messages(weights, chosen, masked_after)
        spelled = torch.zeros_like(place)
        for number in range(weights.shape[1]):
            here = place == number
            rows = row[here]
            shorter = left[rows, None] - torch.arange(1, weights.shape[2] + 1, device=left.device)
            ahead = messages[number + 1][rows[:, None], shorter.clamp(min=0)].masked_fill(shorter < 0, 0.0)
            drawn = inverse_cdf((weights[rows, number] * ahead).log(), length_noise[here]) + 1
            spelled[here] = drawn
            left = left.index_add(0, rows, -drawn)
        return inverse_cdf(log_probs.masked_fill(self.spelled != spelled[:, None], -torch.inf), token_noise)

    def _by_length(
        self, log_probs: torch.Tensor, row: torch.Tensor, place: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        """The probability of each token length at a row's first, second, ... position: (b, most positions, M)."""
        of_length = torch.zeros((len(log_probs), len(self.law)), dtype=torch.float64, device=log_probs.device)
        of_length.index_add_(1, self.spelled - 1, log_probs.exp())
        out = torch.zeros(
            (len(chosen), int(chosen.sum(1).max()), len(self.law)), dtype=torch.float64, device=row.device
        )
        out[row, place] = of_length
        return out

    def _messages(self, weights: torch.Tensor, chosen: torch.Tensor, masked_after: torch.Tensor) -> list[torch.Tensor]:
        """Before each position, and after the last: how likely (up to a factor a row) it is to end at the length with
        so many bp left, (b, length + 1)."""
        count = chosen.sum(1)
        messages = [self.sums[masked_after]]
        for number in range(weights.shape[1] - 1, -1, -1):
            passed = self._before(messages[0], weights[:, number])
            # A row with fewer positions passes on what comes after them.
            passed = torch.where((number < count)[:, None], passed, messages[0])
            largest = passed.max(1, keepdim=True).values
            messages.insert(0, passed / torch.where(largest > 0, largest, torch.ones_like(largest)))
        return messages

    @staticmethod
    def _before(after: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """sum over l of weights[l] x after[b - l] for each b: (rows, length + 1)."""
        longest = weights.shape[1]
        padded = torch.nn.functional.pad(after, (longest, 0))[:, :-1]
        return (padded.unfold(1, longest, 1) * weights.flip(1)[:, None]).sum(-1)
