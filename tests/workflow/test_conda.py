"""``--use-conda`` for the whole DAG, with a stand-in for conda and its channel (see standin/)."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rattler", reason="the stand-in for conda solves with py-rattler")

from standin.channel import make_channel  # noqa: E402

STANDIN = Path(__file__).resolve().parent / "standin"


def pinned(root: Path) -> dict[str, str]:
    packages = {}
    for file in (root / "envs").glob("*.yaml"):
        for line in yaml.safe_load(file.read_text())["dependencies"]:
            name, _, version = line.partition(" =")
            packages[name] = version
    return packages


def test_every_script_runs_in_its_own_environment(root, fresh, tmp_path):
    channel = make_channel(tmp_path / "channel", pinned(root), sys.executable)
    started = tmp_path / "started"
    env = {
        "STANDIN_CHANNEL": channel,
        "STANDIN_LOG": str(started),
        "PATH": os.pathsep.join([str(STANDIN / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    (fresh.folder / "mine.fa").write_text(f">one\n{'ACGT' * 10}\n")
    fresh.edit(score={"fasta": [{"name": "mine", "source": "mine.fa"}], "samples": 4})
    done = fresh.run("--use-conda", env=env)
    made = dict(re.findall(r"Environment for \S*envs/(\w+)\.yaml created \(location: (\S+)\)", done.stdout))
    assert sorted(made) == sorted(file.stem for file in (root / "envs").glob("*.yaml"))
    ran = started.read_text().splitlines()
    used = {name: sum(f"{prefix}/bin/python" in line for line in ran) for name, prefix in made.items()}
    assert min(used.values()) > 0, used
    assert sum(used.values()) >= 40  # every job of the DAG that runs a script
    assert (fresh.folder / "results/report/index.html").is_file()
    assert "Nothing to be done" in fresh.run("--use-conda", env=env).stdout
