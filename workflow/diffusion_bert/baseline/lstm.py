"""A compact autoregressive LSTM over single bases: exact probabilities, and sampling at one pass a position.

p(sequence | label, length) = product over positions i of p(base i | bases before i, label). The length is given and not
modelled, so probabilities of all sequences of one length sum to 1, and bits a base are exact, where a diffusion model
has a bound. Two layers (Hochreiter and Schmidhuber 1997), as in language models of characters (Graves 2013).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import isqrt

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.letters import OTHER, decode, encode, lengths_of
from diffusion_bert.seeds import derive_seed

EMBEDDED = 32  # numbers that a base, and a label, is given to the network as
START = OTHER + 1  # what stands before the first base
# Bases that go through the network together have at most so many letters, whatever their length: it bounds memory.
_LETTERS_A_PASS = 1 << 15
_ROWS_A_STEP = 512


class LabelledLSTM(nn.Module):
    """Two LSTM layers that see the base before, and the label at every step, and give the next base.

    labels: as in the training windows. shares: of the training windows, of each label (default: all alike), for
    sequences whose label the network does not know.
    """

    def __init__(self, labels: Sequence[str], width: int, shares: Sequence[float] | None = None):
        super().__init__()
        if not labels or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be one or more different names, got {list(labels)}")
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.labels, self.width = list(labels), width
        self.shares = np.full(len(labels), 1 / len(labels)) if shares is None else np.asarray(shares, dtype=np.float64)
        if self.shares.shape != (len(labels),) or (self.shares <= 0).any() or abs(self.shares.sum() - 1) > 1e-6:
            raise ValueError(f"shares must be {len(labels)} numbers above 0 that sum to 1, got {shares}")
        self.base = nn.Embedding(START + 1, EMBEDDED)
        self.label = nn.Embedding(len(labels), EMBEDDED)
        self.layers = nn.LSTM(EMBEDDED, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, 4)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, T, 4) of each base given those before it: codes (n, T), A 0, C 1, G 2, T 3, other 4; labels (n,).

        What pads a row at its end changes nothing before it.
        """
        before = torch.nn.functional.pad(codes[:, :-1].long(), (1, 0), value=START)
        return self.head(self.layers(self.base(before) + self.label(labels)[:, None])[0])

    def log2_p(self, sequences: Sequence[str], labels: Sequence[str | None]) -> np.ndarray:
        """Exact log2 p(sequence | label, length), shape (n,), float64.

        Sequences are upper case. Other letters than A, C, G, T get no probability, and the network sees them as
        unknown. A label that is None or not one of the network's: the mixture over its labels, by their shares, which
        is exact as well and costs a pass a label.
        """
        if len(sequences) != len(labels):
            raise ValueError(f"{len(sequences)} sequences, but {len(labels)} labels")
        place = {label: number for number, label in enumerate(self.labels)}
        asked = [[place[label]] if label in place else range(len(place)) for label in labels]
        rows = np.repeat(np.arange(len(asked)), np.array([len(numbers) for numbers in asked], dtype=np.int64))
        numbers = np.array([number for own in asked for number in own], dtype=np.int64)
        weight = np.log2(np.where(np.bincount(rows, minlength=len(asked))[rows] > 1, self.shares[numbers], 1.0))
        lengths = lengths_of(sequences)
        value = np.empty(len(rows))
        for part in _parts(lengths[rows]):
            codes = encode([sequences[row] for row in rows[part]])
            value[part] = self._log2_p(codes, numbers[part])
        total = np.full(len(asked), -np.inf)
        np.logaddexp2.at(total, rows, value + weight)
        return total

    def bits_per_base(self, sequences: Sequence[str], labels: Sequence[str | None]) -> np.ndarray:
        """-log2 p over the number of A, C, G, T: shape (n,); NaN for a sequence without any."""
        known = np.array([sum(map(sequence.count, "ACGT")) for sequence in sequences], dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return -self.log2_p(sequences, labels) / np.where(known > 0, known, np.nan)

    @torch.inference_mode()
    def sample(self, lengths: Sequence[int], labels: Sequence[str], *, seed: int) -> list[str]:
        """Sequences of these lengths (bp) and labels, drawn from exactly p: one pass a position for many at once.

        Draws are float64 numbers that depend on the seed and a sequence's place in the list. Raises UserError for a
        label that the network does not know.
        """
        lengths = np.asarray(lengths, dtype=np.int64)
        if len(lengths) != len(labels) or (lengths < 0).any():
            raise ValueError(f"{len(lengths)} lengths for {len(labels)} labels; none may be below 0")
        unknown = sorted({str(label) for label in labels} - set(self.labels))
        if unknown:
            raise UserError(
                f"The LSTM was not trained on the label {unknown[0]}; it knows {', '.join(self.labels)}.",
                "Ask for one of these.",
            )
        numbers = np.array([self.labels.index(label) for label in labels], dtype=np.int64)
        codes = np.zeros((len(lengths), int(lengths.max(initial=0))), dtype=np.uint8)
        generator = np.random.default_rng(derive_seed(seed, "lstm"))
        device = self.head.weight.device
        for start in range(0, len(lengths), _ROWS_A_STEP):
            rows = slice(start, start + _ROWS_A_STEP)
            label = self.label(torch.from_numpy(numbers[rows]).to(device))
            before, state = torch.full((len(label),), START, device=device), None
            draws = generator.random((len(label), codes.shape[1]))
            for position in range(int(lengths[rows].max())):
                out, state = self.layers((self.base(before) + label)[:, None], state)
                p = self.head(out[:, 0]).double().softmax(-1).cpu().numpy()
                cumulative = np.cumsum(p, axis=1)
                codes[rows, position] = (draws[:, position, None] * cumulative[:, -1:] >= cumulative[:, :3]).sum(axis=1)
                before = torch.from_numpy(codes[rows, position]).to(device).long()
        return decode(codes, lengths)

    @torch.inference_mode()
    def _log2_p(self, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        device = self.head.weight.device
        ids = torch.from_numpy(codes).to(device)
        if not ids.shape[1]:
            return np.zeros(len(codes))
        nats = nats_of(self(ids, torch.from_numpy(labels).to(device)).double(), ids)
        return (nats.sum(1) / -np.log(2)).cpu().numpy()


def nats_of(logits: Tensor, codes: Tensor) -> Tensor:
    """-ln p of each base (n, T); 0 where a code is no base. logits: (n, T, 4)."""
    return nn.functional.cross_entropy(logits.transpose(1, 2), codes.long(), ignore_index=OTHER, reduction="none")


def parameters_of(width: int, labels: int) -> int:
    """How many parameters a network of this width for so many labels has."""
    embeddings = (START + 1 + labels) * EMBEDDED
    return embeddings + 4 * width * (EMBEDDED + width + 2) + 4 * width * (2 * width + 2) + 4 * (width + 1)


def width_for(parameters: int, labels: int) -> int:
    """The largest width with at most so many parameters; UserError where there is none."""
    width = bisect_right(range(1, isqrt(max(parameters, 0)) + 1), parameters, key=lambda w: parameters_of(w, labels))
    if not width:
        raise UserError(
            f"evaluation.lstm.parameters is {parameters}, but the smallest LSTM for {labels} labels has "
            f"{parameters_of(1, labels)}.",
            "Allow more: as many as your models have.",
        )
    return width


def _parts(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Places of ``lengths``, shortest first, in parts of at most so many letters with padding, of one row at least."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        size = np.arange(1, len(order) - start + 1) * np.maximum(lengths[order[start:]], 1)
        taken = max(1, int(np.searchsorted(size, _LETTERS_A_PASS, side="right")))
        yield order[start : start + taken]
        start += taken
