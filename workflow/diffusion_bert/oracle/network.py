"""A small convolutional classifier of DNA: single bases, both strands, sequences of any length.

A wide convolution as long as a motif, pooling, a convolution that sees how motifs stand to each other, then the largest
and the mean value of each channel over the whole sequence: the kind of DeepSEA (Zhou and Troyanskaya 2015) and Basset
(Kelley et al. 2016), at a size that takes seconds on one core. A sequence's embedding is the mean of those of its two
strands, and the layer after it is linear, so a sequence and its reverse complement get the same numbers (the post-hoc
conjoined setting of Zhou, Shrikumar and Kundaje 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_bert.evaluation.letters import OTHER, encode, lengths_of, reverse_complement

EMBEDDING = 32  # numbers in a sequence's embedding: few, so that a covariance can be had from some hundred sequences
MOTIF = 19  # bp that one filter of the first layer sees
POOL = 4  # bp that share one place after the first layer
REACH = 7  # places that one filter of the second layer sees
DROPOUT = 0.1
_LETTERS_A_PASS = 1 << 15  # bounds the memory of reading, whatever the length


@dataclass
class Strands:
    """Sequences as the network reads them: codes (n, 2, longest) uint8, the two strands of each, padded at the end with
    4, which also stands for any letter but A, C, G and T; lengths (n,) in bp."""

    codes: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, sequences: Sequence[str]) -> "Strands":
        """Both strands of each sequence."""
        turned = [reverse_complement(sequence) for sequence in sequences]
        codes = np.stack([encode(sequences), encode(turned)], axis=1)
        return cls(torch.from_numpy(codes), torch.from_numpy(lengths_of(sequences)))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Tensor) -> "Strands":
        """Those rows, without padding that none of them needs."""
        lengths = self.lengths[rows]
        return Strands(self.codes[rows][:, :, : int(lengths.max())], lengths)


class SequenceNetwork(nn.Module):
    """classes: how many are told apart. width: filters of each convolution."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        # A convolution, written as a product with each stretch of 19 bp: half the time of Conv1d on four channels.
        self.motifs = nn.Linear(4 * MOTIF, width)
        self.between = nn.Conv1d(width, width, REACH, padding=REACH // 2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.embedding = nn.Linear(2 * width, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(EMBEDDING, classes)
        self.register_buffer("letters", torch.eye(OTHER + 1, 4), persistent=False)

    def embed(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """One strand's embedding, (B, 32): codes (B, longest), lengths (B,) bp. Padding counts for nothing."""
        longest = codes.shape[1]
        places = -(-longest // POOL)
        around = (MOTIF // 2, MOTIF // 2 + places * POOL - longest)
        letters = self.letters[nn.functional.pad(codes, around, value=OTHER).int()].flatten(1)
        found = torch.relu(self.motifs(letters.unfold(1, 4 * MOTIF, 4)))
        # 0 is the least that a rectified value can be, so padding never has the largest.
        inside = torch.arange(places * POOL) < lengths[:, None]
        found = (found * inside[..., None]).unflatten(1, (places, POOL)).amax(2)
        real = -(-lengths // POOL)
        inside = (torch.arange(places) < real[:, None])[..., None]
        found = self.norms[0](found) * inside
        around = torch.relu(self.between(found.transpose(1, 2)).transpose(1, 2))
        found = (found + self.norms[1](around)) * inside
        largest = found.masked_fill(~inside, torch.finfo(found.dtype).min).amax(1)
        mean = found.sum(1) / real.clamp(min=1)[:, None]
        return nn.functional.gelu(self.embedding(torch.cat([largest, mean], dim=1)))

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes from one strand, (B, classes)."""
        return self.head(self.dropout(self.embed(codes, lengths)))

    @torch.inference_mode()
    def read(self, strands: Strands) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, classes) and embeddings (n, 32) of sequences, the mean over their strands; float32.

        Dropout is off. Linear in letters.
        """
        training = self.training
        self.eval()
        each = max(1, _LETTERS_A_PASS // max(1, strands.codes.shape[2]))
        parts = []
        for rows in torch.arange(len(strands)).split(each):
            part = strands[rows]
            parts.append(sum(self.embed(part.codes[:, strand], part.lengths) for strand in (0, 1)) / 2)
        embeddings = torch.cat(parts) if parts else torch.zeros(0, EMBEDDING)
        logits = self.head(embeddings)
        self.train(training)
        return logits.numpy(), embeddings.numpy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities along the last axis, float64."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
