"""Training the LSTM on the windows that the diffusion models learn from: the best epoch by validation is kept."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

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
from diffusion_bert.training.optimiser import learning_rate_at

log = logging.getLogger(__name__)

# Chosen on human TF windows of 100 bp, held for all data.
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS, WEIGHT_DECAY, CLIP = 32, 3e-3, 100, 0.01, 1.0
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
    device: str = "auto",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train on WINDOWS tables, write the folder (``save_lstm``) with the best weights, return the curve (TRAINING).

    parameters: the network is the widest with at most so many. Windows of strand ``.`` are read on a random strand each
    time, as the diffusion models read them. The learning rate rises over the first steps and falls as a cosine to 0 at
    the end. Validation, on all windows, after each epoch and at the end. threads: of the CPU; another number gives
    other last bits. progress: called after each step with (steps done, steps in all).

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
        network.to(best_device(device))
        curve, best = _run(network, train, validation, epochs, seed, progress)
        network.load_state_dict(best)
    frame = check(pd.DataFrame(curve), TRAINING, "the training curve")
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
    return frame


def _run(
    network: LabelledLSTM,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    epochs: float,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """All steps: the rows of the curve, and the weights of the best validation."""
    device = network.head.weight.device
    codes, labels = _encoded(train, network.labels, device)
    known = validation["sequence"].str.count("[ACGT]").sum()
    held_out = validation["sequence"].tolist(), validation["label"].tolist()
    an_epoch = max(1, round(len(train) / BATCH_SIZE))
    steps = max(1, math.ceil(epochs * len(train) / BATCH_SIZE))
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        fused=True,
    )
    log.info(
        "LSTM of width %d, %s parameters, on %s, %d threads",
        network.width,
        f"{sum(map(torch.numel, network.parameters())):,}",
        device,
        torch.get_num_threads(),
    )
    log.info("%s windows, labels: %s; %s steps of %d", f"{len(train):,}", ", ".join(network.labels), steps, BATCH_SIZE)
    curve, losses, best, lowest = [], [], {}, math.inf
    began = spoke = time.monotonic()
    for step, (rows, turned) in enumerate(_batches(len(train), steps, seed), start=1):
        rate = learning_rate_at(step - 1, steps, LEARNING_RATE, min(WARMUP_STEPS, steps // 10), "cosine")
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = codes[torch.from_numpy(turned).to(device), torch.from_numpy(rows).to(device)]
        nats = nats_of(network(batch, labels[torch.from_numpy(rows).to(device)]), batch)
        loss = nats.sum() / (batch != OTHER).sum().clamp(min=1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        losses.append(loss.detach())
        if progress is not None:
            progress(step, steps)
        said = ""
        if step % an_epoch == 0 or step == steps:
            bits = float(-network.log2_p(*held_out).sum() / known)
            train_bits = float(torch.stack(losses).mean()) * _BITS
            if not (math.isfinite(bits) and math.isfinite(train_bits)):
                raise UserError(
                    f"step {step}: the LSTM's bits a base are {train_bits} in training, {bits} in validation.",
                    "Set evaluation.lstm to null, which leaves it out.",
                )
            losses.clear()
            curve.append(
                {
                    "step": step,
                    "epoch": step * BATCH_SIZE / len(train),
                    "train_bits_per_base": train_bits,
                    "validation_bits_per_base": bits,
                    "learning_rate": rate,
                }
            )
            if bits < lowest:
                lowest, best = bits, {name: tensor.clone() for name, tensor in network.state_dict().items()}
            said = f"training {train_bits:.4f}, validation {bits:.4f} bits a base"
        elif time.monotonic() - spoke > SECONDS_BETWEEN_LINES:
            said = f"training {float(torch.stack(losses).mean()) * _BITS:.4f} bits a base"
        if said:
            spoke = time.monotonic()
            ends = datetime.now() + timedelta(seconds=(spoke - began) / step * (steps - step))
            log.info("step %s of %s; %s; ends about %s", f"{step:,}", f"{steps:,}", said, f"{ends:%H:%M:%S}")
    return curve, best


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
