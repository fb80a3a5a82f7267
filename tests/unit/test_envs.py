"""The conda envs: pinned as the lock file, and exactly what their scripts import."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from diffusion_bert.digests import third_party_imports

ROOT = Path(__file__).resolve().parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))

# conda package -> distribution on PyPI, where the names differ.
PYPI = {"pytorch": "torch", "matplotlib-base": "matplotlib", "python-edlib": "edlib", "pybigwig": "pyBigWig"}
# distribution -> what is imported, where the names differ.
MODULES = {"biopython": "Bio", "scikit-learn": "sklearn", "pyBigWig": "pyBigWig"}


def dependencies(env: Path) -> dict[str, str]:
    """distribution on PyPI -> version, python left out."""
    pins = [line.partition(" =") for line in yaml.safe_load(env.read_text())["dependencies"]]
    return {PYPI.get(name, name): version for name, _, version in pins if name != "python"}


def scripts(env: Path) -> list[Path]:
    """The scripts of the rules that run in the env."""
    found = []
    for rules in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\n\s*rule ", rules.read_text()):
            if f"envs/{env.name}" in rule:
                found += re.findall(r'"\.\./scripts/(\w+\.py)"', rule)
    return sorted({ROOT / "workflow/scripts" / name for name in found})


def imported(env: Path) -> set[str]:
    names = set().union(*(third_party_imports(script, ROOT / "workflow") for script in scripts(env)))
    return {name for name in names if name not in sys.stdlib_module_names}


def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line and not line.startswith("#"))


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_pins_are_those_of_the_lock_file(env):
    locked = lock()
    for name, version in dependencies(env).items():
        assert locked[name.lower()] == version, name


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_env_holds_what_its_scripts_import_and_no_more(env):
    assert scripts(env)
    held = {MODULES.get(name, name).replace("-", "_") for name in dependencies(env)}
    # pandas reads and writes Parquet through pyarrow, which need not be imported by name.
    assert imported(env) <= held
    assert held - imported(env) <= {"pyarrow"}


def test_every_script_has_an_env():
    assert sorted(set().union(*map(scripts, ENVS))) == sorted((ROOT / "workflow/scripts").glob("*.py"))


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_scripts_import_with_nothing_else_on_the_path(env, tmp_path):
    """Every module that the scripts import, in a Python that sees the env's distributions and theirs alone."""
    site = tmp_path / "site"
    site.mkdir()
    for name in _with_requirements(dependencies(env)):
        for file in importlib.metadata.files(name) or []:
            top = file.parts[0]
            source = Path(file.locate()).parents[len(file.parts) - 1] / top
            if top not in ("..", "__pycache__") and source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    code = "\n".join(
        [f"import sys; sys.path[:0] = [{str(ROOT / 'workflow')!r}, {str(site)!r}]"]
        + [
            ast.unparse(node)
            for script in scripts(env)
            for node in ast.parse(script.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _with_requirements(names) -> set[str]:
    """The distributions and all they require, as installed here."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name.lower().replace("_", "-") in found:
            continue
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # a requirement of another platform
        found.add(name.lower().replace("_", "-"))
        pending += [re.match(r"[\w.-]+", line)[0] for line in required if "extra ==" not in line]
    return found
