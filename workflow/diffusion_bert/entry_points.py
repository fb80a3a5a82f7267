"""A function of the user's, named in the config as ``package.module:function``."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from diffusion_bert.errors import UserError


def function_at(entry: str, key: str) -> Callable:
    """The function that stands at package.module:function, looked for on Python's path, then in the working folder.

    key: what the config calls it, for messages. Raises UserError where there is none to call: the module is not found,
    or fails as it is imported, or has no such function.
    """
    name, colon, attribute = entry.partition(":")
    if not (colon and name and attribute):
        raise UserError(f"{key} is {entry}.", "Write package.module:function.")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(name)
    except Exception as error:  # whatever the user's module raises
        raise UserError(
            f"{key} is {entry}, but the module {name} cannot be imported ({type(error).__name__}: {error}).",
            f"Put it where Python finds it, with what it needs: on PYTHONPATH, or in the working folder {Path.cwd()}.",
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UserError(
            f"{key} is {entry}, but the module {name} ({getattr(module, '__file__', None)}) has no function "
            f"{attribute}.",
            "Correct the name.",
        )
    return function
