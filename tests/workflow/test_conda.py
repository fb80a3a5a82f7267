"""``--use-conda`` for the whole DAG, with a stand-in for conda and its channel (see standin/); and on one core."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from conftest import digests, jobs_of

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


def test_every_script_runs_in_its_own_environment_and_one_core_gives_the_same_bytes(root, fresh, finished, tmp_path):
    channel = make_channel(tmp_path / "channel", pinned(root), sys.executable)
    started = tmp_path / "started"
    env = {
        "STANDIN_CHANNEL": channel,
        "STANDIN_LOG": str(started),
        "PATH": os.pathsep.join([str(STANDIN / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    (fresh.folder / "mine.fa").write_text(f">one\n{'ACGT' * 10}\n")
    # One model and one run of it: at least one job of each rule, and the same files as where others are made beside it.
    config = fresh.config
    del config["models"]["transformer"], config["generate"]["runs"]["transformer"]
    # A predictor has an environment of its user's.
    versions = pinned(root)
    dependencies = [f"{name} ={versions[name]}" for name in ("python", "pandas", "pyarrow")]
    (fresh.folder / "own.yaml").write_text(yaml.safe_dump({"channels": ["conda-forge"], "dependencies": dependencies}))
    (fresh.folder / "own.py").write_text("def adenines(sequences):\n    return [one.count('A') for one in sequences]\n")
    config["evaluation"]["predictors"] = {"own": {"entry_point": "own:adenines", "conda": "own.yaml"}}
    config["score"] = {"fasta": [{"name": "mine", "source": "mine.fa"}], "samples": 4}
    fresh.config = config
    done = fresh.run("--cores", "1", "--use-conda", env=env)
    made = dict(re.findall(r"Environment for \S*envs/(\w+)\.yaml created \(location: (\S+)\)", done.stdout))
    assert sorted(made) == sorted(file.stem for file in (root / "envs").glob("*.yaml"))
    ran = started.read_text().splitlines()
    used = {name: sum(f"{prefix}/bin/python" in line for line in ran) for name, prefix in made.items()}
    assert min(used.values()) > 0, used
    (own,) = re.findall(r"Environment for \S*/own\.yaml created \(location: (\S+)\)", done.stdout)
    used["own"] = sum(f"{own}/bin/python" in line for line in ran)
    assert used["own"] >= 1
    jobs = {rule: number for rule, number in jobs_of(done.stdout).items() if rule != "all"}
    assert len(jobs) >= 40
    assert sum(used.values()) >= sum(jobs.values())
    assert (fresh.folder / "results/report/index.html").is_file()
    assert "Nothing to be done" in fresh.run("--use-conda", env=env).stdout
    # What sums up all runs and models is of more of them there (test_run.py makes it again on one core), and what is
    # scored and predicted is asked for here alone.
    elsewhere = ("comparison/", "report/", "models/training.", "scores/", "evaluation/small/refined/predictors")
    made = {name: digest for name, digest in digests(fresh.folder).items() if not name.startswith(elsewhere)}
    of_two_cores = digests(finished.folder)
    assert {name for name, digest in made.items() if of_two_cores[name] != digest} == set()
    unmade = {name for name in of_two_cores.keys() - made.keys() if not name.startswith(elsewhere)}
    assert {name for name in unmade if "transformer" not in Path(name).with_suffix("").parts} == set()
