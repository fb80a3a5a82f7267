"""The state of a run that was cut short: one safetensors file whose header holds the rest as JSON, renamed into place.

One file, so that weights and step always belong together; no pickle, so that opening one runs nothing. What asks a run
to stop, so that it writes one, is here too.
"""

import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside
from diffusion_bert.training.optimiser import trainable

FILE = "checkpoint.safetensors"
# A folder of its own to write in: safetensors begins under a random name, which a kill would leave behind for good.
_PART = ".checkpoint.part"
ERROR = "error.json"
log = logging.getLogger(__name__)


class StoppedError(UserError):
    """A run was asked to stop; where it was is kept, and another one goes on from there."""


def save_checkpoint(
    folder: str | Path,
    model: nn.Module,
    optimisers: list[torch.optim.Optimizer],
    weights: dict[str, dict[str, Tensor]],
    state: dict[str, Any],
) -> None:
    """Write all that a run needs to go on: the model's trainable parameters and what the optimisers know of them.

    weights: further sets of weights by name of the set (the average, the best so far). state: anything JSON holds
    exactly. What is frozen is not written: the run that goes on has it from its start.
    """
    parameters = trainable(model)
    tensors: dict[str, Tensor] = {f"model.{name}": parameter for name, parameter in parameters.items()}
    for kind, named in weights.items():
        tensors |= {f"{kind}.{name}": tensor for name, tensor in named.items()}
    for name, parameter in parameters.items():
        for key, value in _owner(parameter, optimisers).state[parameter].items():
            tensors[f"optimiser.{key}.{name}"] = value
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    shutil.rmtree(Path(folder) / _PART, ignore_errors=True)
    part = Path(folder) / _PART / FILE
    part.parent.mkdir(parents=True)
    try:
        save_file(tensors, part, metadata={"state": json.dumps(state)})
        with part.open("rb") as written:
            os.fsync(written.fileno())  # else a machine that fails may keep the new name and not its content
        part.replace(Path(folder) / FILE)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)


def remove_checkpoint(folder: str | Path) -> None:
    """Remove what ``save_checkpoint`` wrote to the folder, and what a kill in the midst of it left there."""
    (Path(folder) / FILE).unlink(missing_ok=True)
    shutil.rmtree(Path(folder) / _PART, ignore_errors=True)


def load_checkpoint(
    folder: str | Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], identity: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
    """Put model and optimisers in the state that was saved; (state, weights), or None where nothing was saved.

    identity: what state["identity"] must be, so that no run goes on from another one's weights: where it differs, the
    log says in what, and the run starts anew. Raises UserError where the file cannot be read.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            state = json.loads(opened.metadata()["state"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise UserError(f"{file} is not a readable checkpoint.", "Remove it to train from the start.") from None
    if state["identity"] != identity:
        differ = sorted(k for k in identity if state["identity"].get(k) != identity[k])
        log.info("%s is of another run (%s), so training starts anew.", file, ", ".join(differ))
        return None
    parameters = trainable(model)
    weights: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, name = key.split(".", 1)
        device = next(iter(parameters.values())).device
        if kind != "optimiser":
            weights.setdefault(kind, {})[name] = tensor.to(device)
            continue
        moment, name = name.split(".", 1)
        parameter = parameters[name]
        _owner(parameter, optimisers).state[parameter][moment] = tensor.to(device)
    with torch.no_grad():
        for name, tensor in weights.pop("model").items():
            parameters[name].copy_(tensor)
    return state, weights


@contextmanager
def asked_to_stop(checkpoint_folder: str | Path | None) -> Iterator[threading.Event]:
    """An event that SIGTERM sets inside the block, which SLURM sends before the time limit, instead of ending the run.

    Without a folder to keep the run in, and outside the main thread, where Python sets no handlers, SIGTERM does what
    it did before.
    """
    asked = threading.Event()
    if checkpoint_folder is None or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # where one came early, it comes now
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def tried_once(checkpoint_folder: str | Path, attempt: int) -> Iterator[None]:
    """Around a training that Snakemake tries again when it fails (``retries``), so that one that was stopped goes on.

    A training that failed by a mistake of the user would fail so again, perhaps hours later: from the second attempt
    (attempt, from 1) on the mistake is told again at once. It is kept in the folder until then.
    """
    file = Path(checkpoint_folder) / ERROR
    if attempt > 1 and file.is_file():
        raise UserError(**json.loads(file.read_text()))
    file.unlink(missing_ok=True)
    try:
        yield
    except StoppedError:
        raise
    except UserError as error:
        with written_beside(file) as part:
            part.write_text(json.dumps({"problem": error.problem, "remedy": error.remedy}))
        raise


def _owner(parameter: nn.Parameter, optimisers: list[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    return next(o for o in optimisers if any(p is parameter for group in o.param_groups for p in group["params"]))
