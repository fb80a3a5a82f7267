"""IUPAC templates: what every position of a sequence may be. Scaffolds, infilling and fixed flanks are one mechanism.

A template has one IUPAC letter a position (``N`` leaves it free) and fixes the length. Single bases and k-mers stand at
known positions, so each token is drawn among those that fit there, and a token that only one base or k-mer fits is in
sight from the start. The model then predicts the rest given it, which is exact conditioning; a letter that leaves a
choice (R, or a k-mer that is fixed in part) restricts its own draw, and the others do not see it before it is drawn.

BPE tokens have no known position: where a token begins hangs on all tokens before it. ``Spelling`` draws the tokens of
a step together, as ``lengths`` does, from

    product of p_i(token_i)  x  1[every token fits where it lies]  x  product of what masked tokens may spell

summed over all ways to lay the masked tokens out. A token that stays masked counts with the law of token lengths, times
the share of the tokens of its length that fit there. So there is always a way to the end, and each sequence spells its
template exactly. Fixed bases are not in sight before a token is drawn over them.
"""

from pathlib import Path

import numpy as np
import torch

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.draw import inverse_cdf
from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.sampling.noise import COUNT, uniforms
from diffusion_bert.tables import read_fasta
from diffusion_bert.tokens import AMBIGUOUS, BASES, Tokenizer

# Smallest difference of log probabilities that is told from it; what is less probable keeps this probability, so that
# what is possible stays possible in float64.
_FLOOR = -600.0


