"""Chromosome names as users write them: ranges in Arabic and Roman numbers, with and without ``chr``.

Only the standard library is imported: the Snakefile calls this on each parse.
"""

import re
from collections.abc import Iterable

from diffusion_bert.errors import UserError

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def expand_chroms(patterns: Iterable[str | int], names: Iterable[str] | None = None) -> list[str]:
    """The chromosomes that the patterns mean, each once, in the order stated.

    A pattern is a name or a range that includes both ends: ``chr1-22``, ``chr1-chr22``, ``1-22``; Roman numerals too
    (``chrI-XVI``). A chromosome's own name wins over a reading as a range (``HLA-A``).
    names: the genome's chromosomes; ``1`` then finds ``chr1`` and ``chr1`` finds ``1``, and a name that is in neither
    form there is a UserError. Without names nothing is looked up.
    """
    known = None if names is None else dict.fromkeys(names)
    found: dict[str, None] = {}
    for pattern in map(str, patterns):
        for name in [pattern] if known is not None and pattern in known else _expand(pattern.strip()):
            found[name if known is None else _known_as(name, pattern, known)] = None
    return list(found)


def _expand(pattern: str) -> list[str]:
    if not pattern:
        raise UserError("A chromosome's name is empty.", "Write a name (chr1) or a range (chr1-22).")
    first, dash, last = pattern.rpartition("-")
    match = re.fullmatch(r"(.*?)(\d+|[IVXLC]+)", first) if dash else None
    if not match:
        return [pattern]
    prefix, low = match.groups()
    high = last.removeprefix(prefix)
    if low.isdigit() and high.isdigit():
        numbers, spell = (int(low), int(high)), str
    elif _is_roman(low) and _is_roman(high):
        numbers, spell = (_arabic(low), _arabic(high)), _roman
    else:
        raise UserError(
            f"The range of chromosomes {pattern} does not go from one number to another.",
            "Write both ends in one numbering, as in chr1-22, and name the others (chrX) one by one.",
        )
    if numbers[0] > numbers[1]:
        raise UserError(f"The range of chromosomes {pattern} runs backwards.", "Write the lower number first.")
    return [f"{prefix}{spell(number)}" for number in range(numbers[0], numbers[1] + 1)]


def _known_as(name: str, pattern: str, known: dict[str, None]) -> str:
    for candidate in (name, f"chr{name}", name.removeprefix("chr")):
        if candidate in known:
            return candidate
    of = "" if name == pattern else f" (of {pattern})"
    raise UserError(
        f"Chromosome {name}{of} is not in the genome, which has {some(known)}.",
        "Name chromosomes as the genome does, or narrow the range.",
    )


def _roman(number: int) -> str:
    spelled = ""
    for letters, value in (("C", 100), ("XC", 90), ("L", 50), ("XL", 40), ("X", 10), ("IX", 9), ("V", 5), ("IV", 4)):
        spelled += letters * (number // value)
        number %= value
    return spelled + "I" * number


def _arabic(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(v if v >= max(values[i + 1 :], default=0) else -v for i, v in enumerate(values))


def _is_roman(text: str) -> bool:
    return bool(text) and set(text) <= set(_ROMAN) and _roman(_arabic(text)) == text


def some(names: Iterable[str], limit: int = 8) -> str:
    """The first names of many, for a message."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
