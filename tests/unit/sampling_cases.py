"""What the tests of sampling share: settings, a probe that sees each forward pass, and a chi-square test."""

import itertools

import numpy as np
import torch
from toy_models import FactorisedModel, all_sequences

# Each seeded test of a distribution fails by chance, for one seed, with this probability. The seeds are fixed: a test
# that passes keeps passing.
FALSE_ALARM = 1e-4

PLAIN = {
    "order": "ancestral",
    "steps": 64,
    "entropy_budget": 0.0,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": None,
    "guidance": 0.0,
    "remask": {"strategy": None, "eta": 0.1},
    "refine": {"passes": 0, "threshold": None, "fraction": None, "steps": 8},
    "guide": {"method": None, "scorer": "oracle", "candidates": 4, "strength": 1.0, "resamplings": 4},
}


def settings(refine: dict | None = None, **changes) -> dict:
    """A sampler's settings: the plain ones with these changes."""
    inner = {key: {**PLAIN[key], **changes.pop(key, {})} for key in ("remask", "guide")}
    return {**PLAIN, **changes, **inner, "refine": {**PLAIN["refine"], **(refine or {})}}


def chi_square(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """p-value of the counts under the probabilities; cells that expect fewer than 5 are put together."""
    expected = np.asarray(probabilities) * np.sum(observed)
    assert abs(np.sum(probabilities) - 1) < 1e-6
    assert not np.any(np.asarray(observed)[expected == 0]), "something impossible was drawn"
    rare = expected < 5
    observed = np.append(np.asarray(observed, dtype=float)[~rare], np.sum(np.asarray(observed)[rare]))
    expected = np.append(expected[~rare], expected[rare].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    if freedom == 0:
        return 1.0
    return float(torch.special.gammaincc(torch.tensor(freedom / 2).double(), torch.tensor(statistic / 2).double()))


def sequence_counts(sequences, length: int) -> np.ndarray:
    """How often each of the 4 ** length sequences occurs, in alphabetical order."""
    number = {sequence: i for i, sequence in enumerate(all_sequences(length))}
    return np.bincount([number[sequence] for sequence in sequences], minlength=len(number))


def two_step_law(model, length: int, first: float) -> np.ndarray:
    """The exact law (4 ** length,) of a sampler that reveals each token in step 1 with probability ``first``,
    independently, and the others in step 2: a sum over every set of tokens that may be revealed first."""
    index = np.array([["ACGT".index(letter) for letter in sequence] for sequence in all_sequences(length)])
    law = np.zeros(len(index))
    labels = torch.full((len(index),), model.tokenizer.no_label_id)
    blank = model.base_log_probs(torch.full((1, length), -1), labels[:1])[0].numpy()
    for early in itertools.product([True, False], repeat=length):
        early = np.array(early)
        seen = torch.from_numpy(np.where(early, index, -1))
        late = np.take_along_axis(model.base_log_probs(seen, labels).numpy(), index[..., None], -1)[..., 0]
        at_first = blank[np.arange(length), index]
        probability = first ** early.sum() * (1 - first) ** (~early).sum()
        law += probability * np.exp(np.where(early, at_first, late).sum(1))
    return law


class Probe(FactorisedModel):
    """Independent positions, and a record of what was seen in each forward pass: ``seen``, a list of (B, L)."""

    def __init__(self, probabilities, tokenizer=None):
        super().__init__(probabilities, tokenizer)
        self.seen = []

    def base_log_probs(self, observed, labels):
        self.seen.append(observed.clone())
        return super().base_log_probs(observed, labels)
