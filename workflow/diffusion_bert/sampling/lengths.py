"""Exact lengths in bp from tokens of varying length (BPE).

A sequence of L bp has no fixed number of tokens. How many it gets is drawn first: T with probability proportional to
that of T token lengths summing to L, each drawn alone from the lengths of the training windows' tokens (a renewal
process). T masks are then revealed as ever, but the tokens that one step reveals are drawn together, from

    product of p_i(token_i)  x  h_r(what they leave of the bp that masked tokens have to spell)

where r tokens stay masked after the step and h_r(b) is the probability that r such lengths sum to b. The second factor
keeps every step feasible, so each sequence ends at L bp exactly, and it spreads the correction over all steps instead
of leaving it to the last tokens. Within a step the draw is exact: messages are passed backwards over the positions (how
likely is it to end at L with so many bp left), then lengths are drawn forwards, and each token from its prediction
among the tokens of its length. All of it is in logarithms: with some hundred tokens a sum far from its mean is less
probable than the smallest float64, and yet a peaked prediction or a refinement may ask for it.

The law of a sequence is thus the model's, given its length and T, as far as h is the law of what is still masked. It is
exactly so with one step (h_0 is 1 at 0 bp). With more, h knows neither the label nor the tokens in sight: where the
tokens of a label are longer than those of the training windows on average, early steps pull them towards the average.

temperature, top_k and top_p act on p_i first. Where nothing that top_k and top_p leave can end at L, the tokens that a
step reveals in that sequence are drawn from all tokens, at the same temperature; ``fallbacks`` counts that.

A sequence has many spellings in tokens, and nothing makes the one drawn that of the tokenizer.
"""

from collections.abc import Sequence

import torch

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.draw import inverse_cdf
from diffusion_bert.sampling.noise import COUNT, uniforms


