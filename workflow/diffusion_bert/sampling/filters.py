"""What a generated sequence must not hold: forbidden patterns, long homopolymers, a GC share out of bounds.

A filter looks at one sequence alone. That all are different is the business of ``run``, which sees them all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.patterns import BASES, both_strands, site_of

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
            tuple((name, both_strands(site_of(name, "generate.filters.forbidden"))) for name in settings["forbidden"]),
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
