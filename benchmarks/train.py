"""How fast training is, in tokens a second of one small model on the same data, in one run:

- ours: ``train`` as the workflow calls it, without its validations;
- the limit: nothing but forward pass, backward pass and optimiser, again and again on one batch that lies ready, hidden
  and computed as ours is;
- a plain loop, the original's way: it tokenises in its collate function, pads to the longest of the data set, masks at
  random, computes in float32, averages the loss over padding too and waits for the loss of each step.

Goals: at least 0.9 of the limit, and at least twice the plain loop.

Measured on one core with AVX-512 BF16, --steps 30 --rounds 2: 0.99 of the limit, 2.92 times the plain loop. bfloat16
and windows read from left to right, of which the right stream reads only what is in sight, make that; to tokenise 32
windows, to wait for a loss or to pad costs a CPU little. The convnet (--backbone convnet, --steps 12): 1.00 and 1.45. A
random step of 32 windows has a row about as long as the longest of all, so cutting it to its own longest saves next to
nothing; ``gradient_accumulation`` sorts the rows of a step by length and computes them in parts that are each cut to
their longest, which saves padding (0.93 of what is computed is DNA in 4 parts, 0.76 in one) and costs the recurrent
model more than that (0.88 of the speed).

    python benchmarks/train.py [--steps 60] [--batch-size 32] [--length 200] [--threads 1] [--rounds 3] [--parts 4]
        [--backbone recurrent]

Windows are random, between half of the length and all of it. On a CPU the seconds are those of the process (other work
on the machine does not count; threads add up), on a GPU those of the clock. All are measured in turn,
``--rounds`` times, and the best round of each counts. Only tokens of DNA count.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from defaults import model_settings

from diffusion_bert.backbones.load import build_model
from diffusion_bert.diffusion import cross_entropy
from diffusion_bert.reproducible import best_device, reproducible
from diffusion_bert.tables import WINDOWS, write_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.device import Precision
from diffusion_bert.training.objective import objective_of
from diffusion_bert.training.optimiser import optimisers
from diffusion_bert.training.train import train

SKIPPED = 5  # steps before the clock runs


class Data:
    """Random windows, the settings of a model by default, and the clock."""

    def __init__(self, arguments: argparse.Namespace, folder: Path):
        rng = np.random.default_rng(0)
        lengths = rng.integers(arguments.length // 2, arguments.length + 1, 4 * arguments.batch_size)
        self.sequences = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
        self.folder, self.steps, self.batch_size = folder, arguments.steps, arguments.batch_size
        self.threads, self.device = arguments.threads, best_device()
        frame = pd.DataFrame({name: pd.array([None] * len(lengths), dtype="str") for name in WINDOWS})
        for name in ("start", "end", "summit"):
            frame[name] = pd.array([pd.NA] * len(lengths), dtype="Int64")
        frame = frame.assign(strand=".", track="a", label="a", score=1.0, sequence=self.sequences)
        write_parquet(frame, folder / "windows.parquet", WINDOWS)
        steps = SKIPPED + self.steps
        filled = model_settings({"backbone": arguments.backbone, "steps": steps, "batch_size": self.batch_size})
        self.settings = {**filled, "validate_every": steps, "validation_windows": 1}
        self.tokenizer = BaseTokenizer(["a"])

    def clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def model(self):
        model = build_model(self.settings, self.tokenizer, max(map(len, self.sequences))).to(self.device).train()
        return model, optimisers(model, self.settings["optimizer"], 1e-3, 0.01)


def ours(data: Data, parts: int = 1) -> float:
    ticks = {}
    settings = {**data.settings, "gradient_accumulation": parts}

    def progress(step: int, _: int) -> None:
        if step in (SKIPPED, SKIPPED + data.steps):
            ticks[step] = data.clock()

    paths = (data.folder / "windows.parquet",) * 2
    train(*paths, {**settings, "threads": data.threads}, 1, data.folder / "model", progress=progress)
    tokens = np.mean([len(s) for s in data.sequences]) * data.batch_size * data.steps
    return tokens / (ticks[SKIPPED + data.steps] - ticks[SKIPPED])


def loop(data: Data, step_of: Callable[[nn.Module], Callable[[], tuple[Tensor, int]]]) -> float:
    """Tokens a second. step_of: the model -> what computes a step's loss, and says how many tokens of DNA it had."""
    model, moved_by = data.model()
    step, began, tokens = step_of(model), 0.0, 0
    for number in range(SKIPPED + data.steps):
        if number == SKIPPED:
            began, tokens = data.clock(), 0
        model.zero_grad(set_to_none=True)
        loss, count = step()
        loss.backward()
        for optimiser in moved_by:
            optimiser.step()
        tokens += count
    return tokens / (data.clock() - began)


