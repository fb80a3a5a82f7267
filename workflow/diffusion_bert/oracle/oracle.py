"""The guide and the judge: two classifiers of labels against background, of disjoint windows and seeds.

Whatever one of them steers must not be judged by it, since a generator soon finds what an oracle alone believes in. So
each learns from its own half of the training windows. The classes are the labels and one of background: dinucleotide
shuffles of the same windows, so that composition tells nothing. All classes count the same in training, so what an
oracle says are log-likelihood ratios that do not hang on how many windows a label has.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.letters import reverse_complement
from diffusion_bert.evaluation.rows import ALL, REFERENCE
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.oracle.fit import Examples, fit
from diffusion_bert.oracle.folder import GUIDE, JUDGE, THREADS, Oracle, activity, load_oracle, save_oracle
from diffusion_bert.oracle.network import Strands
from diffusion_bert.oracle.performance import performance, temperature
from diffusion_bert.reproducible import reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import JUDGEMENTS, ORACLE_PERFORMANCE, WINDOWS, read_parquet, write_parquet, write_tsv

FEWEST = 8  # windows of a label in an oracle's half; with fewer it is not one of its classes
_LOG = logging.getLogger(__name__)


def halves(train: pd.DataFrame, seed: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """The rows of the WINDOWS frame that each oracle learns from, and the chromosomes that are the judge's.

    Whole chromosomes where that can be done: the largest first, each to the side where it leaves the labels more
    evenly shared. Where there are no coordinates, where a side would have less than a third of the windows, or where a
    label would be too rare on one side though it has enough in all: drawn by the seed, label by label, and no
    chromosomes are named. No sequence, on either strand, is on both sides.
    """
    labels = train["label"].to_numpy()
    keys = np.array([min(one, reverse_complement(one)) for one in train["sequence"]], dtype=object)
    chroms = _judges_chromosomes(train)
    if chroms:
        judged = train["chrom"].isin(chroms).to_numpy()
        guided = ~judged & ~np.isin(keys, keys[judged])
    else:
        first = ~pd.Series(keys).duplicated().to_numpy()
        generator = np.random.default_rng(derive_seed(seed, "halves"))
        own = set()
        for label in sorted(set(labels)):
            distinct = keys[first & (labels == label)]
            own |= set(distinct[generator.permutation(len(distinct))[: (len(distinct) + 1) // 2]])
        judged = np.array([key in own for key in keys], dtype=bool)
        guided = ~judged
    return {GUIDE: np.flatnonzero(guided), JUDGE: np.flatnonzero(judged)}, chroms


def _judges_chromosomes(train: pd.DataFrame) -> list[str]:
    """The chromosomes that are the judge's; none where halves by chromosome will not do (see ``halves``)."""
    if train["chrom"].isna().any() or train["chrom"].nunique() < 2:
        return []
    counts = pd.crosstab(train["chrom"], train["label"])
    total = counts.sum().to_numpy()
    order = sorted(counts.index, key=lambda chrom: (-int(counts.loc[chrom].sum()), chrom))
    sides = {GUIDE: np.zeros(len(total)), JUDGE: np.zeros(len(total))}
    judges = []
    for chrom in order:
        own = counts.loc[chrom].to_numpy()
        difference = sides[JUDGE] - sides[GUIDE]
        to_judge = (np.abs(difference + own) / total).sum() <= (np.abs(difference - own) / total).sum()
        sides[JUDGE if to_judge else GUIDE] += own
        judges += [chrom] if to_judge else []
    least = np.minimum(sides[GUIDE], sides[JUDGE])
    too_rare = (least < FEWEST) & (total >= 2 * FEWEST)
    uneven = min(side.sum() for side in sides.values()) < total.sum() / 3
    return [] if too_rare.any() or uneven else sorted(judges)


def train_oracle(
    train_parquet: str | Path,
    validation_parquet: str | Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    seed: int,
    folder: str | Path,
) -> None:
    """Train one oracle on its half of the training windows and write its folder: model.safetensors, oracle.json.

    name: ``guide`` or ``judge``. settings: ``epochs`` (at most) and ``width``. seed: the config's, the same for both.
    The epoch and the temperature are chosen on the validation windows and their shuffles. A label with fewer than 8
    windows in the half, or none in validation, is not one of the classes; an oracle without a label is written all the
    same, and what it says of sequences is nothing.
    """
    train, validation = (read_parquet(path, WINDOWS) for path in (train_parquet, validation_parquet))
    rows, chroms = halves(train, seed)
    train = train.iloc[rows[name]]
    counts = train["label"].value_counts()
    validated = set(validation["label"])
    labels = sorted(label for label, n in counts.items() if n >= FEWEST and label in validated)
    for label in sorted({*train["label"], *validated} - set(labels)):
        _LOG.info(
            "label %s is not one of the oracle's: %d windows in its half (%d are needed), %s in validation",
            label,
            counts.get(label, 0),
            FEWEST,
            "some" if label in validated else "none",
        )
    description = {
        "oracle": name,
        "labels": labels,
        "settings": dict(settings),
        "windows": {label: int(counts[label]) for label in labels},
        "halves": "by chromosome" if chroms else "drawn",
        "judge_chromosomes": chroms,
    }
    if not labels:
        save_oracle(Oracle([], None, description=description), folder)
        return
    with reproducible(THREADS):
        oracle = _fitted({"train": train, "validation": validation}, labels, settings, _own(seed, name), description)
    save_oracle(oracle, folder)


