"""Can a network tell a set from training windows? Scores for the question of discriminability.

Some hundred sequences teach a network of random weights little: 300 against 300 simulated windows, it told a convnet's
sequences with an AUROC of 0.54 and 0.57 (two seeds), where gapped k-mers in a linear model had 0.89. So it starts from
the judge's, which has learned what real windows look like, and is trained on: 0.92 and 0.93, held-out windows 0.52.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from diffusion_bert.evaluation.folds import beside_copies, stratified_folds
from diffusion_bert.evaluation.letters import reverse_complement
from diffusion_bert.evaluation.rows import REFERENCE, compared
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.oracle.fit import Examples, fit
from diffusion_bert.oracle.folder import THREADS, Oracle, load_oracle
from diffusion_bert.oracle.network import Strands
from diffusion_bert.oracle.oracle import with_unseen_reference
from diffusion_bert.reproducible import reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import CNN_SCORES, WINDOWS, check, read_parquet, write_parquet

FOLDS = 3
VALIDATION = 6  # one in so many of the sequences learned from says which epoch is best
MOST = 2000  # sequences of each set: training costs, and more tell little more
FEWEST = 30  # sequences of each set
_LOG = logging.getLogger(__name__)


def discriminate_sets(
    folder: str | Path, sets_parquet: str | Path, train_parquet: str | Path, *, seed: int, destination: str | Path
) -> None:
    """Write CNN_SCORES of every set against training windows that the judge, an oracle's folder, has not learned from.

    seed: the config's, as the oracle was trained with.
    """
    sets = with_unseen_reference(read_parquet(sets_parquet, SETS), read_parquet(train_parquet, WINDOWS), seed)
    with reproducible(THREADS):
        scores = discriminate(sets, load_oracle(folder), seed=derive_seed(seed, "discriminate"))
    write_parquet(scores, destination, CNN_SCORES)


def discriminate(sets: pd.DataFrame, start: Oracle, *, seed: int) -> pd.DataFrame:
    """CNN_SCORES of a SETS frame: each sequence's score by a network that has not seen it, in 3 folds.

    start: the oracle whose network, width and epochs are started from; it must not have learned from the reference.
    At most 2,000 sequences of each set, label by label in proportion, are drawn; the others have no score. A set with
    fewer than 30 sequences, or with a reference of fewer, has none. A sequence of the set that equals one of the
    reference, on either strand, is in the same fold, or else what was learned of the one would be said of the other.
    Cost: 3 trainings a set. To be called inside ``reproducible``.
    """
    keys = np.array([min(one, reverse_complement(one)) for one in sets["sequence"]], dtype=object)
    drawn = {name: _drawn(sets, name, seed) for name in [*compared(sets), REFERENCE]}
    theirs = drawn[REFERENCE]
    dealt = stratified_folds(sets["label"].to_numpy()[theirs], FOLDS, seed=derive_seed(seed, "folds", REFERENCE))
    parts = []
    for name in compared(sets):
        own = drawn[name]
        if min(len(own), len(theirs)) < FEWEST:
            _LOG.info("%s is not tried: fewer than %d sequences in it or in the reference", name, FEWEST)
            continue
        folds = stratified_folds(sets["label"].to_numpy()[own], FOLDS, seed=derive_seed(seed, "folds", name))
        folds = beside_copies(folds, keys[own], dealt, keys[theirs])
        rows, folds = np.concatenate([own, theirs]), np.concatenate([folds, dealt])
        is_own = np.arange(len(rows)) < len(own)
        _LOG.info("%s: %d sequences against %d of the reference", name, len(own), len(theirs))
        strands = Strands.of(sets["sequence"].iloc[rows].tolist())
        scores = _out_of_fold(strands, is_own, folds, start, derive_seed(seed, "network", name))
        part = sets.iloc[rows][["set", "name", "label"]]
        parts.append(part.assign(opposing=name, fold=folds, score=scores))
    table = pd.concat(parts) if parts else pd.DataFrame(columns=list(CNN_SCORES))
    return check(table[list(CNN_SCORES)], CNN_SCORES, "the scores")


def _drawn(sets: pd.DataFrame, name: str, seed: int) -> np.ndarray:
    """The rows of a set, or the most that are used of it, the labels in proportion."""
    rows = np.flatnonzero((sets["set"] == name).to_numpy())
    if len(rows) <= MOST:
        return rows
    generator = np.random.default_rng(derive_seed(seed, "drawn", name))
    labels = sets["label"].to_numpy()[rows]
    picked = []
    for label in sorted(set(labels)):
        of_label = rows[labels == label]
        picked.append(generator.permutation(of_label)[: len(of_label) * MOST // len(rows)])
    return np.sort(np.concatenate(picked))


def _out_of_fold(strands: Strands, is_own: np.ndarray, folds: np.ndarray, start: Oracle, seed: int) -> np.ndarray:
    """The log-odds of the set for each sequence, (n,), by the network that has not seen it; equal odds before."""
    classes, settings = torch.from_numpy(is_own.astype(np.int64)), start.description["settings"]
    scores = np.zeros(len(folds))
    for fold in range(FOLDS):
        generator = np.random.default_rng(derive_seed(seed, "validation", fold))
        validates = np.zeros(len(folds), dtype=bool)
        for side in (is_own, ~is_own):
            learned = generator.permutation(np.flatnonzero(side & (folds != fold)))
            validates[learned[: max(1, len(learned) // VALIDATION)]] = True
        held, learned = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & ~validates)
        train, validation = (
            Examples(strands[torch.from_numpy(rows)], classes[torch.from_numpy(rows)])
            for rows in (learned, np.flatnonzero(validates))
        )
        fitted = fit(
            train,
            validation,
            2,
            width=settings["width"],
            epochs=settings["epochs"],
            seed=derive_seed(seed, "fit", fold),
            start=start.network,
        )
        logits = fitted.network.read(strands[torch.from_numpy(held)])[0].astype(np.float64)
        scores[held] = logits[:, 1] - logits[:, 0]
    return scores
