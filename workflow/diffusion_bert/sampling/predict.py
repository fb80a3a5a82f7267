"""What the denoiser predicts at chosen positions, with classifier-free guidance."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.sampling.templates import Spelling, fitting
from diffusion_bert.training.checkpoints import Denoiser


class Predictor:
    """Predictions for a batch of sequences of as many tokens whose labels are fixed and whose tokens change.

    length: bp. Tokens are (B, L) int64 vocabulary ids without the frame ([CLS], label, [SEP]), which is put round them
    here; frame tokens can therefore never be predicted or overwritten. L is the number of tokens in the tokenizer's
    layout of that length, and at each position only tokens of as many bases as the layout says are predicted: whatever
    is drawn, the sequence has its length. With a tokenizer that has no layout L is ``tokens``, nothing
    is restricted by position, ``length`` is that of each sequence (B,), and ``lengths`` draws.

    templates: an IUPAC template for each sequence, of its length. With a layout only tokens that fit it are predicted;
    otherwise ``spellings`` (one for each template, {template: Spelling}) draw in place of ``lengths``.

    Attributes: ``tokens``, L; ``lengths``; ``bp`` (B,) int64 where there are lengths; ``bases`` (V,) int64, how many
    each id spells; ``allowed`` (A,) int64, the vocabulary ids that a column of the predictions stands for; ``fixed``
    (B, L) int64, the only id that a position's template leaves, -1 elsewhere; ``spellings``, the different ones of the
    batch, and ``which`` (B,), the number of each sequence's; ``forwards``, the forward passes and ``rows``, the
    sequences in them so far.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        labels: list[str | None],
        length: int | Sequence[int],
        guidance: float,
        lengths: Lengths | None = None,
        tokens: int | None = None,
        templates: Sequence[str] | None = None,
        spellings: Mapping[str, Spelling] | None = None,
    ):
        tokenizer = denoiser.tokenizer
        self.denoiser = denoiser
        self.device = denoiser.device
        self.lengths = lengths
        self.content = tokenizer.content
        self.mask_id = tokenizer.mask_id
        self.allowed = torch.as_tensor(tokenizer.base_ids, device=self.device)
        self.bases = torch.as_tensor(tokenizer.bases_per_token, device=self.device)  # (V,)
        kinds = list(dict.fromkeys(templates or [None]))
        which = [kinds.index(template) for template in templates] if templates else [0] * len(labels)
        self.which = torch.tensor(which, device=self.device)
        self.wrong = self.spellings = None
        if lengths is None:
            layout = tokenizer.layout(length)
            self.tokens = len(layout)
            of_size = tokenizer.bases_per_token[tokenizer.base_ids] == layout[:, None]
            fit = np.stack([of_size if kind is None else fitting(tokenizer, kind) for kind in kinds])
            self.wrong = torch.as_tensor(~fit, device=self.device)  # (templates, L, A)
            only = np.where(fit.sum(-1) == 1, tokenizer.base_ids[fit.argmax(-1)], -1)
        else:
            self.tokens = tokens
            self.bp = torch.as_tensor(length, device=self.device)
            only = np.full((len(kinds), tokens), -1)
            if templates:
                self.spellings = [spellings[kind] for kind in kinds]
        self.fixed = torch.as_tensor(only, device=self.device)[self.which]
        blank = np.full((len(labels), self.tokens), tokenizer.mask_id)
        self.labelled = self._framed(blank, labels)
        self.guidance = guidance if any(label is not None for label in labels) else 0.0
        self.unlabelled = self._framed(blank, [None] * len(labels)) if self.guidance else None
        self.forwards = 0
        self.rows = 0

    def _framed(self, blank: np.ndarray, labels: list[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
        input_ids, attention_mask = self.denoiser.tokenizer.frame(blank, labels)
        return torch.as_tensor(input_ids, device=self.device), torch.as_tensor(attention_mask, device=self.device)

    def __call__(self, tokens: torch.Tensor, rows: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Log probabilities (n, A) float64, normalised, at the n positions of ``where`` in row-major order.

        tokens (B, L); rows (b,) the sequences to look at; where (b, L) bool.

        Guided: log p = (1 + w) log p(x | label) - w log p(x), renormalised (Ho & Salimans 2022, arXiv:2207.12598; for
        discrete diffusion Schiff et al. 2024, arXiv:2412.10193). Without guidance there is no second forward pass.
        """
        row, position = where.nonzero(as_tuple=True)
        return self._guided([self._at(frame, tokens, rows, where) for frame in self._frames()], rows[row], position)

    def walk(self, tokens: torch.Tensor) -> "Walked":
        """The same predictions, place after place from the left, each token read once. Needs ``denoiser.walks``."""
        return Walked(self, tokens)

    def _frames(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [self.labelled] if self.unlabelled is None else [self.labelled, self.unlabelled]

    def _guided(self, log_probs: list[torch.Tensor], row: torch.Tensor, position: torch.Tensor | int) -> torch.Tensor:
        """One distribution (n, A) from those of ``_frames``, at positions (n,) or one of sequences row (n,)."""
        out = log_probs[0]
        if len(log_probs) > 1:
            out = (1 + self.guidance) * out - self.guidance * log_probs[1]
        if self.wrong is not None:
            out = out.masked_fill(self.wrong[self.which[row], position], -torch.inf)
        return torch.log_softmax(out, dim=-1)

    def settled(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which tokens of finished sequences (B, L) lie in fixed bases alone, so that a new draw could change nothing:
        (B, L) bool."""
        if self.spellings is None:
            return self.fixed >= 0
        sizes = self.bases[tokens]
        ends = sizes.cumsum(1)
        out = torch.zeros_like(tokens, dtype=torch.bool)
        for number, spelling in enumerate(self.spellings):
            of = self.which == number
            out[of] = spelling.single[ends[of]] - spelling.single[ends[of] - sizes[of]] == sizes[of]
        return out

    def _at(
        self, frame: tuple[torch.Tensor, torch.Tensor], tokens: torch.Tensor, rows: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        input_ids, attention_mask = frame[0][rows], frame[1][rows]
        input_ids[:, self.content] = tokens[rows]
        self.forwards += 1
        self.rows += len(rows)
        log_probs = self.denoiser.log_probs(input_ids, attention_mask)
        # Only what is asked for is turned into float64.
        return log_probs[:, self.content][where][:, self.allowed].to(torch.float64)


class Walked:
    """A batch of a predictor from left to right: ``at`` a place, then ``read`` what is there, and so on to the end.

    What lies to the right of the place must stay as it was at the start. Counts as two forward passes, one of each
    stream, with another two for the guidance.
    """

    def __init__(self, predictor: Predictor, tokens: torch.Tensor):
        self.predictor = predictor
        self.position = 0
        self.walks = []
        for input_ids, attention_mask in predictor._frames():
            ids = input_ids.clone()
            ids[:, predictor.content] = tokens
            self.walks.append(predictor.denoiser.model.walk(ids, attention_mask))
            predictor.forwards += 2
            predictor.rows += 2 * len(ids)

    def at(self, rows: torch.Tensor) -> torch.Tensor:
        """Log probabilities (b, A) float64, normalised, of the sequences rows (b,) at the place."""
        allowed = self.predictor.allowed
        log_probs = [
            torch.log_softmax(walk.logits(rows)[:, allowed].float(), -1).to(torch.float64) for walk in self.walks
        ]
        return self.predictor._guided(log_probs, rows, self.position)

    def read(self, tokens: torch.Tensor) -> None:
        """Go on to the next place: tokens (B,), those at this one."""
        for walk in self.walks:
            walk.read(tokens)
        self.position += 1
