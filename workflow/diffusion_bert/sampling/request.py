"""What is asked of a model: everything that decides which sequences are made, and nothing of where they go."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.draws import Draw
from diffusion_bert.sampling.run import Run
from diffusion_bert.tables import WINDOWS, read_parquet
from diffusion_bert.training.checkpoints import Denoiser

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """So many sequences of a model, drawn by a sampler.

    model: a model folder. train, test: WINDOWS files; the test windows' labels share out ``number``, the training
    windows' lengths are those drawn from, and they are what the collapse alarm compares with. Without test the labels
    of the model have equal shares; without train there must be a length or a template, and there is no alarm.
    sampler, number, labels, length, filters, likelihood_samples: as in the config. seed: of the run. guide: the folder
    of the oracle for a sampler with ``guide.scorer: oracle``.
    """

    model: str | Path
    sampler: Mapping[str, Any]
    number: int
    labels: Mapping[str | None, int] | None
    length: int | None
    filters: Mapping[str, Any]
    likelihood_samples: int
    seed: int
    train: str | Path | None
    test: str | Path | None
    guide: str | Path | None

    def begin(self, kept: Path | None, progress: Callable[[int, int], None] | None) -> tuple[Run, list[Draw]]:
        """The run, which keeps its draws in a file, and the first draw of each sequence.

        Raises UserError for what cannot be made.
        """
        windows = None if self.train is None else read_parquet(self.train, WINDOWS)[["label", "sequence"]]
        run = Run(
            self.model,
            sampler=self.sampler,
            filters=self.filters,
            seed=self.seed,
            likelihood_samples=self.likelihood_samples,
            kept=kept,
            training=windows,
            guide=self.guide,
            progress=progress,
        )
        held_out = None if self.test is None else read_parquet(self.test, WINDOWS)["label"]
        known = None if windows is None else windows["label"]
        counts = counts_of_labels(self.number, self.labels, run.denoiser, held_out, known)
        if windows is None and self.length is None and run.templates is None:
            raise UserError(
                "Nothing says how long the sequences are to be.", "Give a length in bp, or a FASTA file of templates."
            )
        first = run.asked(counts, self.length, windows)
        log.info("%d sequences on %s", len(first), run.denoiser.device)
        return run, first


def counts_of_labels(
    number: int,
    labels: Mapping[str | None, int] | None,
    denoiser: Denoiser,
    held_out: pd.Series | None,
    known: pd.Series | None,
) -> dict[str | None, int]:
    """How many sequences of each label: ``labels`` where given; else ``number`` in the proportions of the held-out
    windows' labels (largest remainder); else in equal shares of the model's labels, or without a label if it has none.

    known: the training windows' labels. Raises UserError for a label that is not among them.
    """
    if labels:
        counts = dict(labels)
    elif held_out is not None:
        counts = share_out(number, held_out.value_counts().sort_index().to_dict())
    else:
        counts = share_out(number, dict.fromkeys(denoiser.labels, 1)) if denoiser.labels else {None: number}
    for label in counts:
        if known is not None and label not in set(known):
            raise UserError(
                f"generate.labels.{label} is not a label of the training windows ({', '.join(sorted(set(known)))}).",
                "Ask for labels that the model was trained on.",
            )
    return counts


def share_out(number: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that sum to ``number`` (largest remainders get the rest)."""
    total = sum(weights.values())
    exact = {label: number * weight / total for label, weight in weights.items()}
    counts = {label: int(value) for label, value in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (counts[label] - exact[label], label))
    for label in by_remainder[: number - sum(counts.values())]:
        counts[label] += 1
    return {label: count for label, count in counts.items() if count}
