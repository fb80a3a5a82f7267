"""The floors: sequences that a generator which learned little would make.

dinucleotide_shuffle keeps the dinucleotides of each held-out window and nothing else; markov draws from the best
Markov chain of the training windows; uniform draws every base with equal chance.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.letters import decode, lengths_of
from diffusion_bert.evaluation.markov import MARKOV, MarkovChain, fit_best_markov
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, check


def make_floors(
    train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, *, orders: Sequence[int], seed: int
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, MarkovChain]:
    """SEQUENCES frames of the three floors, one row a test window (its label and length); the MARKOV table; the chain.

    The floors have as many sequences as there are test windows: the evaluation compares at equal n, which the test
    windows bound. ``bits_per_base`` is the chain's own for ``markov``, 2 for ``uniform``, null for the shuffles.
    """
    chain, table = fit_best_markov(train, validation, orders, test=test)
    labels = test["label"].tolist()
    lengths = lengths_of(test["sequence"].tolist())
    drawn = chain.sample(lengths, labels, seed=seed)
    sequences = {
        "dinucleotide_shuffle": (dinucleotide_shuffle(test["sequence"].tolist(), seed=seed), None),
        "markov": (drawn, chain.bits_per_base(drawn, labels)),
        "uniform": (uniform(lengths, seed=seed), 2.0),
    }
    frames = {
        name: check(
            pd.DataFrame(
                {
                    "name": [f"{name}_{row}" for row in range(1, len(test) + 1)],
                    "label": labels,
                    "seed": pd.array([seed] * len(test), dtype="Int64"),
                    "length": lengths,
                    "bits_per_base": np.full(len(test), np.nan) if bits is None else bits,
                    "sequence": made,
                }
            ),
            SEQUENCES,
            f"the floor {name}",
        )
        for name, (made, bits) in sequences.items()
    }
    return frames, check(table, MARKOV, "the table of Markov chains"), chain


def uniform(lengths: Sequence[int], *, seed: int) -> list[str]:
    """Sequences of these lengths (bp), every base drawn with equal chance."""
    lengths = np.asarray(lengths, dtype=np.int64)
    generator = np.random.default_rng(derive_seed(seed, "uniform"))
    return decode(generator.integers(0, 4, size=(len(lengths), int(lengths.max(initial=0))), dtype=np.uint8), lengths)


def dinucleotide_shuffle(sequences: Sequence[str], *, seed: int) -> list[str]:
    """Each sequence shuffled so that it keeps every dinucleotide count exactly, and so its first and last letter.

    A sequence is a walk over letters whose steps are its dinucleotides; every walk over the same steps is drawn with
    the same chance (Altschul and Erickson 1985). Other letters than A, C, G, T are shuffled in the same way. Linear in
    the number of bases.
    """
    generator = np.random.default_rng(derive_seed(seed, "dinucleotide_shuffle"))
    return [_euler_walk(sequence, generator) for sequence in sequences]


def _euler_walk(sequence: str, generator: np.random.Generator) -> str:
    if len(sequence) < 4:
        return sequence  # three letters or fewer admit no other walk
    steps: dict[str, list[str]] = {}
    for letter, following in zip(sequence, sequence[1:], strict=False):
        steps.setdefault(letter, []).append(following)
    end = sequence[-1]
    for letter in sorted(steps):
        edges = steps[letter]
        steps[letter] = [edges[i] for i in generator.permutation(len(edges))]
    # The last step out of every letter must lead, step by step, to the end; otherwise the walk gets stuck. Last steps
    # are drawn until they do, which makes every such tree equally likely.
    others = [letter for letter in sorted(steps) if letter != end]
    while True:
        last = {letter: int(generator.integers(len(steps[letter]))) for letter in others}
        if all(_reaches(letter, end, {k: steps[k][i] for k, i in last.items()}) for letter in others):
            break
    for letter, i in last.items():
        edges = steps[letter]
        edges[i], edges[-1] = edges[-1], edges[i]
        rest = [edges[j] for j in generator.permutation(len(edges) - 1)]
        steps[letter] = [*rest, edges[-1]]
    walk, place = [sequence[0]], sequence[0]
    queues = {letter: iter(edges) for letter, edges in steps.items()}
    for _ in range(len(sequence) - 1):
        place = next(queues[place])
        walk.append(place)
    return "".join(walk)


def _reaches(letter: str, end: str, following: dict[str, str]) -> bool:
    for _ in range(len(following) + 1):
        if letter == end:
            return True
        letter = following[letter]
    return letter == end