def read_templates(path: str | Path) -> list[str]:
    """The templates of a FASTA file (plain or gzip) in upper case, one a record.

    Raises UserError, with record and position, for a letter that is not IUPAC, and where the file has no record.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file of templates.", "Correct the path, or leave the template out.")
    records = read_fasta(path)
    if records.empty:
        raise UserError(f"{path} holds no template.", "Write a FASTA record for each template.")
    templates = records["sequence"].str.upper().tolist()
    for name, template in zip(records["name"], templates, strict=True):
        check_template(template, f"{path}, record {name}")
    return templates


def check_template(template: str, what: str) -> None:
    """Raises UserError, with the position, for a letter that is not IUPAC in upper case."""
    known = BASES + AMBIGUOUS
    for at, letter in enumerate(template, start=1):
        if letter not in known:
            raise UserError(
                f"{what}: position {at} is {letter!r}; an IUPAC letter of DNA was expected.",
                f"Write templates in {known}; N leaves a position free.",
            )


def fitting(tokenizer: Tokenizer, template: str) -> np.ndarray:
    """Which tokens may stand at each position of a tokenizer with a layout: (T, A) bool, A the tokens that may be
    predicted, in ascending order of their ids."""
    layout = tokenizer.layout(len(template))
    fits = [tokenizer.fits(template, offset)[tokenizer.base_ids] for offset in np.cumsum(layout) - layout]
    of_size = tokenizer.bases_per_token[tokenizer.base_ids] == layout[:, None]
    return np.stack(fits) & of_size


class Spelling:
    """How tokens of varying length spell one template.

    law: the lengths of tokens, whose ``fallbacks`` count here too. Attributes: ``length`` (bp); ``single``
    (length + 1,) int64, how many of the letters before an offset leave no choice.

    Memory: 9 x length x tokens of the vocabulary in bytes (7 MB for 200 bp and 4,096 tokens).
    Raises UserError where the template cannot be spelled with as many tokens as the model takes.
    """

    def __init__(self, law: Lengths, tokenizer: Tokenizer, template: str):
        check_template(template, "the template")
        self.law, self.length = law, len(template)
        device = law.spelled.device
        fits = np.stack([tokenizer.fits(template, offset)[tokenizer.base_ids] for offset in range(self.length + 1)])
        self.fits = torch.as_tensor(fits, device=device)  # (length + 1, A)
        self.by_size = [self.fits[:, columns].T.to(torch.float64) for columns in law.columns]
        share = torch.stack([fit.mean(0) for fit in self.by_size], -1)  # (length + 1, D)
        self.log_share = share.log() + law.log_law
        single = np.array([letter in BASES for letter in template])
        self.single = torch.as_tensor(np.concatenate([[0], single.cumsum()]), device=device)
        self._log_counts = self._counts()

    def _counts(self) -> torch.Tensor:
        """log of how probable it is that 0, 1, 2, ... tokens spell the template: (R + 1,)."""
        tokens = self.length // int(self.law.sizes[0])
        if self.law.most is not None:
            tokens = min(tokens, self.law.most)
        ahead = torch.full((self.length + 1,), -torch.inf, dtype=torch.float64, device=self.fits.device)
        ahead[self.length] = 0.0
        counts = [ahead[0]]
        for _ in range(tokens):
            ahead = self._before(ahead[None], self.log_share[None])[0]
            counts.append(ahead[0])
        if not torch.stack(counts).max() > -torch.inf:
            raise UserError(
                f"A template of {self.length} bp cannot be met: no choice of as many tokens as the model takes "
                f"({self.law.most}) gets past its position {self._reached(tokens)}.",
                "Shorten the template, or leave more of its positions free.",
            )
        return torch.stack(counts)

    def _reached(self, tokens: int) -> int:
        """How many bp of the template at most so many tokens can spell."""
        ends = {0}
        for _ in range(tokens):
            ends |= {
                end + size
                for end in ends
                for size, fit in zip(self.law.sizes.tolist(), self.by_size, strict=True)
                if fit[:, end].any()
            }
        return max(ends)

    def number_of_tokens(self, seeds: torch.Tensor) -> torch.Tensor:
        """How many tokens each sequence of this template has: (B,) int64, from its seed (B,) alone."""
        cumulative = torch.log_softmax(self._log_counts, -1).exp().cumsum(-1)
        noise = uniforms(seeds, 1, purpose=COUNT, round_=0)[:, 0]
        return torch.searchsorted(cumulative, noise * cumulative[-1], right=True)

    def draw(
        self,
        log_probs: torch.Tensor,
        untruncated: torch.Tensor,
        columns: torch.Tensor,
        hidden: torch.Tensor,
        chosen: torch.Tensor,
        length_noise: torch.Tensor,
        token_noise: torch.Tensor,
    ) -> torch.Tensor:
        """One column for each of the n positions of chosen (b, T) bool, in row-major order: (n,) int64.

        log_probs (n, A) float64: what is drawn from; where nothing in it can spell the rest of the template, a row
        takes ``untruncated``. columns (b, T) int64: the present tokens as columns of the predictions, anything where
        hidden (b, T) bool, the positions masked now, the chosen among them. length_noise (b, T), token_noise (n,):
        uniform in [0, 1); the first must be new at each step, since masked tokens are laid out anew.

        Cost: b x T x (length + 1) x D exponentials, and n x (length + 1) x A multiplications.
        """
        drawn = self._by_size(log_probs)
        messages = self._messages(drawn, columns, hidden, chosen)
        stuck = ~(messages[0][:, 0] > -torch.inf)
        if stuck.any():
            self.law.fallbacks += int(stuck.sum())
            log_probs = torch.where(stuck[chosen.nonzero()[:, 0], None], untruncated, log_probs)
            drawn = self._by_size(log_probs)
            messages = self._messages(drawn, columns, hidden, chosen)
            if not (messages[0][:, 0] > -torch.inf).all():
                raise ValueError("no choice of tokens spells the template: are the predictions numbers?")
        rows = torch.arange(len(hidden), device=hidden.device)
        offset = torch.zeros_like(rows)
        offsets, sizes = torch.zeros_like(columns), torch.zeros_like(columns)
        for place in range(hidden.shape[1]):
            rest = offset[:, None] + self.law.sizes
            ahead = messages[place + 1][rows[:, None], rest.clamp(max=self.length)]
            ahead = ahead.masked_fill(rest > self.length, -torch.inf)
            weights = self._weights(drawn, columns, hidden, chosen, place)[rows, offset]
            log_law = torch.log_softmax(weights + ahead, -1)
            size = self.law.sizes[inverse_cdf(log_law, length_noise[:, place])]
            offsets[:, place], sizes[:, place] = offset, size
            offset = offset + size
        fit = self.fits[offsets[chosen]] & (self.law.spelled == sizes[chosen][:, None])
        return inverse_cdf(torch.log_softmax(log_probs.masked_fill(~fit, -torch.inf), -1), token_noise)

    def _by_size(self, log_probs: torch.Tensor) -> torch.Tensor:
        """Log probability of a token of each length that fits at each offset: (n, length + 1, D) from (n, A)."""
        parts = []
        for of_size, fit in zip(self.law.columns, self.by_size, strict=True):
            part = log_probs[:, of_size]
            highest = part.max(-1, keepdim=True).values
            highest = torch.where(highest > -torch.inf, highest, torch.zeros_like(highest))
            scaled = (part - highest).clamp(min=_FLOOR).exp().masked_fill(part == -torch.inf, 0.0)
            parts.append((scaled @ fit).log() + highest)
        return torch.stack(parts, -1)

    def _weights(
        self, drawn: torch.Tensor, columns: torch.Tensor, hidden: torch.Tensor, chosen: torch.Tensor, place: int
    ) -> torch.Tensor:
        """Log weight of each token length at each offset, at one position: (b, length + 1, D). drawn: of _by_size."""
        out = self.log_share.repeat(len(hidden), 1, 1)
        number = (chosen.flatten().cumsum(0) - 1).view(chosen.shape)[:, place]
        here = chosen[:, place]
        out[here] = drawn[number[here]]
        row = (~hidden[:, place]).nonzero()[:, 0]
        seen = columns[row, place]
        out[row] = -torch.inf
        out[row, :, torch.searchsorted(self.law.sizes, self.law.spelled[seen])] = (
            self.fits[:, seen].T.to(torch.float64).log()
        )
        return out

    def _messages(
        self, drawn: torch.Tensor, columns: torch.Tensor, hidden: torch.Tensor, chosen: torch.Tensor
    ) -> list[torch.Tensor]:
        """Before each position, and after the last: log weight of spelling the rest from each offset: (b, length + 1)
        each."""
        end = torch.full((len(hidden), self.length + 1), -torch.inf, dtype=torch.float64, device=drawn.device)
        end[:, self.length] = 0.0
        messages = [end]
        for place in range(hidden.shape[1] - 1, -1, -1):
            messages.insert(0, self._before(messages[0], self._weights(drawn, columns, hidden, chosen, place)))
        return messages

    def _before(self, after: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """log of the sum over sizes of weight x after[offset + size]: after (n, W), weights (n, W, D) -> (n, W)."""
        padded = torch.nn.functional.pad(after, (0, int(self.law.sizes[-1])), value=-torch.inf)
        index = torch.arange(after.shape[1], device=after.device)[:, None] + self.law.sizes
        return (padded[:, index] + weights).logsumexp(-1)
