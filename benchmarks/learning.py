"""Who learns most from the same windows in the same CPU time: test bits a base, in one run of

- ours: a model with the default settings, trained as the workflow trains it, or with some of them changed (VARIANTS);
- ours, tiles first: half of its time on tiles of the training chromosomes (``--tiles``), then on the windows;
- a convnet, which learns from masked bases alone, and the original's objective on it: times from .15 to .9 only, no
  weights, AdamW at 1e-3, no strands turned;
- the LSTM of as many parameters, the learned baseline of the evaluation;
- the best Markov chain: order, prior and pooling chosen on validation, both strands counted.

    python benchmarks/learning.py results/splits [--minutes 12] [--seeds 1] [--learners ours lstm markov ...]
        [--windows 1000] [--passes 16] [--keep FOLDER] [--tiles results/tiles]

The splits are those of a finished run (``snakemake windows`` is enough), for example of config/human_tf or
config/yeast, whose tiles are made on the way. Seconds are of the process, one thread: other work on the machine does
not count, but that it slows caches and clocks does. Each learner first takes a few steps to see how many it may take,
so that its learning rate ends at 0 with its time; the seconds that it took in fact stand in the table. Bits are those
of test windows drawn at random, the same for all: exact for LSTM and chain and from left to right, an upper bound for
masks, estimated without bias from ``--passes`` masks a window. ``less`` is the mean difference from the chain of the
same windows, with the standard error of that mean; all of several seeds are in the table. ``apart`` is the same over
the test windows that share no 20 bases in a row with a training window, on either strand: repeats flatter whoever
remembers, a chain of high order first.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from defaults import model_settings

from diffusion_bert.baseline.folder import load_lstm
from diffusion_bert.baseline.train import train_lstm
from diffusion_bert.diffusion import stratified_times
from diffusion_bert.evaluation.markov import fit_best_markov
from diffusion_bert.evaluation.novelty import NEAR, Library, nearest
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import WINDOWS, read_parquet
from diffusion_bert.training.checkpoints import load_model_folder
from diffusion_bert.training.train import train

TRIED = 30  # steps that tell what one costs
REPEAT = 20  # bp in common with a training window
VALIDATION_WINDOWS = 500

ORIGINAL = "original objective"
TILES_FIRST = "ours, tiles first"
CONVNET = {"backbone": "convnet"}
# What differs from the defaults.
VARIANTS = {
    "ours": {},
    TILES_FIRST: {},
    "ours, masks alone": {"masking": {"left_to_right": 0.0}},
    "ours, left to right alone": {"masking": {"left_to_right": 1.0}},
    "ours, adamw": {"optimizer": "adamw"},
    "ours, 6-mers": {"architecture": {"kmer": 6}},
    "ours, 7-mers": {"architecture": {"kmer": 7}},
    "ours, 8-mers": {"architecture": {"kmer": 8}},
    "ours, two layers": {"architecture": {"width": 235, "layers": 2}},
    "ours, three quarters": {"masking": {"left_to_right": 0.75}},
    "ours, one strand": {"reverse_complement": False},
    "ours, batch 64": {"batch_size": 64},
    "ours, float32": {"precision": "float32"},
    "convnet": CONVNET,
    ORIGINAL: {
        **CONVNET,
        "weighting": {"kind": "unweighted"},
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "reverse_complement": False,
    },
    "convnet, adamw": {**CONVNET, "optimizer": "adamw"},
    "convnet, exact weights": {**CONVNET, "weighting": {"kind": "elbo"}},
    "convnet, unweighted": {**CONVNET, "weighting": {"kind": "unweighted"}},
    "convnet, one strand": {**CONVNET, "reverse_complement": False},
    "convnet, batch 64": {**CONVNET, "batch_size": 64},
    "convnet, spans": {**CONVNET, "masking": {"kind": "span"}},
    "convolutions only": {**CONVNET, "architecture": {"dilations": [1, 2, 4], "attention_layers": 0}},
    "bert": {"backbone": "bert"},
    "bert, 3-mers": {"backbone": "bert", "tokenizer": {"kind": "kmers", "k": 3}},
    "bert, bpe": {"backbone": "bert", "tokenizer": {"kind": "bpe"}},
}


def in_time(learn: Callable[[int], None], seconds: float) -> float:
    """Call ``learn`` with as many steps as fit into the seconds of the process; how many it took."""
    costs = []
    for steps in (TRIED, TRIED, 3 * TRIED):  # the first pays for imports and caches as well
        began = time.process_time()
        learn(steps)
        costs.append(time.process_time() - began)
    a_step = max(1e-6, (costs[2] - costs[1]) / (2 * TRIED))
    began = time.process_time()
    learn(max(TRIED, round((seconds - max(0.0, costs[1] - TRIED * a_step)) / a_step)))
    return time.process_time() - began


def published_times(n: int, floor: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """The original's times in place of ``stratified_times``: .15 to .9 only."""
    return 0.15 + 0.75 * stratified_times(n, 0.0, generator)


