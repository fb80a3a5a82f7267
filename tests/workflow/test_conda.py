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
    env = {
        "STANDIN_CHANNEL": channel,
        "PATH": os.pathsep.join([str(STANDIN / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = fresh.run("--use-conda", env=env)
    made = re.findall(r"Environment for \S*envs/(\w+)\.yaml created", done.stdout)
    assert sorted(set(made)) == sorted(file.stem for file in (root / "envs").glob("*.yaml") if file.stem != "resources")
    assert (fresh.folder / "results/report/index.html").is_file()
    assert "Nothing to be done" in fresh.run("--use-conda", env=env).stdout
