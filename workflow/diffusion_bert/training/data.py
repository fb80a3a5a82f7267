"""Windows as tensors: tokenised once, framed once; a batch is an index away and costs no Python per sequence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from diffusion_bert.errors import UserError
from diffusion_bert.genome.splits import reverse_complements
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import TILES, WINDOWS, read_parquet
from diffusion_bert.tokens import Tokenizer


def read_data(path: str | Path, data: str) -> pd.DataFrame:
    """What a model learns from or is validated on, with (at least) the columns strand, label and sequence.

    data: ``windows`` (a WINDOWS table) or ``tiles`` (TILES: strands unknown, label null, which is NO_LABEL as tokens).
    """
    if data == "windows":
        return read_parquet(path, WINDOWS)
    return read_parquet(path, TILES).assign(strand=".", label=None)


def labels_in(frame: pd.DataFrame) -> list[str]:
    """The labels of a frame of ``read_data``, sorted; none where it has none."""
    return sorted(frame["label"].dropna().unique())


@dataclass
class TokenisedWindows:
    """Framed rows [CLS] label x1..xT [SEP] (PAD...) of all windows.

    strands: (S, n, T) in the tokenizer's dtype, on the device. S is 1, or 2 where windows of unknown strand are read on
    either: then [1] holds the reverse complements of those, and once more the others. Both are tokenised, as the tokens
    of a reverse complement are not, in general, those of the sequence turned round. lengths: (n,) tokens of DNA, of the
    longer strand, int64 on the CPU, so that a batch is cut to its longest row without asking the device.
    """

    tokenizer: Tokenizer
    strands: Tensor
    lengths: Tensor

    def __post_init__(self):
        device = self.strands.device
        self.is_base = torch.from_numpy(self.tokenizer.is_base).to(device)
        self.known_bases = torch.from_numpy(self.tokenizer.known_bases).to(device)

    @classmethod
    def of(
        cls,
        windows: pd.DataFrame,
        tokenizer: Tokenizer,
        what: str,
        device: torch.device,
        reverse_complement: bool = False,
    ) -> "TokenisedWindows":
        """From a frame of ``read_data``; UserError, naming ``what`` (a path), where it is empty or holds a sequence
        without a known base. reverse_complement: whether a training batch reads windows of unknown strand on a
        random one."""
        remedy = "Widen the split or relax the filters, so that windows remain."
        if not len(windows):
            raise UserError(f"{what}: there is no window in it.", remedy)
        sequences = windows["sequence"].to_numpy(dtype=object, copy=True)
        encoded = [tokenizer.encode(sequences)]
        blank = np.flatnonzero(~tokenizer.is_base[encoded[0]].any(axis=1))
        if blank.size:
            raise UserError(
                f"{what}: window {blank[0] + 1} has no known base.",
                "Filter out windows that consist of N (windows: max_n).",
            )
        turned = windows["strand"].eq(".").to_numpy()
        if reverse_complement and turned.any():
            sequences[turned] = reverse_complements(sequences[turned])
            encoded.append(tokenizer.encode(sequences))
        framed = [tokenizer.frame(ids, windows["label"].tolist(), dtype=tokenizer.dtype)[0] for ids in encoded]
        longest = max(ids.shape[1] for ids in framed)
        strands = np.full((len(framed), len(windows), longest), tokenizer.pad_id, dtype=tokenizer.dtype)
        for strand, ids in zip(strands, framed, strict=True):
            strand[:, : ids.shape[1]] = ids
        lengths = (strands != tokenizer.pad_id).sum(axis=2, dtype=np.int64).max(axis=0) - tokenizer.extra_tokens
        tensor = torch.from_numpy(strands).to(device)
        if reverse_complement:
            tensor = tensor.expand(2, -1, -1)  # where no strand is unknown, both are the same memory
        return cls(tokenizer, tensor, torch.from_numpy(lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def ids(self) -> Tensor:
        """(n, T): the windows as they lie in the table."""
        return self.strands[0]

    def token_lengths(self) -> list[int] | None:
        """How many tokens of the windows spell 1, 2, ... known bases; None where a length in bp says which they are."""
        if self.tokenizer.layout(1) is not None:
            return None
        return torch.bincount(self.known_bases[self.ids.long()].flatten())[1:].tolist()

    def bases_per_token(self) -> float:
        """The mean number of known bases of a token of DNA, over the first thousand windows."""
        known = self.known_bases[self.ids[:1000].long()]
        return float(known.sum() / (known > 0).sum())

    def rows(self, rows: Tensor, turned: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(input_ids, attention_mask, maskable) of rows (B,) int64 on the CPU; no longer than the longest of them.

        turned: (B,) bool on the device, rows to read on the other strand where theirs is unknown; needs S = 2.
        """
        longest = int(self.lengths[rows].max()) + self.tokenizer.extra_tokens
        strand = 0 if turned is None else turned.long()
        ids = self.strands[strand, rows.to(self.strands.device), :longest].long()
        return ids, (ids != self.tokenizer.pad_id).long(), self.is_base[ids]

    def training_batch(
        self, rows: Tensor, generator: torch.Generator, label_dropout: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``rows`` with labels dropped at random and, where both strands are there, each on a random one."""
        device = self.strands.device
        turned = None
        if len(self.strands) == 2:
            turned = torch.rand(len(rows), generator=generator, device=device) < 0.5
        ids, attention, maskable = self.rows(rows, turned)
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
