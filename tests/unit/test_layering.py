"""Dependencies of the library point one way: the contracts of pyproject.toml hold, and would notice a breach."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(folder / "workflow")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("genome/windows.py", "import torch"),
        ("evaluation/novelty.py", "from diffusion_bert.sampling import draw"),
    ],
)
def test_a_breach_is_noticed(tmp_path, module, line):
    shutil.copytree(ROOT / "workflow/diffusion_bert", tmp_path / "workflow/diffusion_bert")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "workflow/diffusion_bert" / module
    file.write_text(file.read_text() + f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert " 1 broken" in done.stdout
