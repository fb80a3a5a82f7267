"""Windows as tensors: tokenised once, framed once; a batch is an index away and costs no Python per sequence."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from diffusion_bert.diffusion import mask_counts, stratified_counts
from diffusion_bert.errors import UserError
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tokens import BaseTokenizer


@dataclass
class TokenisedWindows:
    """Framed rows [CLS] label x1..xL [SEP] (PAD...) of all windows.

    ids: (n, T) in the tokenizer's dtype, on the device. lengths: (n,) tokens of DNA, int64 on the CPU, so that a batch
    is cut to its longest row without asking the device. flippable: (n,) bool, windows of unknown strand.
    """

    tokenizer: BaseTokenizer
    ids: Tensor
    lengths: Tensor
    flippable: Tensor

    def __post_init__(self):
        device = self.ids.device
        self.is_base = torch.from_numpy(self.tokenizer.is_base).to(device)
        self.complement = torch.from_numpy(self.tokenizer.complement).to(device)

    @classmethod
    def of(cls, windows: pd.DataFrame, tokenizer: BaseTokenizer, what: str, device: torch.device) -> "TokenisedWindows":
        """From a WINDOWS frame; UserError, naming ``what`` (a path), where it is empty or holds a sequence without a
        known base."""
        remedy = "Widen the split or relax the filters, so that windows remain."
        if not len(windows):
            raise UserError(f"{what}: there is no window in it.", remedy)
        dna = tokenizer.encode(windows["sequence"].tolist())
        blank = np.flatnonzero(~tokenizer.is_base[dna].any(axis=1))
        if blank.size:
            raise UserError(
                f"{what}: window {blank[0] + 1} has no known base.",
                "Filter out windows that consist of N (windows: max_n).",
            )
        ids, attention = tokenizer.frame(dna, windows["label"].tolist(), dtype=tokenizer.dtype)
        return cls(
            tokenizer,
            torch.from_numpy(ids).to(device),
            torch.from_numpy(attention.sum(axis=1, dtype=np.int64) - tokenizer.extra_tokens),
            torch.from_numpy(windows["strand"].eq(".").to_numpy().copy()).to(device),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(input_ids, attention_mask, maskable) of rows (B,) int64 on the CPU; no longer than the longest of them."""
        longest = int(self.lengths[rows].max()) + self.tokenizer.extra_tokens
        ids = self.ids[rows.to(self.ids.device), :longest].long()
        return ids, (ids != self.tokenizer.pad_id).long(), self.is_base[ids]

    def flip(self, ids: Tensor, flipped: Tensor) -> Tensor:
        """ids (B, T) with the DNA of the rows flipped (B,) bool replaced by its reverse complement."""
        length = (ids != self.tokenizer.pad_id).sum(-1, keepdim=True) - self.tokenizer.extra_tokens
        place = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        inside = (place >= 2) & (place < 2 + length)
        turned = self.complement[ids.gather(1, torch.where(inside, length + 3 - place, place))]
        return torch.where(flipped.unsqueeze(-1), turned, ids)

    def training_batch(
        self, rows: Tensor, generator: torch.Generator, label_dropout: float, reverse_complement: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``rows`` with labels dropped at random and windows of unknown strand read on a random strand."""
        ids, attention, maskable = self.rows(rows)
        device = ids.device
        if reverse_complement:
            flipped = torch.rand(len(rows), generator=generator, device=device) < 0.5
            ids = self.flip(ids, flipped & self.flippable[rows.to(device)])
            maskable = self.is_base[ids]
        if label_dropout > 0:
            dropped = torch.rand(len(rows), generator=generator, device=device) < label_dropout
            ids[:, 1] = torch.where(dropped, self.tokenizer.no_label_id, ids[:, 1])
        return ids, attention, maskable


class RowStream:
    """Which rows each step takes: the windows in random order, epoch after epoch, without a break between epochs.

    A step's rows depend on the seed and the step alone, so a resumed run needs no more than the step to go on.
    """

    def __init__(self, n: int, batch_size: int, seed: int):
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self._epoch, self._order = -1, torch.empty(0)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
            self._epoch, self._order = epoch, torch.randperm(self.n, generator=generator)
        return self._order

    def rows(self, step: int) -> Tensor:
        """The rows (batch_size,) of a step, counted from 0."""
        taken, at = [], step * self.batch_size
        end = at + self.batch_size
        while at < end:
            epoch, within = divmod(at, self.n)
            part = self._permutation(epoch)[within : within + end - at]
            taken.append(part)
            at += len(part)
        return torch.cat(taken)


@dataclass
class FixedMasks:
    """Validation on the same windows, times and masks every time: parts of (ids with [MASK], true ids, masked)."""

    parts: list[tuple[Tensor, Tensor, Tensor]]
    tokens: int

    @classmethod
    def of(cls, windows: TokenisedWindows, most: int | None, seed: int, batch_size: int) -> "FixedMasks":
        """most: at most so many windows, drawn from the seed; None takes all.

        Every window is masked once. The share that is masked is stratified over the windows, in random order.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "validation"))
        chosen = torch.randperm(len(windows), generator=generator)[:most]
        u = (torch.arange(len(chosen)) + torch.rand(len(chosen), generator=generator)) / len(chosen)
        # Sorted by length, rows need little padding; u is in the order of the draw, which is random.
        order = windows.lengths[chosen].argsort(stable=True)
        parts, total = [], 0
        for rows, share in zip(chosen[order].split(batch_size), u[order].split(batch_size), strict=True):
            ids, _, maskable = (x.cpu() for x in windows.rows(rows))
            tokens = maskable.sum(-1)
            counts = stratified_counts(tokens, share)
            inputs, masked = mask_counts(ids, maskable, counts, windows.tokenizer.mask_id, generator)
            parts.append(tuple(x.to(windows.ids.device) for x in (inputs, ids, masked)))
            total += int(tokens.sum())
        return cls(parts, total)