def evaluate_oracle(
    folder: str | Path, test_parquet: str | Path, *, bootstrap: int, seed: int, destination: str | Path
) -> None:
    """Write ORACLE_PERFORMANCE: how well the oracle of a folder tells test windows and their shuffles.

    seed: the config's. Windows of labels that the oracle does not know are left out.
    """
    oracle = load_oracle(folder)
    test = read_parquet(test_parquet, WINDOWS)
    test = test[test["label"].isin(oracle.labels)]
    own = _own(seed, oracle.description["oracle"])
    log_p = shuffled = np.zeros((0, len(oracle.labels) + 1))
    if len(test):
        with reproducible(THREADS):
            log_p = oracle.read(test["sequence"].tolist())[0]
            shuffled = oracle.read(_shuffles(test, own, "test"))[0]
    scores = performance(log_p, shuffled, test["label"].tolist(), oracle.labels, bootstrap=bootstrap, seed=own)
    for row in scores.dropna(subset="value").itertuples(index=False):
        _LOG.info("%s of %s against %s: %.3f (%.3f to %.3f)", *row[:6])
    write_tsv(scores, destination, ORACLE_PERFORMANCE)


def _own(seed: int, name: str) -> int:
    """The seed of one oracle's weights, batches and shuffles."""
    return derive_seed(seed, "oracle", name)


def _fitted(
    frames: Mapping[str, pd.DataFrame], labels: list[str], settings: Mapping[str, Any], seed: int, description: dict
) -> Oracle:
    examples = {split: _examples(frames[split], labels, seed, split) for split in ("train", "validation")}
    _LOG.info(
        "%s windows and their shuffles; labels: %s",
        f"{len(examples['train'].classes) // 2:,}",
        ", ".join(labels),
    )
    fitted = fit(
        examples["train"],
        examples["validation"],
        len(labels) + 1,
        width=settings["width"],
        epochs=settings["epochs"],
        seed=seed,
    )
    held_out = examples["validation"]
    heat = temperature(fitted.network.read(held_out.strands)[0], held_out.classes.numpy())
    _LOG.info("epoch %d is kept; temperature %.3f", fitted.epoch, heat)
    description = {
        **description,
        "temperature": heat,
        "epoch": fitted.epoch,
        "validation_cross_entropy": fitted.validation,
    }
    return Oracle(labels, fitted.network, heat, description)


def _examples(windows: pd.DataFrame, labels: list[str], seed: int, split: str) -> Examples:
    """The windows of these labels, then the shuffle of each as the last class."""
    windows = windows[windows["label"].isin(labels)]
    classes = [labels.index(label) for label in windows["label"]] + [len(labels)] * len(windows)
    sequences = windows["sequence"].tolist() + _shuffles(windows, seed, split)
    return Examples(Strands.of(sequences), torch.tensor(classes))


def _shuffles(windows: pd.DataFrame, seed: int, split: str) -> list[str]:
    return dinucleotide_shuffle(windows["sequence"].tolist(), seed=derive_seed(seed, "background", split))


def judge_sets(
    folder: str | Path, sets_parquet: str | Path, train_parquet: str | Path, *, seed: int, destination: str | Path
) -> None:
    """Write JUDGEMENTS: what the judge says of each sequence of the table of sets.

    The reference is that of ``with_unseen_reference``. seed: the config's, as the oracle was trained with.
    """
    oracle = load_oracle(folder)
    sets = read_parquet(sets_parquet, SETS)
    sets = with_unseen_reference(sets, read_parquet(train_parquet, WINDOWS), seed)
    n = len(sets)
    if oracle.labels:
        with reproducible(THREADS):
            log_p, embeddings = oracle.read(sets["sequence"].tolist())
    else:
        log_p, embeddings = np.zeros((n, 1)), np.zeros((n, 0), dtype=np.float32)
    judged = sets[["set", "name", "label"]].assign(
        predicted=_predicted(log_p, oracle.labels),
        activity=activity(log_p, sets["label"].tolist(), oracle.labels),
        probabilities=list(np.exp(log_p)),
        embedding=list(embeddings),
    )
    write_parquet(judged, destination, JUDGEMENTS)


def _predicted(log_p: np.ndarray, labels: list[str]) -> pd.Series:
    """The most probable label, the background left out; null for an oracle without one."""
    if not labels:
        return pd.Series([None] * len(log_p), dtype="str")
    return pd.Series([labels[best] for best in log_p[:, :-1].argmax(axis=1)], dtype="str")


def with_unseen_reference(sets: pd.DataFrame, train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The SETS frame with another reference: training windows that the judge has not learned from.

    Those of the table it half knows, and so better than any new sequence. As many of each label, drawn from the guide's
    half; fewer where there are no more. seed: the config's. Their names are train_ and the row in the table, from 1.
    """
    unseen = halves(train, seed)[0][GUIDE]
    labels = train["label"].to_numpy()[unseen]
    generator = np.random.default_rng(derive_seed(seed, "reference"))
    of_set = sets["set"] == REFERENCE
    picked = []
    for label, number in sets.loc[of_set, "label"].value_counts().sort_index().items():
        candidates = unseen if label == ALL else unseen[labels == label]
        chosen = np.sort(generator.permutation(candidates)[:number])
        picked.append(
            pd.DataFrame(
                {
                    "set": REFERENCE,
                    "name": [f"train_{row + 1}" for row in chosen],
                    "label": label,
                    "sequence": train["sequence"].to_numpy()[chosen],
                }
            )
        )
    return pd.concat([sets[~of_set], *picked], ignore_index=True)
