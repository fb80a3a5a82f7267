"""One training by several processes of one machine, a GPU each, through torch's elastic launcher.

Every process draws the whole step (rows, strands, labels, times, masks) from the step's own seed, computes its share of
the rows, and adds its gradients to those of the others. Losses are sums over the step's rows divided by what the whole
step holds, so the sum is the gradient that one process computes alone, up to the order in which floats are added; all
processes then make the same update. Gradients are added in one piece after the backward pass, not while it runs as
torch's DistributedDataParallel does: that one insists that each parameter takes part in each pass, which those of
published models do not (poolers, contact heads). Dropout is each process's own.

As a program, ``python -m diffusion_bert.training.distributed JOB`` is one of the processes that a launcher started
(``launch``, or torchrun on several nodes); JOB is what ``write_job`` wrote.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from diffusion_bert.errors import UserError
from diffusion_bert.training.resume import StoppedError

log = logging.getLogger(__name__)

LIBRARY = Path(__file__).resolve().parents[2]
SECONDS_TO_STOP = 600  # what a step and a checkpoint may take after SIGTERM; SLURM waits for less


@dataclass(frozen=True)
class Team:
    """The processes that share out each step, as one of them sees it: its rank, and how many they are.

    side: the group of CPU messages, where tensors travel by another one.
    """

    rank: int = 0
    size: int = 1
    side: Any = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes: checkpoints, the model, the log."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of the rows."""
        return rows.tensor_split(self.size)[self.rank]

    def add_up(self, tensors: list[Tensor]) -> None:
        """Set each tensor, in place, to its sum over the processes: all in one message a type."""
        if self.size == 1:
            return
        for kind in sorted({tensor.dtype for tensor in tensors}, key=str):
            same = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.flatten() for tensor in same])
            dist.all_reduce(flat)
            for tensor, part in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def agree(self, used: float, asked: bool) -> tuple[float, bool]:
        """(the first process's ``used``, whether any process is ``asked``): what must not differ between them. A
        message between CPUs, so that no process waits for a GPU."""
        if self.size == 1:
            return used, asked
        told = torch.tensor([used if self.leads else 0.0, float(asked)], dtype=torch.float64)
        dist.all_reduce(told, dist.ReduceOp.MAX, group=self.side)
        return float(told[0]), bool(told[1])


def launch(job: Mapping[str, Any], processes: int, log_file: str | Path, device: str = "auto") -> None:
    """Run ``train`` in so many processes on this machine and wait for its end.

    job: the arguments of ``train`` but ``progress``, ``checkpoint_folder`` among them, paths as text. log_file: the
    leading process adds to it.
    Raises UserError, as ``train`` does, and where the machine has fewer GPUs.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if device == "auto" and torch.cuda.device_count() < processes:
        raise UserError(
            f"the rule's resource gpu is {processes}, but {torch.cuda.device_count()} GPUs answer on this machine.",
            "Set it to what there is (--set-resources train_model:gpu=N, or set-resources in the profile).",
        )
    logging.getLogger("torch.distributed").setLevel(logging.WARNING)
    log.info("training in %d processes", processes)
    with tempfile.TemporaryDirectory() as folder, _signals_as_before(), _library_on_the_path():
        file = write_job(Path(folder) / "job.json", job, log_file, device, mistakes=folder)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",
            run_id=uuid.uuid4().hex,
            max_restarts=0,
            shutdown_timeout=SECONDS_TO_STOP,
        )
        try:
            elastic_launch(config, sys.executable)("-m", __name__, str(file))
        except (ChildFailedError, SignalException) as failure:
            for told in sorted(Path(folder).glob("error.*.json")):
                stopped, error = json.loads(told.read_text())
                raise (StoppedError if stopped else UserError)(**error) from None
            if isinstance(failure, SignalException):
                raise StoppedError(f"{failure.sigval.name} came before the training did.", "Run it again.") from None
            raise
        finally:
            for handler in logging.getLogger().handlers:  # the leading process has written behind our place in it
                if isinstance(handler, logging.FileHandler):
                    handler.stream.seek(0, os.SEEK_END)


def write_job(
    file: Path, job: Mapping[str, Any], log_file: str | Path, device: str = "auto", mistakes: str | None = None
) -> Path:
    """Write what each of the processes reads; its path. mistakes: the folder where they leave a UserError for who waits
    for them; None: the leading one logs it."""
    file.write_text(json.dumps({"train": dict(job), "log": str(log_file), "device": device, "mistakes": mistakes}))
    return file


@contextmanager
def team_of_launcher(device: str) -> Iterator[tuple[Team, str]]:
    """(the team that a launcher's environment variables tell of, this process's device)."""
    if device == "auto" and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if int(os.environ.get("GROUP_WORLD_SIZE", 1)) == 1 and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a machine need not know its own name
    patience = timedelta(hours=2)  # validation and checkpoints, for which the others wait
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=patience)
    try:
        side = dist.new_group(backend="gloo", timeout=patience) if device.startswith("cuda") else None
        yield Team(dist.get_rank(), dist.get_world_size(), side), device
    finally:
        dist.destroy_process_group()


def main(file: str) -> int:
    """One process of a training; its exit status."""
    from diffusion_bert.progress import bar
    from diffusion_bert.training.train import train

    told = json.loads(Path(file).read_text())
    if told["train"]["checkpoint_folder"] is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # it waits until the training can answer it
    with team_of_launcher(told["device"]) as (team, device):
        handlers = [logging.FileHandler(told["log"], mode="a"), *([logging.StreamHandler()] if team.leads else [])]
        for handler in handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.basicConfig(level=logging.INFO if team.leads else logging.ERROR, handlers=handlers, force=True)
        try:
            with bar("training", "step") as progress:
                train(**told["train"], device=device, team=team, progress=progress if team.leads else None)
        except UserError as error:
            if told["mistakes"] is None:
                log.log(logging.ERROR if team.leads else logging.DEBUG, "ERROR: %s", error)
            else:
                mistake = [isinstance(error, StoppedError), {"problem": error.problem, "remedy": error.remedy}]
                (Path(told["mistakes"]) / f"error.{team.rank}.json").write_text(json.dumps(mistake))
            return 1
        except Exception:
            log.exception("process %d of %d:", team.rank + 1, team.size)
            return 1
    return 0


@contextmanager
def _signals_as_before() -> Iterator[None]:
    """The launcher sets handlers of its own and leaves them."""
    before = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError):  # outside the main thread there are none
                signal.signal(number, handler)


@contextmanager
def _library_on_the_path() -> Iterator[None]:
    """Inside the block, Python processes find the library that is in use here."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(LIBRARY), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
