"""What a script's result depends on in the code: a digest over the library modules it imports, transitively.

The digest is taken over syntax trees, so comments, docstrings and formatting do not count; a change to what the
code does counts, in whichever imported module it stands. Files of other kinds in a module's folder (a page's template,
its style) count as they are. Only the library's own modules are followed: the versions
of everything else are the environment's business.

Parsing a hundred files takes longer than all else that a run does when nothing is stale. So what was read from a file
is remembered beside the run, under the SHA-256 of its bytes: it can be lost, never wrong.
"""

import ast
import hashlib
import json
import os
from functools import cache
from pathlib import Path

PACKAGE = "diffusion_bert"

_known: dict[str, dict] = {}
_recalled = 0


def code_digest(script: str | Path, library: str | Path) -> str:
    """A hex digest of the script and of every module of the package that it imports, at any depth.

    script: path of a Python file. library: the folder that holds the package ``diffusion_bert``.
    Imports inside functions count; a package's ``__init__`` counts for each module below it.
    Cost: each module is parsed once a process, or not at all where it is remembered.
    """
    library = Path(library)
    seen: dict[str, str] = {}
    pending = list(_imports(Path(script), "", library))
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        path = _path_of(module, library)
        seen[module] = _read(path)["digest"] + _others(path.parent)
        pending += _imports(path, module, library)
        if "." in module:
            pending.append(module.rpartition(".")[0])
    lines = [_read(Path(script))["digest"], *(f"{name} {seen[name]}" for name in sorted(seen))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def recall(memory: str | Path) -> None:
    """Take what an earlier process remembered; a file that is absent or damaged is as none."""
    global _recalled
    try:
        found = json.loads(Path(memory).read_text())
        _known.update({key: value for key, value in found.items() if {"digest", "imports"} <= set(value)})
    except (OSError, ValueError, AttributeError, TypeError):
        return
    _recalled = len(_known)


def remember(memory: str | Path) -> None:
    """Write what this process knows for the next one; quietly not where nothing can be written."""
    if len(_known) == _recalled:
        return
    memory = Path(memory)
    part = memory.with_name(f".{memory.name}.{os.getpid()}.part")  # jobs of a cluster may write at once
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(_known))
        part.replace(memory)
    except OSError:
        return


def imported_modules(path: Path, module: str, library: Path) -> set[str]:
    """The package's modules that one file imports directly, as dotted names (``diffusion_bert.genome.windows``)."""
    return set(_imports(path, module, library))


def third_party_imports(script: Path, library: Path) -> set[str]:
    """Top-level names of everything outside the package that a script and its modules import, at any depth."""
    found: set[str] = set()
    seen: set[str] = set()
    pending: list[tuple[Path, str]] = [(Path(script), "")]
    while pending:
        path, module = pending.pop()
        found |= {base.partition(".")[0] for level, base, _ in _read(path)["imports"] if level == 0 and base}
        for name in _imports(path, module, library):
            if name not in seen:
                seen.add(name)
                pending.append((_path_of(name, library), name))
    return found - {PACKAGE}


@cache
def _read(path: Path) -> dict:
    """digest: of the syntax tree without docstrings. imports: (level, module, names) of each statement."""
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    if key not in _known:
        tree, imports = ast.parse(content), []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imports += [(0, alias.name, []) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imports.append((node.level, node.module or "", [alias.name for alias in node.names]))
            elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (
                ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:]
        _known[key] = {"digest": hashlib.sha256(ast.dump(tree).encode()).hexdigest(), "imports": imports}
    return _known[key]


@cache
def _others(folder: Path) -> str:
    """Of the files in a module's folder that are no code."""
    return "".join(
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.is_file() and file.suffix not in (".py", ".pyc")
    )


@cache
def _path_of(module: str, library: Path) -> Path | None:
    stem = library.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _imports(path: Path, module: str, library: Path) -> tuple[str, ...]:
    found = []
    for level, base, names in _read(path)["imports"]:
        if level:
            parts = module.split(".")
            if path.name != "__init__.py":
                parts = parts[:-1]
            parts = parts[: len(parts) - level + 1]
            base = ".".join([*parts, base] if base else parts)
        # ``from package import name`` may name a module or something inside the package
        found += [base, *(f"{base}.{name}" for name in names)]
    return tuple(
        dict.fromkeys(name for name in found if name.split(".")[0] == PACKAGE and _path_of(name, library) is not None)
    )
