"""Another generator on the same windows and the same CPU time: d3-dna, to be judged beside ours as ``external``.

d3-dna (Sarkar et al. 2024; on PyPI) is a discrete diffusion of DNA by score entropy. Here: the uniform noise, a narrow
one of its convolutional networks (about a million parameters) and its own trainer, sampler and settings, where its
examples say nothing else; the label is its global condition. It is no dependency of the workflow: install it in an
environment of its own, with pandas and pyarrow, and run this there.

    python -m venv peers && peers/bin/pip install d3-dna==0.1.3 pandas pyarrow
    peers/bin/python benchmarks/peers.py results/splits d3_dna.fasta [--minutes 12] [--number 1000]

Reads the training windows of a finished run; trains on one thread for so many CPU minutes; draws sequences of the
labels, by their shares of the training windows, in 100 steps; writes a FASTA whose descriptions hold the label. That is
what the key ``external`` reads:

    external: {d3_dna: {source: d3_dna.fasta}}
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from d3_dna import D3Sampler, D3Trainer
from d3_dna.models import ConvolutionalModel
from omegaconf import OmegaConf
from torch.utils.data import TensorDataset

STEPS, BATCH = 100, 128
CODES = {"A": 0, "C": 1, "G": 2, "T": 3}


def configuration(length: int) -> OmegaConf:
    return OmegaConf.create(
        {
            "ngpus": 1,
            "tokens": 4,
            "dataset": {"num_classes": 4, "sequence_length": length, "signal_dim": 1},
            "graph": {"type": "uniform"},
            "noise": {"type": "geometric", "sigma_min": 1e-4, "sigma_max": 20},
            "model": {"architecture": "convolutional", "conv_channels": 64, "cond_dim": 128},
            "training": {
                "batch_size": BATCH,
                "accum": 1,
                "max_epochs": 1000,
                "val_every_n_epochs": 1000,
                "ema": 0.9999,
                "precision": "32-true",
                "num_workers": 0,
            },
            "eval": {"batch_size": BATCH},
            "optim": {
                "optimizer": "AdamW",
                "lr": 1e-3,
                "beta1": 0.9,
                "beta2": 0.999,
                "eps": 1e-8,
                "weight_decay": 0,
                "warmup": 100,
                "grad_clip": 1.0,
            },
            "sampling": {"predictor": "analytic", "steps": STEPS, "noise_removal": True, "batch_size": BATCH},
        }
    )


class Budget(lightning.Callback):
    """Ends the training when the process has used so many CPU seconds since it began."""

    def __init__(self, seconds: float):
        self._seconds, self._began = seconds, 0.0

    def on_train_start(self, trainer, module) -> None:
        self._began = time.process_time()

    def on_train_batch_end(self, trainer, module, outputs, batch, number) -> None:
        self.used = time.process_time() - self._began
        if self.used >= self._seconds:
            trainer.should_stop = True
            trainer.limit_val_batches = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--number", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lightning.seed_everything(1)
    train, validation = (pd.read_parquet(arguments.splits / f"{part}.parquet") for part in ("train", "validation"))
    labels = sorted(set(train["label"]))
    # A number each between 0 and 1: the network takes one, and has no table of labels.
    signal = dict(zip(labels, np.linspace(0, 1, len(labels)), strict=True))
    config = configuration(len(train["sequence"].iloc[0]))
    data = [
        TensorDataset(
            torch.tensor([[CODES[base] for base in sequence] for sequence in frame["sequence"]]),
            torch.tensor(frame["label"].map(signal).to_numpy(np.float32))[:, None],
        )
        for frame in (train, validation.head(BATCH))
    ]
    budget = Budget(60 * arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        trainer, module = D3Trainer(config, work_dir=folder, callbacks=[budget]).fit(*data)
        checkpoint = f"{folder}/last.ckpt"
        trainer.save_checkpoint(checkpoint)
        sampler = D3Sampler(config)
        sampler.load(checkpoint, ConvolutionalModel(config), device="cpu")
    parameters = sum(weights.numel() for weights in module.score_model.parameters() if weights.requires_grad)
    tokens = trainer.global_step * BATCH * config.dataset.sequence_length
    print(
        f"{parameters / 1e6:.2f}M parameters; {trainer.global_step} steps in {budget.used:.0f} CPU seconds, "
        f"{tokens / budget.used:,.0f} tokens a CPU second"
    )
    shares = train["label"].value_counts(normalize=True)
    wanted = [label for label in labels for _ in range(round(arguments.number * shares[label]))]
    began = time.process_time()
    drawn = sampler.generate_batched(
        len(wanted), torch.tensor([signal[label] for label in wanted])[:, None].float(), batch_size=BATCH
    )
    print(f"{len(wanted) / (time.process_time() - began):.1f} sequences a CPU second")
    with arguments.fasta.open("w") as file:
        for number, (label, row) in enumerate(zip(wanted, drawn.tolist(), strict=True), start=1):
            file.write(f">d3_dna_{number} label={label}\n{''.join('ACGT'[base] for base in row)}\n")


if __name__ == "__main__":
    main()
