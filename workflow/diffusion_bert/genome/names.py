"""Chromosome names as users write them in the config."""

import re

from diffusion_bert.errors import UserError

_RANGE = re.compile(r"^(?P<prefix>[A-Za-z_]*)(?P<first>[0-9]+)-(?P<prefix2>[A-Za-z_]*)(?P<last>[0-9]+)$")


def expand_chroms(entries: list[str | int]) -> list[str]:
    """Names in the order given, ranges written out: ``["chr1-3", "chrX"]`` is chr1, chr2, chr3, chrX.

    Both ends of a range belong to it; ``1-22``, ``chr1-22`` and ``chr1-chr22`` are 22 chromosomes.
    A range that runs backwards, or a chromosome named twice, raises UserError.
    """
    names: list[str] = []
    for entry in map(str, entries):
        match = _RANGE.match(entry)
        if not match or match["prefix2"] not in ("", match["prefix"]):
            names.append(entry)
            continue
        first, last = int(match["first"]), int(match["last"])
        if first > last:
            raise UserError(
                f"The chromosome range {entry} runs backwards.",
                f"Write {match['prefix']}{last}-{match['prefix2']}{first}.",
            )
        names += [f"{match['prefix']}{number}" for number in range(first, last + 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"The chromosome {twice[0]} is named twice in {entries}.", "Remove one of the two.")
    return names