def limit(data: Data) -> float:
    chosen = data.sequences[: data.batch_size]
    framed = data.tokenizer.frame(data.tokenizer.encode(chosen), ["a"] * len(chosen))
    ids, attention = (torch.from_numpy(x).long().to(data.device) for x in framed)
    allowed = torch.from_numpy(data.tokenizer.is_base).to(data.device)
    count = sum(map(len, chosen))
    precision = Precision(data.settings["precision"], data.device)

    def step_of(model):
        objective, generator = objective_of(data.settings, model, 1.0), torch.Generator(data.device).manual_seed(1)
        hidden = objective.hide(ids, allowed[ids], data.tokenizer.mask_id, generator)
        right = {} if hidden.right is None else {"right_ids": hidden.right}

        def step():
            with precision.autocast():
                logits = model(input_ids=hidden.inputs, attention_mask=attention, **right).logits
            return cross_entropy(logits, ids, hidden.counted, allowed).sum() / count, count

        return step

    return loop(data, step_of)


def plain(data: Data) -> float:
    longest, tokenizer = max(map(len, data.sequences)), data.tokenizer
    ids_of = {base: int(tokenizer.encode([base])[0, 0]) for base in "ACGT"}
    rng = np.random.default_rng(1)

    def batch():
        chosen = [data.sequences[i] for i in rng.integers(0, len(data.sequences), data.batch_size)]
        framed = tokenizer.frame(tokenizer.encode(["A"]), ["a"])[0][0].tolist()
        rows = []
        for sequence in chosen:
            row = [*framed[:2], *(ids_of[base] for base in sequence), framed[-1]]
            rows.append(row + [tokenizer.pad_id] * (longest - len(sequence)))
        ids = torch.tensor(rows, device=data.device)
        masked = (torch.rand(ids.shape, device=data.device) < 0.5) & (ids != tokenizer.pad_id)
        attention = (ids != tokenizer.pad_id).long()
        return ids, ids.masked_fill(masked, tokenizer.mask_id), attention, sum(map(len, chosen))

    def step_of(model):
        def step():
            ids, inputs, attention, count = batch()
            logits = model(input_ids=inputs, attention_mask=attention).logits
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
            loss.item()
            return loss, count

        return step

    return loop(data, step_of)


def padding(data: Data, parts: int) -> dict[str, float]:
    """What share of the positions computed holds DNA: padded to the longest of all, of a step, of a part of it."""
    lengths = np.array([len(sequence) for sequence in data.sequences])
    steps = np.random.default_rng(2).permuted(np.tile(lengths, (200, 1)), axis=1)[:, : data.batch_size]
    cut = [part for step in steps for part in np.array_split(np.sort(step), parts)]
    return {
        "the longest of all": steps.mean() / lengths.max(),
        "the longest of a step": steps.sum() / (steps.max(axis=1) * data.batch_size).sum(),
        f"in {parts} parts": steps.sum() / sum(part.max() * len(part) for part in cut),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("steps", 60),
        ("batch-size", 32),
        ("length", 200),
        ("threads", 1),
        ("rounds", 3),
        ("parts", 4),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--backbone", choices=["recurrent", "convnet", "bert"], default="recurrent")
    arguments = parser.parse_args()
    in_parts = f"in {arguments.parts} parts"
    ways = {"ours": ours, in_parts: partial(ours, parts=arguments.parts), "limit": limit, "plain loop": plain}
    best = dict.fromkeys(ways, 0.0)
    with tempfile.TemporaryDirectory() as folder, reproducible(arguments.threads):
        data = Data(arguments, Path(folder))
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                best[name] = max(best[name], way(data))
    for name, speed in best.items():
        print(f"{name:12s}{speed:12,.0f} tokens a second")
    print(f"ours / limit       {best['ours'] / best['limit']:.2f} (goal 0.90)")
    print(f"ours / plain loop  {best['ours'] / best['plain loop']:.2f} (goal 2.00)")
    print(f"{in_parts} / ours    {best[in_parts] / best['ours']:.2f}")
    for name, shares in padding(data, arguments.parts).items():
        print(f"{name:22s}{shares:.2f} of what is computed is DNA")


if __name__ == "__main__":
    main()
