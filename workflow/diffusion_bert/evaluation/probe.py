"""What features know of the labels: a linear classifier's success on held-out windows.

A linear probe (Alain and Bengio 2016, arXiv:1610.01644): multinomial logistic regression on standardised features, with
scikit-learn's L2 penalty at C = 1, fitted on training windows. Composition is what it must beat: the same probe on the
windows' 3-mer frequencies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from diffusion_bert.evaluation.intervals import interval
from diffusion_bert.evaluation.kmers import kmer_counts
from diffusion_bert.evaluation.letters import encode, reverse_complement
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import EMBEDDINGS, UNDERSTANDING, WINDOWS, check, read_parquet, write_tsv

MOST_ITERATIONS = 2000


def probe_labels(
    features: Mapping[str, tuple[np.ndarray, np.ndarray]],
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """UNDERSTANDING rows: accuracy and macro-averaged one-against-rest AUROC of each kind of features.

    features: name -> (training windows x features, test windows x features), rows as the labels. bootstrap: samples of
    the test windows for the 95 % interval. Null with a note where fewer than two labels are in either split.
    """
    classes = sorted(set(train_labels))
    if len(classes) < 2 or sorted(set(test_labels)) != classes:
        why = "a probe needs two labels or more, each in the training and the test windows"
        empty = [(name, metric, None, None, None, len(test_labels), why) for name in features for metric in METRICS]
        return check(pd.DataFrame(empty, columns=list(UNDERSTANDING)), UNDERSTANDING, "the probe")
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    picks = generator.integers(0, len(test_labels), (bootstrap, len(test_labels)))
    rows = []
    for name, (train, test) in features.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS)).fit(train, train_labels)
        scores = probe.predict_proba(test)
        for metric, of in METRICS.items():
            value = of(test_labels, scores, classes)
            replicates = np.array([of(test_labels[pick], scores[pick], classes) for pick in picks])
            rows.append((name, metric, value, *interval(value, replicates, (0.0, 1.0)), len(test_labels), None))
    return check(pd.DataFrame(rows, columns=list(UNDERSTANDING)), UNDERSTANDING, "the probe")


def probe_understanding(
    embeddings: Mapping[str, str | Path],
    train_parquet: str | Path,
    test_parquet: str | Path,
    *,
    bootstrap: int,
    seed: int,
    destination: str | Path,
) -> None:
    """Write UNDERSTANDING: the probe on each table of EMBEDDINGS (name -> file), and on 3-mer frequencies (``3-mers``).

    All tables hold the same windows, which are rows of the WINDOWS tables.
    """
    tables = {name: read_parquet(path, EMBEDDINGS) for name, path in embeddings.items()}
    of_split = {name: dict(iter(table.groupby("split"))) for name, table in tables.items()}
    first = next(iter(of_split.values()))
    windows = {"train": read_parquet(train_parquet, WINDOWS), "test": read_parquet(test_parquet, WINDOWS)}
    features = {
        name: tuple(np.stack(parts[split]["embedding"].to_list()) for split in windows)
        for name, parts in of_split.items()
    }
    features["3-mers"] = tuple(
        frequencies(frame["sequence"].iloc[first[split]["row"] - 1].tolist()) for split, frame in windows.items()
    )
    labels = {split: first[split]["label"].to_numpy(dtype=str) for split in windows}
    rows = probe_labels(features, labels["train"], labels["test"], bootstrap=bootstrap, seed=seed)
    write_tsv(rows, destination, UNDERSTANDING)


def frequencies(sequences: Sequence[str], k: int = 3) -> np.ndarray:
    """The share of each k-mer in each sequence, both strands together as peaks have none: (n, 4**k) float32."""
    turned = [reverse_complement(sequence) for sequence in sequences]
    counts = kmer_counts(encode(sequences), k) + kmer_counts(encode(turned), k)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _accuracy(labels: np.ndarray, scores: np.ndarray, classes: list[str]) -> float:
    return float(accuracy_score(labels, np.array(classes)[scores.argmax(axis=1)]))


def _auroc(labels: np.ndarray, scores: np.ndarray, classes: list[str]) -> float:
    """NaN for a sample that lacks a class."""
    found = [labels == name for name in classes]
    if not all(0 < column.sum() < len(labels) for column in found):
        return float("nan")
    return float(np.mean([roc_auc_score(column, scores[:, i]) for i, column in enumerate(found)]))


METRICS = {"accuracy": _accuracy, "auroc": _auroc}
