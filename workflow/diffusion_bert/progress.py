"""How far long work has come: a bar where someone looks on. The lines of a log are written by the work itself."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


@contextmanager
def bar(what: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with (done, in all), which draws a bar on standard error; None where that is no terminal.

    Log lines that go to the terminal meanwhile are written above the bar.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with tqdm(desc=what, unit=unit, dynamic_ncols=True) as drawn, logging_redirect_tqdm():

        def show(done: int, total: int) -> None:
            drawn.total = total
            drawn.update(done - drawn.n)

        yield show
