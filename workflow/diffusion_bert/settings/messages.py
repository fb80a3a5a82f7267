"""Mistakes in sentences: where, what was expected, and the remedy."""

import difflib
from collections.abc import Mapping
from typing import Any

import jsonschema

from diffusion_bert.errors import UserError

Config = dict[str, Any]
Place = tuple[str | int, ...]


def mistakes(problems: list[str]) -> UserError:
    """One error that tells all problems."""
    if len(problems) == 1:
        return UserError(problems[0], "Nothing has been run.")
    listed = "".join(f"\n  {number}. {problem}" for number, problem in enumerate(problems, start=1))
    return UserError(f"{len(problems)} mistakes in the configuration:{listed}\n", "Nothing has been run.")


def dotted(place: Place) -> str:
    """A place as users write it."""
    return ".".join(map(str, place)) or "the configuration"


def at_line(place: Place, lines: Mapping[Place, str]) -> str:
    """The start of a message: file and line of a place, where they are known."""
    return f"{lines[place]}: " if place in lines else ""


def suggest(name: str, known: Any) -> str:
    """The known name that is most like one, or all of them, as the end of a message."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else f" Known here: {', '.join(map(str, known))}."


def repeated(names: list[str]) -> list[str]:
    """The names that stand more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def explain(error: jsonschema.ValidationError, lines: Mapping[Place, str]) -> list[str]:
    """One validation error as sentences that name the key, what was expected, and the remedy."""
    place: Place = tuple(error.absolute_path)
    key = dotted(place)
    meaning = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    at = at_line(place, lines)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return [
            f"{at_line((*place, name), lines)}{dotted((*place, name))} is not a known key.{suggest(name, known)} "
            "config/README.md lists every key."
            for name in error.instance
            if name not in known
        ]
    if error.validator == "required":
        name = next(name for name in error.validator_value if name not in error.instance)
        return [f"{at}{dotted((*place, name))} is missing. {_description(error, name)} Add the key."]
    if error.validator in ("oneOf", "not", "anyOf"):
        return [
            "The data are given either by genome and tracks, or by sequences, not by both or neither. "
            "Keep one of the two (sequences also excludes simulate)."
        ]
    if "propertyNames" in error.absolute_schema_path:
        return [
            f"{at}{key}: the name {error.instance!r} will not do, since it names folders. "
            "Use letters, digits, '_', '.' and '-', and begin with a letter or digit."
        ]
    if error.validator == "type":
        wanted = error.validator_value
        wanted = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return [f"{at}{key} is {error.instance!r}, expected {wanted}. {meaning} Correct the value."]
    if error.validator == "enum":
        return [
            f"{at}{key} is {error.instance!r}, expected one of {', '.join(map(str, error.validator_value))}."
            f"{suggest(str(error.instance), error.validator_value)}"
        ]
    bounds = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
        "minItems": "a number of entries of at least",
        "minProperties": "a number of entries of at least",
        "minLength": "a length of at least",
        "pattern": "text that matches",
    }
    wanted = f"{bounds.get(error.validator, error.validator)} {error.validator_value}"
    return [f"{at}{key} is {error.instance!r}, expected {wanted}. {meaning} Correct the value."]


def _description(error: jsonschema.ValidationError, name: str) -> str:
    return error.schema.get("properties", {}).get(name, {}).get("description", "")
