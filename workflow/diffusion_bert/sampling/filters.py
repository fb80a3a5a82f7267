"""What a generated sequence must not hold: forbidden patterns, long homopolymers, a GC share out of bounds.

A filter looks at one sequence alone. That all are different is the business of ``run``, which sees them all.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.tokens import AMBIGUOUS, BASES

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")
# The bases of each IUPAC letter, as a class of a regular expression.
_CLASS = dict(
    zip(
        BASES + AMBIGUOUS,
        [*BASES, *(f"[{of}]" for of in ["ACGT", "AG", "CT", "CG", "AT", "GT", "AC", "CGT", "AGT", "ACT", "ACG"])],
        strict=True,
    )
)


# The defaults of the config's schema: all may pass, but twice.
DEFAULTS: dict[str, Any] = {
    "forbidden": [],
    "max_homopolymer": None,
    "gc": None,
    "keep_duplicates": False,
    "attempts": 20,
}


@dataclass(frozen=True)
class Filters:
    """forbidden: (name, compiled pattern of both strands) each; max_homopolymer: bp; gc: (lowest, highest) share;
    keep_duplicates: whether a sequence may be there twice; attempts: draws of one sequence, at most."""

    forbidden: tuple[tuple[str, re.Pattern], ...]
    max_homopolymer: int | None
    gc: tuple[float, float] | None
    keep_duplicates: bool
    attempts: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Filters":
        """From the config's ``generate.filters`` with every key given.

        forbidden: restriction enzymes by name, as Biopython (REBASE) has them, or patterns in IUPAC letters; each
        counts on both strands. Raises UserError for a name that is neither, and for bounds that leave nothing.
        """
        gc = settings["gc"]
        if gc is not None and not 0 <= gc[0] <= gc[1] <= 1:
            raise UserError(
                f"generate.filters.gc is {list(gc)}.", "Give the lowest and the highest share, between 0 and 1."
            )
        return cls(
            tuple((name, _both_strands(site_of(name))) for name in settings["forbidden"]),
            settings["max_homopolymer"],
            None if gc is None else (gc[0], gc[1]),
            settings["keep_duplicates"],
            settings["attempts"],
        )

    def names(self) -> list[str]:
        """What ``failed`` may answer, in the order in which it looks."""
        rest = [("homopolymer", self.max_homopolymer), ("gc", self.gc)]
        return [f"forbidden {name}" for name, _ in self.forbidden] + [name for name, on in rest if on is not None]

    def failed(self, sequence: str) -> str | None:
        """The first filter that the sequence does not pass, None where it passes all."""
        for name, pattern in self.forbidden:
            if pattern.search(sequence):
                return f"forbidden {name}"
        most = self.max_homopolymer
        if most is not None and any(base * (most + 1) in sequence for base in BASES):
            return "homopolymer"
        if self.gc is not None:
            share = (sequence.count("G") + sequence.count("C")) / len(sequence)
            if not self.gc[0] <= share <= self.gc[1]:
                return "gc"
        return None


def site_of(name: str) -> str:
    """The pattern, in IUPAC letters, that a restriction enzyme recognises, or the pattern itself where it is one."""
    if name and set(name) <= set(BASES + AMBIGUOUS):
        return name
    from Bio.Restriction import AllEnzymes  # builds a thousand classes: only where it is asked for

    known = {str(enzyme): enzyme for enzyme in AllEnzymes}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        raise UserError(
            f"generate.filters.forbidden names {name}, which is neither a restriction enzyme nor a pattern."
            + (f" Did you mean {close[0]}?" if close else ""),
            "Name an enzyme as REBASE does (EcoRI, BsaI), or write a pattern in upper-case IUPAC letters.",
        )
    return known[name].site


def _both_strands(pattern: str) -> re.Pattern:
    strands = dict.fromkeys([pattern, pattern.translate(_COMPLEMENT)[::-1]])
    return re.compile("|".join("".join(_CLASS[letter] for letter in strand) for strand in strands))
