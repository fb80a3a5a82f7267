"""Small sets of sequences whose truth is known, for the tests of evaluation."""

import numpy as np
import pandas as pd

from diffusion_bert.evaluation.motif_library import Motif

WIDTH = 80
CONSENSUS = {"GATA": "AGATAAGGC", "ETS": "CCGGAAGTGA", "EBOX": "GCAGCTGTTAC", "HNF": "GTTAATGATTAAC"}
# Which motif stands in the middle of a label's sequences.
OF_LABEL = {"blood": "GATA", "gut": "HNF"}


def motif(name: str, consensus: str, strength: float = 0.97, sites: int = 100) -> Motif:
    """A motif whose every column prefers one base."""
    counts = np.full((4, len(consensus)), sites * (1 - strength) / 3)
    counts[["ACGT".index(base) for base in consensus], np.arange(len(consensus))] = sites * strength
    return Motif(f"M_{name}", name, counts)


LIBRARY = [motif(name, consensus) for name, consensus in CONSENSUS.items()]


def random_sequences(n: int, seed: int, width: int = WIDTH, shares=(0.3, 0.2, 0.2, 0.3)) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(row) for row in generator.choice(list("ACGT"), p=shares, size=(n, width))]


def planted(n: int, seed: int, label: str, rate: float = 0.8) -> list[str]:
    """Random sequences; a share of them holds the label's motif near the middle, on either strand."""
    generator = np.random.default_rng(seed)
    site = CONSENSUS[OF_LABEL[label]]
    out = []
    for sequence in random_sequences(n, seed + 1):
        if generator.random() < rate:
            start = WIDTH // 2 - len(site) // 2 + int(generator.integers(-4, 5))
            written = site if generator.random() < 0.5 else complement(site)
            sequence = sequence[:start] + written + sequence[start + len(site) :]
        out.append(sequence)
    return out


def complement(sequence: str) -> str:
    """Reverse complement, written without the library."""
    return "".join({"A": "T", "C": "G", "G": "C", "T": "A"}[base] for base in reversed(sequence))


def real(n: int, seed: int) -> pd.DataFrame:
    """label, sequence: n sequences of each label."""
    return pd.concat(
        [
            pd.DataFrame({"label": label, "sequence": planted(n, seed + 10 * i, label)})
            for i, label in enumerate(OF_LABEL)
        ],
        ignore_index=True,
    )


def windows(frame: pd.DataFrame) -> pd.DataFrame:
    """label, sequence -> WINDOWS columns."""
    n = len(frame)
    return pd.DataFrame(
        {
            "chrom": "chr1",
            "start": pd.array(np.arange(n) * 1000, dtype="Int64"),
            "end": pd.array(np.arange(n) * 1000 + frame["sequence"].str.len().to_numpy(), dtype="Int64"),
            "strand": ".",
            "summit": pd.array([None] * n, dtype="Int64"),
            "track": frame["label"],
            "label": frame["label"],
            "score": 1.0,
            "sequence": frame["sequence"],
        }
    )


def sequences(frame: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """label, sequence -> SEQUENCES columns."""
    n = len(frame)
    return pd.DataFrame(
        {
            "name": [f"{prefix}_{i}" for i in range(1, n + 1)],
            "label": frame["label"].tolist(),
            "seed": pd.array([1] * n, dtype="Int64"),
            "length": frame["sequence"].str.len().tolist(),
            "bits_per_base": 2.0,
            "sequence": frame["sequence"].tolist(),
        }
    )


def as_sets(**frames: pd.DataFrame) -> pd.DataFrame:
    """label, sequence of each set -> the SETS table."""
    parts = [
        pd.DataFrame(
            {
                "set": name,
                "name": [f"{name}_{i}" for i in range(1, len(frame) + 1)],
                "label": frame["label"].tolist(),
                "sequence": frame["sequence"].tolist(),
            }
        )
        for name, frame in frames.items()
    ]
    return pd.concat(parts, ignore_index=True)


def one_label(sequences: list[str], label: str = "blood") -> pd.DataFrame:
    return pd.DataFrame({"label": label, "sequence": sequences})


def value(evaluation: pd.DataFrame, metric: str, name: str = "generated", label: str = "all") -> float:
    """The one number of this metric, set and label."""
    found = row(evaluation, metric, name, label)
    return float(found["value"])


def row(evaluation: pd.DataFrame, metric: str, name: str = "generated", label: str = "all") -> pd.Series:
    chosen = (evaluation["metric"] == metric) & (evaluation["set"] == name) & (evaluation["label"] == label)
    assert chosen.sum() == 1, f"{chosen.sum()} rows of {metric}, {name}, {label}"
    return evaluation[chosen].iloc[0]
