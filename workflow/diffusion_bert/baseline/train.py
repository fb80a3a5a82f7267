"""Training the LSTM on the windows that the diffusion models learn from: the best epoch by validation is kept."""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from diffusion_bert.baseline.folder import save_lstm
from diffusion_bert.baseline.lstm import LabelledLSTM, nats_of, width_for
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.letters import OTHER, encode
from diffusion_bert.genome.splits import reverse_complements
from diffusion_bert.reproducible import best_device, reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import TRAINING, WINDOWS, check, read_parquet
from diffusion_bert.training.device import Precision
from diffusion_bert.training.optimiser import learning_rate_at
from diffusion_bert.training.resume import (
    StoppedError,
    asked_to_stop,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)

log = logging.getLogger(__name__)

# Chosen on human TF windows of 100 bp, held for all data.
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS, WEIGHT_DECAY, CLIP = 32, 3e-3, 100, 0.1, 1.0
SECONDS_BETWEEN_LINES = 30.0
_BITS = 1 / math.log(2)


def train_lstm(
    train_parquet: str | Path,
    validation_parquet: str | Path,
    *,
    epochs: float,
    parameters: int,
    seed: int,
    folder: str | Path,
    checkpoint_folder: str | Path | None = None,
    device: str = "auto",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train on WINDOWS tables, write the folder (``save_lstm``) with the best weights, return the curve (TRAINING).

    parameters: the network is the widest with at most so many. Windows of strand ``.`` are read on a random strand each
    time, as the diffusion models read them. The learning rate rises over the first steps and falls as a cosine to 0 at
    the end. In bfloat16 where the device multiplies in it, as a model's ``precision: auto``; weights and validation are
    float32. Validation, on all windows, after each epoch and at the end. checkpoint_folder: where the state of the run
    is kept at each validation and found again after a kill, to the same bytes; with one, SIGTERM ends the run after its
    step, by StoppedError. threads: of the CPU; another number gives other last bits. progress: called after each step
    with (steps done, steps in all).

    Raises UserError where a table holds no window or no known base, or the parameters are too few for a network.
    """
    if not epochs > 0:
        raise ValueError(f"epochs must be above 0, got {epochs}")
    frames = [read_parquet(path, WINDOWS) for path in (train_parquet, validation_parquet)]
    for frame, path in zip(frames, (train_parquet, validation_parquet), strict=True):
        if not frame["sequence"].str.contains("[ACGT]").any():
            raise UserError(
                f"{path}: there is no window with a known base in it.",
                "Widen the split or relax the filters, so that windows remain.",
            )
    train, validation = frames
    shares = train["label"].value_counts(normalize=True).sort_index()
    with reproducible(threads), torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "weights"))
        network = LabelledLSTM(shares.index.tolist(), width_for(parameters, len(shares)), shares.tolist())
        run = _Run.set_up(network.to(best_device(device)), train, validation, epochs, seed)
        run.resume(checkpoint_folder)
        with asked_to_stop(checkpoint_folder) as asked:
            run.go(checkpoint_folder, progress, asked)
        network.load_state_dict(run.best)
    frame = check(pd.DataFrame(run.curve), TRAINING, "the training curve")
    kept = frame.loc[frame["validation_bits_per_base"].idxmin()]
    log.info("best validation: %.4f bits a base at step %d", kept["validation_bits_per_base"], kept["step"])
    settings = {
        "epochs": epochs,
        "seed": seed,
        "windows": len(train),
        "steps": int(frame["step"].iloc[-1]),
        "best_step": int(kept["step"]),
        "validation_bits_per_base": float(kept["validation_bits_per_base"]),
    }
    save_lstm(folder, network, settings, frame)
    if checkpoint_folder is not None:
        remove_checkpoint(checkpoint_folder)
    return frame


@dataclass
class _Run:
    network: LabelledLSTM
    codes: Tensor  # (2, n, longest), of both strands, and (n,): see _encoded
    labels: Tensor
    held_out: pd.DataFrame  # WINDOWS
    steps: int
    seed: int
    optimiser: torch.optim.Optimizer
    precision: Precision
    identity: dict[str, Any]
    step: int = 0
    # The mean nats a base of each step since the last validation, as tensors not waited for.
    losses: list[Tensor] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def set_up(
        cls, network: LabelledLSTM, train: pd.DataFrame, validation: pd.DataFrame, epochs: float, seed: int
    ) -> "_Run":
        device = network.head.weight.device
        codes, labels = _encoded(train, network.labels, device)
        matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in network.parameters() if parameter.ndim == 1]
        optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
            betas=(0.9, 0.99),
            fused=True,
        )
        precision = Precision("auto", device)
        log.info(
            "LSTM of width %d, %s parameters, on %s in %s, %d threads",
            network.width,
            f"{sum(map(torch.numel, network.parameters())):,}",
            device,
            precision.name,
            torch.get_num_threads(),
        )
        steps = max(1, math.ceil(epochs * len(train) / BATCH_SIZE))
        names = ", ".join(network.labels)
        log.info("%s windows, labels: %s; %s steps of %d", f"{len(train):,}", names, f"{steps:,}", BATCH_SIZE)
        data = hashlib.sha256(codes.cpu().numpy().tobytes())
        for text in (*train["label"], *validation["sequence"], *validation["label"]):
            data.update(text.encode())
        identity = {"seed": seed, "windows": data.hexdigest(), "steps": steps, "width": network.width}
        return cls(network, codes, labels, validation, steps, seed, optimiser, precision, identity)

    def go(
        self,
        checkpoint_folder: str | Path | None,
        progress: Callable[[int, int], None] | None,
        asked: threading.Event,
    ) -> None:
        """All steps that are left, with validation after each epoch and at the end."""
        windows = len(self.labels)
        an_epoch = max(1, round(windows / BATCH_SIZE))
        began = spoke = time.monotonic()
        first = self.step
        for rows, turned in islice(_batches(windows, self.steps, self.seed), first, None):
            self.one_step(rows, turned)
            if progress is not None:
                progress(self.step, self.steps)
            last, said = self.step == self.steps, ""
            if self.step % an_epoch == 0 or last:
                row = self.validate()
                said = f"training {row['train_bits_per_base']:.4f}, validation {row['validation_bits_per_base']:.4f}"
                said += " bits a base"
                if not last:
                    self.checkpoint(checkpoint_folder)
            elif time.monotonic() - spoke > SECONDS_BETWEEN_LINES:
                said = f"training {float(torch.stack(self.losses).mean()) * _BITS:.4f} bits a base"
            if said:
                spoke = time.monotonic()
                left = timedelta(seconds=(spoke - began) / (self.step - first) * (self.steps - self.step))
                ends = f"{datetime.now() + left:%H:%M:%S}"
                log.info("step %s of %s; %s; ends about %s", f"{self.step:,}", f"{self.steps:,}", said, ends)
            if asked.is_set() and not last:
                self.checkpoint(checkpoint_folder)
                raise StoppedError(
                    f"SIGTERM came: the LSTM's training stopped after step {self.step} of {self.steps}, which is kept "
                    f"in {checkpoint_folder}.",
                    "Run the same again: it goes on from there.",
                )

    def one_step(self, rows: np.ndarray, turned: np.ndarray) -> None:
        """One update of the weights by windows of these rows and strands, both (BATCH_SIZE,)."""
        device = self.codes.device
        warmup = min(WARMUP_STEPS, self.steps // 10)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.step, self.steps, LEARNING_RATE, warmup, "cosine")
        batch = self.codes[torch.from_numpy(turned).to(device), torch.from_numpy(rows).to(device)]
        with self.precision.autocast():
            logits = self.network(batch, self.labels[torch.from_numpy(rows).to(device)])
        nats = nats_of(logits.float(), batch)
        loss = nats.sum() / (batch != OTHER).sum().clamp(min=1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.step += 1

    def validate(self) -> dict[str, float]:
        """One row of the curve; the weights are kept where they are the best so far."""
        known = self.held_out["sequence"].str.count("[ACGT]").sum()
        log2_p = self.network.log2_p(self.held_out["sequence"].tolist(), self.held_out["label"].tolist())
        bits, train_bits = float(-log2_p.sum() / known), float(torch.stack(self.losses).mean()) * _BITS
        if not (math.isfinite(bits) and math.isfinite(train_bits)):
            raise UserError(
                f"step {self.step}: the LSTM's bits a base are {train_bits} in training, {bits} in validation.",
                "Set evaluation.lstm to null, which leaves it out.",
            )
        self.losses.clear()
        if all(bits < row["validation_bits_per_base"] for row in self.curve):
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.curve.append(
            {
                "step": self.step,
                "epoch": self.step * BATCH_SIZE / len(self.labels),
                "train_bits_per_base": train_bits,
                "validation_bits_per_base": bits,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
            }
        )
        return self.curve[-1]

    def checkpoint(self, folder: str | Path | None) -> None:
        if folder is not None:
            tensors = {"best": self.best}
            if self.losses:
                tensors["losses"] = {"losses": torch.stack(self.losses)}
            state = {"identity": self.identity, "step": self.step, "curve": self.curve}
            save_checkpoint(folder, self.network, [self.optimiser], tensors, state)

    def resume(self, folder: str | Path | None) -> None:
        found = None
        if folder is not None:
            found = load_checkpoint(folder, self.network, [self.optimiser], self.identity)
        if found is not None:
            state, weights = found
            self.step, self.curve = state["step"], state["curve"]
            self.best = weights.get("best", {})
            self.losses = list(weights["losses"]["losses"]) if "losses" in weights else []
            log.info("going on after step %d", self.step)


def _encoded(windows: pd.DataFrame, labels: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Letter codes (2, n, longest) uint8, as written and as read where the strand is unknown; label numbers (n,)."""
    sequences = windows["sequence"].to_numpy(dtype=object, copy=True)
    written = encode(sequences)
    turned = windows["strand"].eq(".").to_numpy()
    sequences[turned] = reverse_complements(sequences[turned])
    codes = torch.from_numpy(np.stack([written, encode(sequences)]))
    place = {label: number for number, label in enumerate(labels)}
    return codes.to(device), torch.tensor(windows["label"].map(place).tolist(), device=device)


def _batches(n: int, steps: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and strands (0 or 1) of each step, both (BATCH_SIZE,): the windows in random order, epoch after epoch."""
    generator = np.random.default_rng(derive_seed(seed, "rows"))
    left = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while len(left) < BATCH_SIZE:
            left = np.concatenate([left, generator.permutation(n)])
        rows, left = left[:BATCH_SIZE], left[BATCH_SIZE:]
        yield rows, generator.integers(0, 2, BATCH_SIZE)
