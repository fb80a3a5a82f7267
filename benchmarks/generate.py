"""How fast generation is, in sequences a second of one model with one number of steps, in one run:

- ours: ``generate`` as the workflow calls it, for each order;
- the limit: nothing but the forward passes of that many steps on whole batches;
- the original's way: one sequence at a time, and in each step a Python loop over the positions that it reveals, each
  with its own softmax, sort, nucleus and multinomial draw.

Goals: at least 0.85 of the limit at batches of 64, and at least 20 times the original's way. The recurrent backbone
reads each base once from left to right, so that this limit is none for it:

    python benchmarks/generate.py [--number 128] [--steps 64] [--length 200] [--batch-size 64] [--threads 1]
    python benchmarks/generate.py --backbone recurrent --orders left_to_right --steps 200

On a CPU the seconds are those of the process (other work on the machine does not count; threads add up), on a GPU those
of the clock. The three are measured in turn, ``--rounds`` times, and the best round of each counts.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from defaults import model_settings

from diffusion_bert.backbones.load import build_model
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.order import ORDERS
from diffusion_bert.sampling.settings import DEFAULTS
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.checkpoints import Denoiser

TOP_P = 0.9
ORIGINAL = "original's way"


def sampler(order: str, steps: int) -> dict:
    refine = {"passes": 0, "threshold": None, "fraction": None, "steps": 1}
    draw = {"temperature": 1.0, "top_p": TOP_P, "top_k": None, "guidance": 0.0, "entropy_budget": 0.0}
    remask = {"strategy": None, "eta": 0.0}
    return {**DEFAULTS, "order": order, "steps": steps, **draw, "remask": remask, "refine": refine}


@torch.inference_mode()
def forward_passes(denoiser: Denoiser, number: int, length: int, steps: int, batch_size: int) -> None:
    """Only the model, as often and on as many sequences as a sampler that skips nothing calls it."""
    tokenizer = denoiser.tokenizer
    for start in range(0, number, batch_size):
        rows = min(batch_size, number - start)
        framed = tokenizer.frame(torch.full((rows, length), tokenizer.mask_id).numpy(), [None] * rows)
        input_ids, attention_mask = (torch.as_tensor(array, device=denoiser.device) for array in framed)
        for _ in range(steps):
            denoiser.model(input_ids=input_ids, attention_mask=attention_mask)


@torch.inference_mode()
def one_at_a_time(denoiser: Denoiser, number: int, length: int, steps: int) -> list[str]:
    """A sampler as the original script has it: batches of one, a loop over positions, a draw at a time."""
    tokenizer, sequences = denoiser.tokenizer, []
    for _ in range(number):
        framed = tokenizer.frame(torch.full((1, length), tokenizer.mask_id).numpy(), [None])
        input_ids, attention_mask = (torch.as_tensor(array, device=denoiser.device) for array in framed)
        for step in range(steps):
            logits = denoiser.model(input_ids=input_ids, attention_mask=attention_mask).logits
            probabilities = torch.softmax(logits.masked_fill(~denoiser.allowed, -torch.inf), dim=-1)
            masked = input_ids == tokenizer.mask_id
            count = int(masked.sum()) - round(length * (1 - (step + 1) / steps))
            if count == 0:
                continue
            certain = probabilities.max(-1).values.masked_fill(~masked, -torch.inf)
            for position in torch.topk(certain[0], count).indices:
                p = probabilities[0, position]
                ordered, index = p.sort(descending=True)
                remove = ordered.cumsum(0) - ordered >= TOP_P
                p[index[remove]] = 0
                input_ids[0, position] = torch.multinomial(p / p.sum(), 1)
        sequences += tokenizer.decode(input_ids.cpu().numpy())
    return sequences


def timed(work, device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=128, help="sequences of ours and of the limit")
    parser.add_argument("--original-number", type=int, default=8, help="sequences made the original's way")
    parser.add_argument("--length", type=int, default=200, help="bp")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="convnet", choices=("convnet", "recurrent", "bert"))
    parser.add_argument("--orders", nargs="+", default=["random", "ancestral", "confidence"], choices=list(ORDERS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    tokenizer = BaseTokenizer(["a", "b"])
    settings = model_settings({"backbone": options.backbone})
    denoiser = Denoiser(build_model(settings, tokenizer, options.length), tokenizer, device=options.device)
    number, length, steps, size = options.number, options.length, options.steps, options.batch_size

    def ours(order: str):
        return generate(
            denoiser,
            labels=[None] * number,
            lengths=[length] * number,
            sampler=sampler(order, steps),
            seed=1,
            batch_size=size,
        )

    works = {
        "limit": (number, lambda: forward_passes(denoiser, number, length, steps, size)),
        **{order: (number, lambda order=order: ours(order)) for order in options.orders},
        ORIGINAL: (options.original_number, lambda: one_at_a_time(denoiser, options.original_number, length, steps)),
    }
    forward_passes(denoiser, size, length, 1, size)  # what is paid once is paid here
    rates = dict.fromkeys(works, 0.0)
    for _ in range(options.rounds):
        for name, (made, work) in works.items():
            rates[name] = max(rates[name], made / timed(work, denoiser.device))
    parameters = sum(p.numel() for p in denoiser.model.parameters())
    print(
        f"{options.backbone}, {parameters:,} parameters, {length} bp, {steps} steps, batches of {size}, "
        f"{options.threads} thread(s), {options.device}"
    )
    print(f"{'':24}{'sequences/s':>12}{'of the limit':>14}{'x the original':>16}")
    for name, rate in rates.items():
        label = f"ours, {name}" if name in ORDERS else name
        print(f"{label:24}{rate:12.2f}{rate / rates['limit']:14.2f}{rate / rates[ORIGINAL]:16.1f}")


if __name__ == "__main__":
    main()
