"""The one exception a user's own mistake raises, and how a script shows it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake in the user's input: what is wrong, where, and how to mend it.

    problem: names the file, line, key or value, and what was expected.
    remedy: one sentence that says what to do.
    """

    def __init__(self, problem: str, remedy: str):
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


@contextmanager
def reported(log: str | Path) -> Iterator[None]:
    """Run a script's body: log to file and terminal; a UserError becomes one line and exit status 1.

    Anything else is a bug: its traceback goes to the log as well and is raised on.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(log, mode="w")
    terminal = logging.StreamHandler(sys.stderr)
    for handler in (file, terminal):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[file, terminal], force=True)
    try:
        yield
    except UserError as error:
        logging.error("ERROR: %s", error)
        sys.exit(1)
    except Exception:
        file.handle(logging.LogRecord("", logging.ERROR, "", 0, "unexpected error", (), sys.exc_info()))
        raise
    finally:
        for handler in (file, terminal):
            handler.flush()
