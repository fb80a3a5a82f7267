"""Training a denoiser: windows and settings in, a model folder out.

The step is free of Python per sequence and never waits for the device. Everything random in a step (rows, strands,
dropped labels, times, masks, dropout) is drawn from a generator seeded by the step's number, so the run that goes on
from a checkpoint is the run that was never cut.
"""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from diffusion_bert.backbones.classifier import add_classifier, class_logits
from diffusion_bert.diffusion import BITS, Schedule, cross_entropy
from diffusion_bert.errors import UserError
from diffusion_bert.reproducible import best_device, reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import TRAINING, empty
from diffusion_bert.tokens import Tokenizer
from diffusion_bert.training.adapt import adapt, cost, without_adapters
from diffusion_bert.training.budget import Budget
from diffusion_bert.training.checkpoints import save_model_folder
from diffusion_bert.training.data import RowStream, TokenisedWindows, labels_in, read_data
from diffusion_bert.training.device import Precision, forward_of
from diffusion_bert.training.distributed import Team
from diffusion_bert.training.objective import EveryToken, Masked, objective_of
from diffusion_bert.training.optimiser import AveragedWeights, learning_rate_at, optimisers, trainable
from diffusion_bert.training.resume import (
    StoppedError,
    asked_to_stop,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from diffusion_bert.training.start import refuse_worse_than_guess, starting_model, starting_tokenizer
from diffusion_bert.training.tracking import Point, package_of, tracked
from diffusion_bert.training.validation import Validation

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


def train(
    train_parquet: str | Path,
    validation_parquet: str | Path,
    settings: Mapping[str, Any],
    seed: int,
    folder: str | Path,
    *,
    backbone: str | Path | None = None,
    checkpoint_folder: str | Path | None = None,
    tracking_folder: str | Path | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    team: Team | None = None,
) -> pd.DataFrame:
    """Train a model on WINDOWS (or TILES) tables, write its folder, return its curve (TRAINING rows).

    settings: a model's config entry with all defaults filled in. seed: already derived for this model.
    backbone: the folder of the masked language model to start from; None starts from scratch.
    checkpoint_folder: where the state of the run is kept at each validation and found again after a kill; removed from
    there once the model folder is complete. With one, SIGTERM ends the run after its step, by StoppedError, and the
    next run goes on from that step. tracking_folder: where TensorBoard or W&B keep the curve, by ``track``.
    progress: called after each step with (steps done, steps in all). team: the processes that train one model together
    (``distributed``), the first of which writes.

    The model kept is the best of the validations by bits a base. Raises UserError where the windows are of no use, the
    settings contradict each other, or the loss is no longer a number.
    """
    team = team or Team()
    package_of(settings["track"])
    if settings["batch_size"] < team.size * settings["gradient_accumulation"]:
        raise UserError(
            f"a step has {settings['batch_size']} windows (batch_size), which {team.size} processes cannot share out "
            f"in {settings['gradient_accumulation']} parts each (gradient_accumulation).",
            "Raise batch_size, lower gradient_accumulation, or train on fewer GPUs.",
        )
    on = best_device(device)
    forked = torch.random.fork_rng([on] if on.type == "cuda" else [])
    with reproducible(settings["threads"]), forked:
        run = _Run.set_up(train_parquet, validation_parquet, settings, seed, backbone, on, team)
        run.resume(checkpoint_folder)
        with (
            asked_to_stop(checkpoint_folder) as asked,
            run.precision.allowed(),
            tracked(
                settings["track"] if team.leads else "none",
                tracking_folder,
                Path(folder).name,
                settings,
                run.curve,
                fresh=run.step == 0,
            ) as point,
        ):
            run.go(checkpoint_folder, progress, point, asked)
        curve = run.finish(folder)
    if checkpoint_folder is not None and team.leads:
        remove_checkpoint(checkpoint_folder)
    return curve


@dataclass
class _Run:
    settings: Mapping[str, Any]
    seed: int
    tokenizer: Tokenizer
    windows: TokenisedWindows
    validation: Validation
    objective: Masked | EveryToken  # of training; validation has its own masks
    model: nn.Module
    forward: nn.Module  # the model as a training step calls it
    precision: Precision
    average: AveragedWeights
    optimisers: list[torch.optim.Optimizer]
    budget: Budget
    team: Team
    identity: dict[str, Any]
    # The bound of each step since the last validation, nats a base, as tensors not waited for.
    bounds: list[Tensor] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_bits: float = math.inf
    best_step: int = 0

    @classmethod
    def set_up(
        cls,
        train_parquet: str | Path,
        validation_parquet: str | Path,
        settings: Mapping[str, Any],
        seed: int,
        backbone: str | Path | None,
        device: torch.device,
        team: Team,
    ) -> "_Run":
        precision = Precision(settings["precision"], device)
        frames = [read_data(path, settings["data"]) for path in (train_parquet, validation_parquet)]
        backbone = None if backbone is None else Path(backbone)
        tokenizer = starting_tokenizer(settings, backbone, frames[0]["sequence"].tolist(), labels_in(frames[0]))
        windows = TokenisedWindows.of(
            frames[0], tokenizer, str(train_parquet), device, reverse_complement=settings["reverse_complement"]
        )
        held_out = TokenisedWindows.of(frames[1], tokenizer, str(validation_parquet), device)
        budget = Budget.of(settings, len(windows))
        model = starting_model(settings, backbone, tokenizer, int(windows.lengths.max()), seed).to(device)
        if backbone is not None and not settings["reinit"]:
            refuse_worse_than_guess(model, held_out, backbone, seed)
        if settings["comb_factor"] is not None:
            add_classifier(model, len(tokenizer.labels))
        objective = objective_of(settings, model, windows.bases_per_token())
        adapt(model, settings["finetune"], tokenizer.no_label_id)
        forward = forward_of(model, settings)
        fixed = (settings["validation_windows"], seed, 4 * settings["batch_size"])
        validation = Validation.of(held_out, *fixed, from_left=objective.left_to_right > 0)
        data = hashlib.sha256(windows.strands.cpu().contiguous().numpy().tobytes())
        data.update(held_out.ids.cpu().numpy().tobytes())
        run = cls(
            settings=settings,
            seed=seed,
            tokenizer=tokenizer,
            windows=windows,
            validation=validation,
            objective=objective,
            model=model,
            forward=forward,
            precision=precision,
            average=AveragedWeights(model, settings["ema"]),
            optimisers=optimisers(model, settings["optimizer"], settings["learning_rate"], settings["weight_decay"]),
            budget=budget,
            team=team,
            identity={"seed": seed, "windows": data.hexdigest(), **settings, "track": None},
        )
        run.say_what_is_trained(device)
        return run

    def say_what_is_trained(self, device: torch.device) -> None:
        n, tokens = len(self.windows), int(self.windows.lengths.sum())
        on = device, self.precision.name, torch.get_num_threads()
        log.info("%s on %s in %s, %d threads", self.settings["backbone"], *on)
        log.info(
            "%s %s (%s tokens an epoch), labels: %s",
            f"{n:,}",
            self.settings["data"],
            f"{tokens:,}",
            ", ".join(self.tokenizer.labels) or "none",
        )
        rows, generator = self.stream().rows(0), torch.Generator(device=device)
        passes = self.settings["gradient_accumulation"]
        price, seconds = cost(self.model, lambda: next(self.losses(rows, generator))[0], passes)
        steps = self.budget.steps or max(1, round(self.budget.seconds / seconds))
        batches = steps * self.settings["batch_size"] / n
        about = "" if self.budget.steps else "about "
        log.info("%s%s steps of %d windows = %.2f epochs", about, f"{steps:,}", self.settings["batch_size"], batches)
        log.info("%s, about %s in all", price, timedelta(seconds=round(seconds * steps)))
        if device.type == "cpu":
            log.warning(
                "no accelerator answers: training runs on the CPU and takes about %s",
                timedelta(seconds=round(seconds * steps)),
            )

    @property
    def step(self) -> int:
        """Steps done."""
        return self.budget.step

    def stream(self) -> RowStream:
        """Which rows each step takes."""
        return RowStream(len(self.windows), self.settings["batch_size"], derive_seed(self.seed, "rows"))

    def go(
        self,
        checkpoint_folder: str | Path | None,
        progress: Callable[[int, int], None] | None,
        point: Point,
        asked: threading.Event,
    ) -> None:
        """All steps that are left, with validation every so often and at the end; fewer where it is asked to stop."""
        stream = self.stream()
        device = self.windows.ids.device
        generator = torch.Generator(device=device)
        began = spoke = since = time.monotonic()
        budget = self.budget
        first, tokens, earlier = budget.step, 0, budget.used
        while budget.done < 1 and not self.stopped_early():
            rows = stream.rows(budget.step)
            self.bounds.append(self.one_step(rows, generator))
            tokens += int(self.windows.lengths[rows].sum())
            budget.step += 1
            now = time.monotonic()
            budget.used, to_stop = self.team.agree(earlier + now - began, asked.is_set())
            if progress is not None:
                progress(budget.step, budget.steps_in_all())
            last = budget.done >= 1
            if budget.validation_due(len(self.curve)) or last:
                mean = self.mean_bound(stream)
                self.bounds.clear()
                speed = tokens / max(now - since, 1e-9)
                self.validate(mean * BITS)
                self.checkpoint(checkpoint_folder if not last else None)
                point(self.curve[-1])
                since, tokens = time.monotonic(), 0
                self.say(began, first, {**self.curve[-1], "tokens_per_second": speed})
                spoke = since
            elif now - spoke > SECONDS_BETWEEN_LINES:
                self.say(began, first, {"train_bits_per_base": self.mean_bound(stream) * BITS})
                spoke = now
            if to_stop and not last:
                if self.bounds:
                    self.mean_bound(stream)  # weights that are no numbers are nothing to go on from
                self.checkpoint(checkpoint_folder)
                raise StoppedError(
                    f"SIGTERM came: training stopped after step {self.step} of {budget.steps_in_all()}, which is kept "
                    f"in {checkpoint_folder}.",
                    "Run the same again: it goes on from there.",
                )

    def one_step(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One update of the weights; the bound that the batch estimates, nats a base, as a tensor not waited for."""
        settings = self.settings
        steps = self.budget.steps_in_all()
        rate = learning_rate_at(
            self.step, steps, settings["learning_rate"], settings["warmup_steps"], settings["decay"]
        )
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        self.model.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.windows.ids.device)
        scaler = self.precision.scaler
        for loss, bound in self.losses(rows, generator):
            scaler.scale(loss).backward()
            total += bound
        self.team.add_up([p.grad for p in self.average.sources() if p.grad is not None] + [total])
        for optimiser in self.optimisers:
            scaler.unscale_(optimiser)
        if settings["clip"] is not None:
            nn.utils.clip_grad_norm_(self.average.sources(), settings["clip"])
        for optimiser in self.optimisers:
            with self.precision.autocast():  # Muon's products may be as coarse as those of the pass
                scaler.step(optimiser)
        scaler.update()
        self.average.update(self.step)
        return total

    def losses(self, rows: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """(what the step makes smaller, the bound in nats a base without a gradient), on the device, of this process's
        share of rows (B,), in ``gradient_accumulation`` parts; their sums over all processes are those of the whole."""
        settings, tokenizer, windows = self.settings, self.tokenizer, self.windows
        draw = derive_seed(self.seed, "step", self.step)
        generator.manual_seed(draw)
        torch.manual_seed(draw if self.team.leads else derive_seed(draw, self.team.rank))  # dropout
        ids, attention, maskable = windows.training_batch(rows, generator, settings["label_dropout"])
        hidden = self.objective.hide(ids, maskable, tokenizer.mask_id, generator)
        joint = settings["comb_factor"] is not None
        tokens, bases = maskable.sum(), windows.known_bases[ids].sum()
        withheld = ids[:, 1] == tokenizer.no_label_id
        own, lengths = self.team.share(torch.arange(len(rows))), windows.lengths[rows]
        if settings["gradient_accumulation"] > 1:  # parts of rows of like length need less padding
            own = own[lengths[own].argsort(stable=True)]
        for on_cpu in own.chunk(settings["gradient_accumulation"]):
            longest, right = int(lengths[on_cpu].max()) + tokenizer.extra_tokens, {}
            if hidden.right is not None:
                seen = on_cpu < len(hidden.right)
                on_cpu = torch.cat([on_cpu[seen], on_cpu[~seen]])
                right["right_ids"] = hidden.right[on_cpu[: int(seen.sum())].to(ids.device), :longest]
            part = on_cpu.to(ids.device)
            with self.precision.autocast():
                out = self.forward(
                    input_ids=hidden.inputs[part, :longest],
                    attention_mask=attention[part, :longest],
                    output_hidden_states=joint,
                    **right,
                )
                guesses = class_logits(self.model, out.hidden_states) if joint else None
            nats = cross_entropy(out.logits, ids[part, :longest], hidden.counted[part, :longest], windows.is_base)
            loss = (hidden.weight[part] * nats).sum() / tokens
            if joint:
                loss = settings["comb_factor"] * loss + self.classification_loss(guesses, withheld, rows, part)
            yield loss, (hidden.exact[part] * nats.detach()).sum() / bases

    def classification_loss(self, guesses: Tensor, withheld: Tensor, rows: Tensor, part: Tensor) -> Tensor:
        """What a part of the rows adds to the mean cross entropy of the labels (nats) over the rows (B,) whose label is
        withheld (B,), as the others show it. guesses: logits (P, labels) of the part (P,)."""
        label = self.windows.ids[rows.to(part.device)[part], 1].long() - (self.tokenizer.no_label_id + 1)
        nats = nn.functional.cross_entropy(guesses.float(), label, reduction="none")
        return (nats * withheld[part]).sum() / withheld.sum().clamp(min=1)

    def validate(self, train_bits: float) -> None:
        """One row of the curve from the averaged weights, which are kept where they are the best so far."""
        settings = self.settings
        self.model.eval()
        with self.average.in_use():
            bits, named = self.validation.judge(self.model, self.team, settings["comb_factor"] is not None)
        self.model.train()
        if not math.isfinite(bits):
            raise UserError(
                f"step {self.step}: the validation bits a base are {bits}.",
                "Lower learning_rate, or lengthen warmup_steps.",
            )
        self.curve.append(
            {
                "step": self.step,
                "epoch": self.step * settings["batch_size"] / len(self.windows),
                "train_bits_per_base": train_bits,
                "validation_bits_per_base": bits,
                "learning_rate": self.optimisers[0].param_groups[0]["lr"],
            }
        )
        if named is not None:
            log.info("the classifier names the label of %.1f %% of the validation windows", 100 * named)
        if bits < self.best_bits:
            self.best_bits, self.best_step = bits, self.step
            self.best = {name: x.clone() for name, x in self.average.weights.items()}

    def stopped_early(self) -> bool:
        """Whether so many validations in a row were no better than the best."""
        patience = self.settings["patience"]
        worse = sum(row["step"] > self.best_step for row in self.curve)
        if patience is None or worse < patience:
            return False
        log.info("no better for %d validations: training stops at step %d", worse, self.step)
        return True

    def mean_bound(self, stream: RowStream) -> float:
        """The mean of ``bounds``; UserError, with the step and its windows, where one of them is NaN or infinite."""
        losses = torch.stack(self.bounds).cpu()
        bad = torch.nonzero(~torch.isfinite(losses)).flatten()
        if len(bad):
            step = self.step - len(losses) + int(bad[0])
            rows = ", ".join(str(int(row) + 1) for row in stream.rows(step)[:8])
            raise UserError(
                f"step {step + 1}: the loss is {float(losses[bad[0]])}; rows of the training table in that step, "
                f"counted from 1): {rows}, ...",
                "Lower learning_rate, lengthen warmup_steps, or set clip to 1.",
            )
        return float(losses.mean())

    def say(self, began: float, first: int, numbers: Mapping[str, float]) -> None:
        """A line of the log: how far, how good, when it ends."""
        steps = self.budget.steps_in_all()
        left = (time.monotonic() - began) / (self.step - first) * (steps - self.step)
        parts = [f"step {self.step:,} of {steps:,}", f"training {numbers['train_bits_per_base']:.4f}"]
        if "validation_bits_per_base" in numbers:
            parts[-1] += f", validation {numbers['validation_bits_per_base']:.4f}"
        parts[-1] += " bits a base"
        if "tokens_per_second" in numbers:
            parts.append(f"{numbers['tokens_per_second']:,.0f} tokens a second")
        end = datetime.now() + timedelta(seconds=left)
        day = "" if end.date() == datetime.now().date() else f"{end:%Y-%m-%d }"
        parts.append(f"ends about {day}{end:%H:%M:%S}")
        log.info("; ".join(parts))

    def checkpoint(self, folder: str | Path | None) -> None:
        if folder is not None and self.team.leads:
            state = {
                "identity": self.identity,
                "step": self.step,
                "used": self.budget.used,
                "curve": self.curve,
                "scaler": self.precision.scaler.state_dict(),
                "best_bits": self.best_bits,
                "best_step": self.best_step,
            }
            tensors = {"average": self.average.weights, "best": self.best}
            if self.bounds:
                tensors["bounds"] = {"bounds": torch.stack(self.bounds)}
            save_checkpoint(folder, self.model, self.optimisers, tensors, state)

    def resume(self, folder: str | Path | None) -> None:
        found = load_checkpoint(folder, self.model, self.optimisers, self.identity) if folder is not None else None
        if found is not None:
            state, weights = found
            self.budget.step, self.budget.used, self.curve = state["step"], state["used"], state["curve"]
            self.precision.scaler.load_state_dict(state["scaler"])
            self.best_bits, self.best_step = state["best_bits"], state["best_step"]
            self.best = weights.get("best", {})
            self.bounds = list(weights["bounds"]["bounds"]) if "bounds" in weights else []
            self.average.weights.update(weights["average"])
            log.info("going on after step %d", self.step)

    def finish(self, folder: str | Path) -> pd.DataFrame:
        """Write the model folder with the best weights; the curve."""
        curve = pd.DataFrame(self.curve) if self.curve else empty(TRAINING)
        with torch.no_grad():
            for name, parameter in trainable(self.model).items():
                parameter.copy_(self.best[name])
        without_adapters(self.model)
        if not self.team.leads:
            return curve
        log.info("best validation: %.4f bits a base at step %d", self.best_bits, self.best_step)
        diffusion = {
            "schedule": asdict(Schedule(self.settings["schedule"])),
            "left_to_right": self.objective.left_to_right > 0,
            "settings": dict(self.settings),
            "seed": self.seed,
            "precision": self.precision.name,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "windows": len(self.windows),
            "longest_window": int(self.windows.lengths.max()),
            "token_lengths": self.windows.token_lengths(),
            "steps": self.step,
            "best_step": self.best_step,
            "validation_bits_per_base": self.best_bits,
        }
        save_model_folder(folder, self.model.eval(), self.tokenizer, diffusion, curve)
        return curve
