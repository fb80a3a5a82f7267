"""Files and URLs that the config names."""

import re
from collections.abc import Mapping
from pathlib import Path

from diffusion_bert.settings.messages import mistakes

REMOTE = ("http://", "https://", "ftp://")
ACCESSION = re.compile(r"^ENCFF[0-9]{3}[A-Z]{3}$")


def is_remote(source: str) -> bool:
    """Whether a source is fetched (URL or ENCODE accession) rather than read from the file system."""
    return source.lower().startswith(REMOTE) or ACCESSION.match(source) is not None


def check_sources(sources: Mapping[str, str | None], made: str) -> None:
    """Every local input must exist before the run starts; UserError lists those that do not.

    sources: what needs the file (a key, or a line of the sheet) -> path or URL.
    made: the prefix of files that the workflow makes itself.
    """
    problems = [
        f"{what}: the file {source} does not exist (working folder: {Path.cwd()}). "
        "Correct the path, which is taken from the working folder, or give a URL."
        for what, source in sources.items()
        if source and not is_remote(source) and not source.startswith(made) and not Path(source).is_file()
    ]
    if problems:
        raise mistakes(problems)


def scorer_file(entry: str) -> str | None:
    """The file of a function's module (package.module:function), where it lies in the working folder."""
    module = Path(*entry.partition(":")[0].split("."))
    for file in (module.with_suffix(".py"), module / "__init__.py"):
        if ":" in entry and file.is_file():
            return str(file)
    return None
