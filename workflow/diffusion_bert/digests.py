"""What a script's result depends on in the code: a digest over the library modules it imports, transitively.

The digest is taken over syntax trees, so comments, docstrings and formatting do not count; a change to what the
code does counts, in whichever imported module it stands. Files of other kinds in a module's folder (a page's template,
its style) count as they are. Only the library's own modules are followed: the versions
of everything else are the environment's business.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "diffusion_bert"


def code_digest(script: str | Path, library: str | Path) -> str:
    """A hex digest of the script and of every module of the package that it imports, at any depth.

    script: path of a Python file. library: the folder that holds the package ``diffusion_bert``.
    Imports inside functions count; a package's ``__init__`` counts for each module below it.
    Cost: each module is parsed once a process.
    """
    library = Path(library)
    seen: dict[str, str] = {}
    pending = list(_imports(Path(script), "", library))
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        path = _path_of(module, library)
        seen[module] = _digest(path) + "".join(
            hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(path.parent.iterdir())
            if file.is_file() and file.suffix not in (".py", ".pyc")
        )
        pending += _imports(path, module, library)
        if "." in module:
            pending.append(module.rpartition(".")[0])
    lines = [_digest(Path(script)), *(f"{name} {seen[name]}" for name in sorted(seen))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


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
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
        for name in _imports(path, module, library):
            if name not in seen:
                seen.add(name)
                pending.append((_path_of(name, library), name))
    return found - {PACKAGE}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _digest(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


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
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                if path.name != "__init__.py":
                    parts = parts[:-1]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            # ``from package import name`` may name a module or something inside the package
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(
        dict.fromkeys(name for name in found if name.split(".")[0] == PACKAGE and _path_of(name, library) is not None)
    )
