"""The workflow run for real, in copies of the checkout, on an input so small that it takes a minute."""

import atexit
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

COPIED = ("Snakefile", "workflow", "profiles", "envs", "config")
DATA = Path(__file__).resolve().parent.parent / "data"
# What every run of the tiny config is asked.
QUESTIONS = [
    "composition",
    "kmers",
    "motifs",
    "discovery",
    "novelty",
    "discrimination",
    "likelihood",
    "function",
    "grammar",
]


@cache
def _starter() -> subprocess.Popen:
    """The process that runs Snakemake for this one, as often as it is asked to."""
    # Jobs share the compiled library, which a setting against bytecode would have each of them compile anew.
    left_out = ("PYTEST", "SNAKEMAKE", "PYTHONDONTWRITEBYTECODE")
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("starter.py")],
        env={key: value for key, value in os.environ.items() if not key.startswith(left_out)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)  # closes its input, at which it ends
    return process


@dataclass
class Workflow:
    """A copy of the checkout with a config of its own."""

    folder: Path

    def run(
        self, *arguments: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        """Snakemake in the folder; output and errors together in ``stdout``."""
        arguments = ("--cores", "2", *arguments)
        with tempfile.NamedTemporaryFile("r") as said:
            asked = {"arguments": arguments, "cwd": str(self.folder), "env": env or {}, "said": said.name}
            starter = _starter()
            print(json.dumps({**asked, "seconds": 1200}), file=starter.stdin, flush=True)
            done = subprocess.CompletedProcess(arguments, int(starter.stdout.readline()), said.read())
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done

    def stale(self, *arguments: str) -> dict[str, int]:
        """What a run would do now: number of jobs by rule."""
        text = self.run(*arguments, "--dry-run", "--quiet", "host", "reason").stdout
        if "Nothing to be done" in text:
            return {}
        return {rule: count for rule, count in jobs_of(text).items() if rule not in ("all", *arguments)}

    @property
    def config(self) -> dict:
        return yaml.safe_load((self.folder / "config/config.yaml").read_text())

    @config.setter
    def config(self, value: dict) -> None:
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(value, sort_keys=False))

    def edit(self, **changes) -> None:
        """Set config values; ``a__b=1`` sets config["a"]["b"]."""
        config = self.config
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            inner = config
            for key in path:
                inner = inner.setdefault(key, {})
            inner[last] = value
        self.config = config

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file of the checkout's copy; the old text must be there."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1))


def jobs_of(said: str) -> dict[str, int]:
    """The number of jobs by rule, as Snakemake's last table tells them."""
    table = said.rpartition("Job stats:")[2].partition("\n\n")[0]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE))
    return {rule: int(count) for rule, count in counts.items() if rule != "total"}


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every result but run times."""
    results = folder / "results"
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and "benchmarks" not in path.parts and path.name != "run_times.tsv"
    }


def copy_of_checkout(root: Path, folder: Path, config: Path) -> Workflow:
    folder.mkdir(parents=True)
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shutil.copy(config, folder / "config" / "config.yaml")
    shutil.copy(DATA / "tiny_tracks.tsv", folder / "config" / "tracks.tsv")
    shutil.copy(DATA / "tiny_motifs.meme", folder / "config")
    return Workflow(folder)


@pytest.fixture
def fresh(root, tmp_path) -> Workflow:
    """A checkout with the tiny config, nothing run yet."""
    return copy_of_checkout(root, tmp_path / "checkout", DATA / "tiny.yaml")


@pytest.fixture(scope="session")
def finished(root, tmp_path_factory, worker_id) -> Workflow:
    """A checkout in which the tiny config has been run to the end. Tests must not change it; see ``edited``.

    It is run once, by whichever of pytest's processes comes first.
    """
    alone = worker_id == "master"
    folder = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder = folder / "finished"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            copy_of_checkout(root, folder / "checkout", DATA / "tiny.yaml").run()
            (folder / "done").touch()
    return Workflow(folder / "checkout")


def copy_of_run(run: Workflow, folder: Path, results: tuple[str, ...] | None = None) -> Workflow:
    """A copy of a run, of whose results only the named folders are kept; by default all."""
    shutil.copytree(run.folder, folder, symlinks=True)
    for path in (folder / "results").iterdir() if results is not None else ():
        if path.name not in results:
            shutil.rmtree(path)
    return Workflow(folder)


@pytest.fixture
def edited(finished, tmp_path) -> Workflow:
    """A copy of the finished run, to be edited."""
    return copy_of_run(finished, tmp_path / "edited")


@pytest.fixture
def simulated(finished, tmp_path) -> Workflow:
    """A copy of the finished run that holds the genome and the tracks, and no results."""
    return copy_of_run(finished, tmp_path / "simulated", ())


@pytest.fixture
def windowed(finished, tmp_path) -> Workflow:
    """A copy of the finished run up to its split windows: nothing trained, generated or judged."""
    return copy_of_run(finished, tmp_path / "windowed", ("windows", "splits"))


@pytest.fixture
def trained(finished, tmp_path) -> Workflow:
    """A copy of the finished run up to its trained models: nothing generated or judged, and no oracle."""
    return copy_of_run(finished, tmp_path / "trained", ("windows", "splits", "models"))
