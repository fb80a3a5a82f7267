"""One run: the sequences that one model makes with one sampler, scored and written."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling.generate import generate
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, WINDOWS, read_parquet, write_fasta, write_parquet
from diffusion_bert.training.checkpoints import load_model_folder

log = logging.getLogger(__name__)


def generate_run(
    model: str | Path,
    train: str | Path,
    test: str | Path,
    *,
    sampler: Mapping[str, Any],
    number: int,
    labels: Mapping[str, int] | None,
    length: int | None,
    likelihood_samples: int,
    seed: int,
    fasta: str | Path,
    table: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Generate, bound the likelihood of each sequence under the model, write FASTA and SEQUENCES table.

    model: a model folder. train, test: WINDOWS files; the test windows' labels share out ``number``, the training
    windows' lengths are those drawn from. sampler, number, labels, length: as in the config. progress: called with
    (sequences done, sequences in all); without it the log tells.
    Raises UserError for a label that the model does not know.
    """
    with reproducible():
        denoiser = load_model_folder(model)
        asked, lengths = plan(
            number,
            labels,
            length,
            train=read_parquet(train, WINDOWS),
            test=read_parquet(test, WINDOWS),
            seed=derive_seed(seed, "lengths"),
        )
        log.info("%d sequences on %s", len(asked), denoiser.device)
        made = generate(
            denoiser,
            labels=asked,
            lengths=lengths,
            sampler=sampler,
            seed=derive_seed(seed, "generate"),
            progress=progress or _Progress(),
        )
        log.info("bounding their likelihood, %d samples each", likelihood_samples)
        made["bits_per_base"], _ = bits_per_base(
            denoiser, list(made["sequence"]), asked, samples=likelihood_samples, seed=derive_seed(seed, "likelihood")
        )
        write_parquet(made, table, SEQUENCES)
        write_fasta(made, fasta)


def plan(
    number: int,
    labels: Mapping[str, int] | None,
    length: int | None,
    *,
    train: pd.DataFrame,
    test: pd.DataFrame,
    seed: int,
) -> tuple[list[str], list[int]]:
    """The label and the length (bp) of each sequence to generate, label by label.

    labels: how many of each; None shares ``number`` out in the proportions of the test windows (largest remainder).
    length: None draws, for each sequence, the length of a training window of its label.
    """
    counts = dict(labels) if labels else share_out(number, test["label"].value_counts().sort_index().to_dict())
    known = set(train["label"])
    for label in counts:
        if label not in known:
            raise UserError(
                f"generate.labels.{label} is not a label of the training windows ({', '.join(sorted(known))}).",
                "Ask for labels that the model was trained on.",
            )
    rng = np.random.default_rng(seed)
    asked, lengths = [], []
    for label, count in counts.items():
        asked += [label] * count
        if length is not None:
            lengths += [length] * count
        else:
            of_label = train.loc[train["label"] == label, "sequence"].str.len().to_numpy()
            lengths += rng.choice(of_label, size=count).tolist()
    return asked, lengths


def share_out(number: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that sum to ``number`` (largest remainders get the rest)."""
    total = sum(weights.values())
    exact = {label: number * weight / total for label, weight in weights.items()}
    counts = {label: int(value) for label, value in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (counts[label] - exact[label], label))
    for label in by_remainder[: number - sum(counts.values())]:
        counts[label] += 1
    return {label: count for label, count in counts.items() if count}


class _Progress:
    """A line in the log every so many seconds, with the expected end."""

    def __init__(self, every: float = 10.0):
        self.every, self.start = every, time.monotonic()
        self.last = self.start

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= self.every or done == total:
            self.last = now
            left = (now - self.start) / done * (total - done)
            log.info("%d of %d sequences, %.0f s to go", done, total, left)
