"""Models so small that the answer is arithmetic, in the interface of the trained ones.

Each gives logits (B, T, V) for framed rows ([CLS] label x1..xL [SEP] and padding); logits of tokens that are no base
are high on purpose: whoever forgets to exclude them fails.
"""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from diffusion_bert.diffusion import Schedule
from diffusion_bert.tokens import BaseTokenizer, Tokenizer
from diffusion_bert.training.checkpoints import Denoiser

ELSEWHERE = 7.0


def all_sequences(length: int) -> list[str]:
    """Every DNA sequence of this length, 4 ** length of them, in alphabetical order."""
    return ["".join(letters) for letters in itertools.product("ACGT", repeat=length)]


def base_index(sequences: list[str]) -> np.ndarray:
    """(n, L) indices 0..3 of A, C, G, T."""
    return np.array([["ACGT".index(letter) for letter in sequence] for sequence in sequences])


class ToyModel(nn.Module):
    """A model from a function of what is seen: ``base_log_probs(observed (B, L), labels (B,)) -> (B, L, 4)``.

    observed holds 0..3 for a base that can be seen and -1 for one that cannot ([MASK], UNK). Equal lengths only.
    """

    def __init__(self, tokenizer: BaseTokenizer | None = None):
        super().__init__()
        self.tokenizer = tokenizer or BaseTokenizer()
        self.calls = 0

    def base_log_probs(self, observed: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SimpleNamespace:
        self.calls += 1
        first = int(self.tokenizer.base_ids[0])
        content = input_ids[:, self.tokenizer.content]
        observed = torch.where((content >= first) & (content < first + 4), content - first, -1)
        logits = torch.full((*input_ids.shape, self.tokenizer.vocab_size), ELSEWHERE)
        logits[:, self.tokenizer.content, first : first + 4] = self.base_log_probs(observed, input_ids[:, 1]).float()
        return SimpleNamespace(logits=logits)


class UniformModel(ToyModel):
    """Every base is as probable as any other, whatever is seen: 2 bits a base exactly."""

    def base_log_probs(self, observed, labels):
        return torch.full((*observed.shape, 4), math.log(1 / 4))


class FactorisedModel(ToyModel):
    """Positions are independent: probabilities (L, 4)."""

    def __init__(self, probabilities: np.ndarray, tokenizer: BaseTokenizer | None = None):
        super().__init__(tokenizer)
        self.log_p = torch.from_numpy(np.log(np.asarray(probabilities, dtype=np.float64)))

    def base_log_probs(self, observed, labels):
        return self.log_p.expand(len(observed), -1, -1)

    def log_prob(self, sequences: list[str]) -> np.ndarray:
        """Exact log p, nats, (n,)."""
        return np.take_along_axis(self.log_p.numpy()[None], base_index(sequences)[..., None], -1)[..., 0].sum(-1)


class LabelModel(ToyModel):
    """Each label has its own base probabilities; NO_LABEL has their mean. probabilities: {label: (4,)}."""

    def __init__(self, probabilities: dict[str, list[float]]):
        super().__init__(BaseTokenizer(list(probabilities)))
        table = np.full((self.tokenizer.vocab_size, 4), 1 / 4)
        table[self.tokenizer.no_label_id] = np.mean(list(probabilities.values()), axis=0)
        for label, values in probabilities.items():
            table[self.tokenizer.label_ids[label]] = values
        self.log_p = torch.from_numpy(np.log(table))

    def base_log_probs(self, observed, labels):
        return self.log_p[labels].unsqueeze(1).expand(-1, observed.shape[1], -1)


class MarkovModel(ToyModel):
    """The exact conditionals p(x_i | what is seen of the others) of a first-order Markov chain (forward-backward).

    start (4,), transition (4, 4) with rows that sum to 1. As a denoiser it is perfect: ancestral sampling with as many
    steps as tokens draws from the chain, and the evidence bound is the exact log-likelihood.
    """

    def __init__(self, start: np.ndarray, transition: np.ndarray, tokenizer: BaseTokenizer | None = None):
        super().__init__(tokenizer)
        self.start = torch.from_numpy(np.asarray(start, dtype=np.float64))
        self.transition = torch.from_numpy(np.asarray(transition, dtype=np.float64))

    def base_log_probs(self, observed, labels):
        length = observed.shape[1]
        # evidence (B, L, 4): 1 where the base agrees with what is seen.
        evidence = torch.where(observed[..., None] < 0, 1.0, (observed[..., None] == torch.arange(4)).double())
        before, after = [self.start.expand(len(observed), 4)], [torch.ones(len(observed), 4, dtype=torch.float64)]
        for i in range(1, length):
            before.append((before[-1] * evidence[:, i - 1]) @ self.transition)
        for i in range(length - 1, 0, -1):
            after.append((after[-1] * evidence[:, i]) @ self.transition.T)
        # The base's own evidence is left out, so that a position that is seen also gets its conditional.
        joint = torch.stack(before, 1) * torch.stack(after[::-1], 1)
        return (joint / joint.sum(-1, keepdim=True)).log()

    def log_prob(self, sequences: list[str]) -> np.ndarray:
        """Exact log p, nats, (n,)."""
        index = base_index(sequences)
        steps = self.transition.numpy()[index[:, :-1], index[:, 1:]]
        return np.log(self.start.numpy()[index[:, 0]]) + np.log(steps).sum(-1)


CHAIN_START = np.array([0.4, 0.3, 0.2, 0.1])
CHAIN_TRANSITION = np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.1, 0.1, 0.5], [0.25, 0.25, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1]])


def markov_model(tokenizer: BaseTokenizer | None = None) -> MarkovModel:
    """A chain far from uniform, no two of whose conditionals are alike."""
    return MarkovModel(CHAIN_START, CHAIN_TRANSITION, tokenizer)


class TokenModel(nn.Module):
    """Tokens of any tokenizer, the same law wherever they stand and whatever is seen: log weights (V,) of the
    vocabulary, of which those of what is no base are replaced; by_label adds others to rows of a label {id: (V,)}."""

    def __init__(self, tokenizer: Tokenizer, weights: np.ndarray, by_label: dict[int, np.ndarray] | None = None):
        super().__init__()
        self.tokenizer = tokenizer
        table = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size)) + weights
        for label, more in (by_label or {}).items():
            table[label] += more
        table[:, ~tokenizer.is_base] = ELSEWHERE
        self.table = torch.from_numpy(table).float()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table[input_ids[:, 1]].unsqueeze(1).expand(-1, input_ids.shape[1], -1))


def as_denoiser(model: ToyModel | TokenModel, schedule: str = "linear") -> Denoiser:
    """The toy in the shape that sampling and likelihood take."""
    return Denoiser(model=model, tokenizer=model.tokenizer, schedule=Schedule(schedule))
