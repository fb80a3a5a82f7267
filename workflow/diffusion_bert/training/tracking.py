"""The training curve where others look at it while it grows: TensorBoard or Weights & Biases, by ``track``.

Neither package is needed by anything else, so neither is in the environment: who wants one adds it. A point is a row of
the curve (TRAINING), so that a run that was cut and goes on from its checkpoint has each point once: TensorBoard's file
is written anew from the curve that the checkpoint keeps; W&B, where nothing can be taken back, is sent what it has not.
"""

import importlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside

log = logging.getLogger(__name__)

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
PROJECT = "dna-diffusion-bert"  # of W&B, unless WANDB_PROJECT names one

Point = Callable[[Mapping[str, float]], None]


def package_of(track: str) -> ModuleType | None:
    """What ``track`` needs, imported; None for ``none``. UserError where it is not installed."""
    if track == "none":
        return None
    try:
        return importlib.import_module(MODULES[track])
    except ImportError as error:
        raise UserError(
            f"track is {track}, but the package {track} cannot be imported ({error}).",
            f"Run: pip install {track}, or add {track} (from conda-forge) to envs/train.yaml; or set track: none.",
        ) from None


@contextmanager
def tracked(
    track: str, folder: str | Path | None, name: str, settings: Mapping[str, Any], curve: Sequence[Mapping], fresh: bool
) -> Iterator[Point]:
    """A function to call with each new row of the curve.

    folder: the model's own, where its log lies. name: the model's. settings: told to W&B. curve: the rows so far.
    fresh: the run starts at step 0, as another one than whatever the folder holds. W&B goes by its environment
    variables (WANDB_MODE=offline keeps everything in the folder; WANDB_PROJECT, WANDB_ENTITY).
    Raises UserError where the package is missing or W&B refuses.
    """
    package = package_of(track)
    if package is None:
        yield lambda row: None
        return
    if folder is None:
        raise ValueError(f"track is {track}, which needs a folder")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (_tensorboard if track == "tensorboard" else _wandb)(package, folder, name, settings, fresh) as point:
        for row in curve:
            point(row)
        yield point


@contextmanager
def _tensorboard(package: ModuleType, folder: Path, name: str, settings: Mapping, fresh: bool) -> Iterator[Point]:
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = package.SummaryWriter(str(folder))

    def point(row: Mapping[str, float]) -> None:
        for key, value in row.items():
            if key != "step":
                writer.add_scalar(key, value, int(row["step"]))
        writer.flush()

    try:
        log.info("to look on: tensorboard --logdir %s", folder)
        yield point
    finally:
        writer.close()


@contextmanager
def _wandb(package: ModuleType, folder: Path, name: str, settings: Mapping, fresh: bool) -> Iterator[Point]:
    file = folder / "wandb_run.json"
    if fresh or not file.is_file():
        _write(file, {"id": uuid.uuid4().hex[:12], "step": 0})
    known = json.loads(file.read_text())
    try:
        run = package.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            id=known["id"],
            resume="allow",
            dir=str(folder),
            config=dict(settings),
            settings=package.Settings(console="off", silent=True),
        )
    except package.errors.Error as error:
        raise UserError(
            f"track is wandb, but W&B does not start: {error}.",
            "Log in (wandb login), or set WANDB_MODE=offline and send the run later (wandb sync).",
        ) from None
    log.info("W&B: run %s in %s", known["id"], folder)

    def point(row: Mapping[str, float]) -> None:
        if row["step"] > known["step"]:
            run.log({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))
            known["step"] = int(row["step"])
            _write(file, known)

    failed = 1
    try:
        yield point
        failed = 0
    finally:
        run.finish(exit_code=failed)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with written_beside(file) as part:
        part.write_text(json.dumps(content) + "\n")
