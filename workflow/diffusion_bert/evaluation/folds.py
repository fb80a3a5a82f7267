"""Folds of a cross-validation that tells two sets apart."""

from collections.abc import Sequence

import numpy as np


def stratified_folds(labels: Sequence[str], number: int, *, seed: int) -> np.ndarray:
    """The fold of each sequence, from 0: folds and labels within folds differ in number by one at most; (n,) int64."""
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    dealt = np.concatenate([generator.permutation(np.flatnonzero(labels == label)) for label in sorted(set(labels))])
    folds = np.empty(len(labels), dtype=np.int64)
    folds[dealt] = np.arange(len(labels)) % number
    return folds


def beside_copies(
    folds: np.ndarray, keys: Sequence[str], reference_folds: np.ndarray, theirs: Sequence[str]
) -> np.ndarray:
    """Folds in which a sequence of the set that equals one of the reference is in the fold of that one.

    Otherwise the classifier, having learned that the copy is of one set, takes its twin for one of that set too, and
    copies of the reference would have an area well below 0.5. Only the first of several copies moves, so that a set of
    one sequence over and over is still spread over all folds; nothing moves where a fold would be left empty.
    """
    fold_of = dict(zip(theirs, reference_folds.tolist(), strict=True))
    moved = np.array([fold_of.pop(key, fold) for key, fold in zip(keys, folds.tolist(), strict=True)], dtype=np.int64)
    return moved if len(np.unique(moved)) == len(np.unique(folds)) else folds