def learn_model(
    changes: dict,
    tables: Path,
    seed: int,
    seconds: float,
    folder: Path,
    data: str = "windows",
    start: Path | None = None,
) -> float:
    """Train a diffusion model with these changes of the defaults into the folder. tables: where those of training and
    validation are; data: what they hold; start: the folder of the model to begin with."""
    settings = {**model_settings({"steps": TRIED, **changes}), "validation_windows": VALIDATION_WINDOWS, "data": data}

    def learn(steps: int) -> None:
        # Validations, which cost as well, are twenty in all whatever the number of steps.
        of_now = {**settings, "steps": steps, "epochs": None, "minutes": None, "validate_every": None}
        if steps <= 3 * TRIED:
            of_now["validate_every"] = steps
        train(tables / "train.parquet", tables / "validation.parquet", of_now, seed, folder, backbone=start)

    return in_time(learn, seconds)


def learn_lstm(splits: Path, windows: int, parameters: int, seed: int, seconds: float, folder: Path) -> float:
    """Train the LSTM into the folder, the same way."""

    def learn(steps: int) -> None:
        epochs = steps * 32 / windows
        paths = splits / "train.parquet", splits / "validation.parquet"
        train_lstm(*paths, epochs=epochs, parameters=parameters, seed=seed, folder=folder, threads=1)

    return in_time(learn, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--learners", nargs="+", default=["markov", "lstm", "ours", "convnet", ORIGINAL])
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--passes", type=int, default=16)
    parser.add_argument("--parameters", type=int, default=700_000, help="of the LSTM, at most")
    parser.add_argument("--tiles", type=Path, help=f"folder of the tiles that {TILES_FIRST!r} begins with")
    parser.add_argument("--keep", type=Path, help="where the models stay")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.learners) - {"markov", "lstm", *VARIANTS})
    if unknown:
        parser.error(f"unknown learner {unknown[0]!r}; there are markov, lstm, {', '.join(VARIANTS)}")
    if TILES_FIRST in arguments.learners and arguments.tiles is None:
        parser.error(f"{TILES_FIRST!r} needs --tiles")

    split = {
        name: read_parquet(arguments.splits / f"{name}.parquet", WINDOWS) for name in ("train", "validation", "test")
    }
    test = split["test"].sample(min(arguments.windows, len(split["test"])), random_state=0)
    sequences, labels = test["sequence"].tolist(), test["label"].tolist()
    print(f"{len(split['train']):,} training windows, {len(test):,} of {len(split['test']):,} test windows", flush=True)
    known = nearest(sequences, Library(split["train"]["sequence"].tolist()))
    apart = (known["longest_shared"] < REPEAT).to_numpy()
    near = (known["identity"] >= NEAR).sum()
    print(f"of these {near:,} are near duplicates of training windows", flush=True)
    print(f"and {(~apart).sum():,} share {REPEAT} bases in a row with one", flush=True)
    began = time.process_time()
    chain, candidates = fit_best_markov(split["train"], split["validation"], list(range(9)))
    of_chain = chain.bits_per_base(sequences, labels)
    order = int(candidates.loc[candidates["chosen"] == "yes", "order"].iloc[0])
    print(
        f"{'learner':<32} {'seed':>4} {'CPU-s':>6} {'bits a base':>11} {'less than the chain':>24} {'apart':>24}",
        flush=True,
    )

    def line(name: str, seed: int | str, seconds: float, bits: np.ndarray) -> None:
        less = of_chain - bits
        means = [f"{x.mean():>14.4f} +- {x.std(ddof=1) / len(x) ** 0.5:.4f}" for x in (less, less[apart])]
        print(f"{name:<32} {seed:>4} {seconds:>6.0f} {bits.mean():>11.4f} {' '.join(means)}", flush=True)

    if "markov" in arguments.learners:
        line(f"markov, order {order}", "-", time.process_time() - began, of_chain)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in arguments.seeds:
            for name in arguments.learners:
                folder = (arguments.keep or Path(scratch)) / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}"
                seconds, own = 60 * arguments.minutes, derive_seed(seed, name)
                if name == "lstm":
                    took = learn_lstm(arguments.splits, len(split["train"]), arguments.parameters, own, seconds, folder)
                    line(name, seed, took, load_lstm(folder).bits_per_base(sequences, labels))
                elif name != "markov":
                    took, before = 0.0, None
                    if name == TILES_FIRST:
                        before = folder.with_name(f"{folder.name}_tiles")
                        took = learn_model({}, arguments.tiles, own, seconds / 2, before, "tiles")
                    times = published_times if name == ORIGINAL else stratified_times
                    with patch("diffusion_bert.training.objective.stratified_times", times):
                        took += learn_model(VARIANTS[name], arguments.splits, own, seconds - took, folder, start=before)
                    denoiser = load_model_folder(folder)
                    if denoiser.left_to_right:
                        line(name, seed, took, bits_per_base(denoiser, sequences, labels)[0])
                        denoiser.settings["left_to_right"] = False
                        name = f"{name}, bound"
                    line(name, seed, took, bits_per_base(denoiser, sequences, labels, samples=arguments.passes)[0])


if __name__ == "__main__":
    main()