class Lengths:
    """How tokens share out the bp of sequences.

    histogram: how many training tokens spell 1, 2, ... bp. spelled (A,) int64: the bases of each token that may be
    drawn, in the columns of the predictions. longest: bp of the longest sequence to come. most: tokens that the model
    takes; None for any. A length that the vocabulary has and the training windows lack counts as seen once.

    Attributes: ``sizes`` (D,) int64, the different lengths of tokens in bp, ascending; ``log_law`` (D,) float64, log of
    their probabilities; ``log_sums`` (R + 1, longest + 1) float64, log probability that r lengths sum to b bp, for r up
    to R, the most tokens of a sequence; ``fallbacks``, how many draws had to leave a truncated distribution.

    Cost, once: 8 x R x longest bytes and D times as many exponentials, with R at most longest (32 MB for 2,000 bp).
    """

    def __init__(self, histogram: Sequence[int], spelled: torch.Tensor, longest: int, most: int | None = None):
        self.spelled, self.most, self.fallbacks = spelled, most, 0
        self.sizes = spelled.unique()
        self.columns = [(spelled == size).nonzero()[:, 0] for size in self.sizes]
        seen = torch.ones_like(self.sizes, dtype=torch.float64)
        for i, size in enumerate(self.sizes.tolist()):
            if size <= len(histogram) and histogram[size - 1]:
                seen[i] = histogram[size - 1]
        self.log_law = (seen / seen.sum()).log()
        tokens = longest // int(self.sizes[0])
        if most is not None:
            tokens = min(tokens, most)
        shape = (tokens + 1, longest + 1)
        self.log_sums = torch.full(shape, -torch.inf, dtype=torch.float64, device=spelled.device)
        self.log_sums[0, 0] = 0.0
        for number in range(1, tokens + 1):
            self.log_sums[number] = self._before(self.log_sums[number - 1][None], self.log_law[None])[0]

    def number_of_tokens(self, seeds: torch.Tensor, length: int) -> torch.Tensor:
        """How many tokens each of the sequences of ``length`` bp has: (B,) int64, from its seed (B,) alone.

        Raises UserError where no number of tokens spells the length.
        """
        log_probs = self.log_sums[:, length]
        if not (log_probs > -torch.inf).any():
            limit = "" if self.most is None else f" (it takes at most {self.most})"
            raise UserError(
                f"A sequence of {length} bp was asked for, which no number of the model's tokens spells{limit}.",
                "Ask for another length.",
            )
        # As in ``inverse_cdf``, whose (B, R + 1) numbers would be the same in each row.
        cumulative = torch.log_softmax(log_probs, -1).exp().cumsum(-1)
        noise = uniforms(seeds, 1, purpose=COUNT, round_=0)[:, 0]
        return torch.searchsorted(cumulative, noise * cumulative[-1], right=True)

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

        log_probs (n, A) float64: what is drawn from; where nothing in a row's distributions can end at its length,
        those of ``untruncated`` are taken for that row. left (b,): bp that the row's masked tokens have to spell;
        masked_after (b,): how many of those stay masked. length_noise, token_noise (n,): uniform in [0, 1).

        Time: b x (most bp left + 1) x D exponentials for each position of the row with the most. Memory: that many
        numbers at a time, and b x (most bp left + 1) kept for each of these positions.
        Raises ValueError where all tokens of the vocabulary together cannot end at the length, as with NaN.
        """
        row, place = chosen.nonzero()[:, 0], (chosen.cumsum(1) - 1)[chosen]
        width = int(left.max()) + 1
        start = torch.arange(len(left), device=left.device)
        weights = self._by_size(log_probs, row, place, chosen)
        messages = self._messages(weights, chosen, masked_after, width)
        stuck = ~(messages[0][start, left] > -torch.inf)
        if stuck.any():
            self.fallbacks += int(stuck.sum())
            log_probs = torch.where(stuck[row, None], untruncated, log_probs)
            weights = self._by_size(log_probs, row, place, chosen)
            messages = self._messages(weights, chosen, masked_after, width)
            if not (messages[0][start, left] > -torch.inf).all():
                raise ValueError("no choice of tokens ends at the length: are the predictions numbers?")
        size = torch.zeros_like(place)
        for number in range(weights.shape[1]):
            here = place == number
            rows = row[here]
            rest = left[rows, None] - self.sizes
            ahead = messages[number + 1][rows[:, None], rest.clamp(min=0)].masked_fill(rest < 0, -torch.inf)
            size[here] = inverse_cdf(torch.log_softmax(weights[rows, number] + ahead, -1), length_noise[here])
            left = left.index_add(0, rows, -self.sizes[size[here]])
        other = self.spelled != self.sizes[size][:, None]
        return inverse_cdf(torch.log_softmax(log_probs.masked_fill(other, -torch.inf), -1), token_noise)

    def _by_size(
        self, log_probs: torch.Tensor, row: torch.Tensor, place: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        """Log probability of each token length at a row's first, second, ... position: (b, most positions, D)."""
        shape = (len(chosen), int(chosen.sum(1).max()), len(self.sizes))
        out = torch.full(shape, -torch.inf, dtype=torch.float64, device=log_probs.device)
        out[row, place] = torch.stack([log_probs[:, columns].logsumexp(-1) for columns in self.columns], -1)
        return out

    def _messages(
        self, weights: torch.Tensor, chosen: torch.Tensor, masked_after: torch.Tensor, width: int
    ) -> list[torch.Tensor]:
        """Before each position, and after the last: the log probability of ending at the length with so many bp left,
        each (b, width)."""
        count = chosen.sum(1)
        messages = [self.log_sums[masked_after, :width]]
        for number in range(weights.shape[1] - 1, -1, -1):
            passed = self._before(messages[0], weights[:, number])
            # A row with fewer positions passes on what comes after them.
            messages.insert(0, torch.where((number < count)[:, None], passed, messages[0]))
        return messages

    def _before(self, after: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """log of the sum over sizes of weight x after[b - size] for each b: after (n, W), weights (n, D) -> (n, W)."""
        longest = int(self.sizes[-1])
        padded = torch.nn.functional.pad(after, (longest, 0), value=-torch.inf)
        index = torch.arange(after.shape[1], device=after.device)[:, None] + longest - self.sizes
        return (padded[:, index] + weights[:, None]).logsumexp(-1)
