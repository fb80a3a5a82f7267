"""An oligo: an insert and its barcode between parts that all oligos share, and what is wrong with one.

    five_prime - insert - linker - barcode - three_prime

The shared parts may hold a forbidden site, since that is how cloning sites come into an oligo. What is refused is a
site that overlaps the insert or the barcode, be it by one base at a junction: there the enzyme would cut what it must
not.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.patterns import BASES, both_strands, site_of

_NOT_A_BASE = re.compile(f"[^{BASES}]")


@dataclass(frozen=True)
class Oligos:
    """What all oligos of a library share, and what none may hold.

    five_prime, linker, three_prime: bases, may be empty. barcode: bp of each barcode, 0 for none. forbidden: (name,
    pattern of both strands) each. max_homopolymer: bp, or None. gc: (lowest, highest) share, or None. longest: nt that
    can be synthesised.
    """

    five_prime: str
    linker: str
    three_prime: str
    barcode: int
    forbidden: tuple[tuple[str, re.Pattern], ...]
    max_homopolymer: int | None
    gc: tuple[float, float] | None
    longest: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Oligos":
        """From the config's ``library`` with every key given.

        Raises UserError for a forbidden name that is neither an enzyme nor a pattern, for GC bounds that leave nothing,
        and where the parts that all oligos share are too long by themselves.
        """
        gc = settings["gc"]
        if gc is not None and not 0 <= gc[0] <= gc[1] <= 1:
            raise UserError(f"library.gc is {list(gc)}.", "Give the lowest and the highest share, between 0 and 1.")
        barcodes = settings["barcodes"]
        oligos = cls(
            *(settings["adapters"][part] for part in ("five_prime", "linker", "three_prime")),
            0 if barcodes is None else barcodes["length"],
            tuple((name, both_strands(site_of(name, "library.forbidden"))) for name in settings["forbidden"]),
            settings["max_homopolymer"],
            None if gc is None else (gc[0], gc[1]),
            settings["longest"],
        )
        if oligos.room < 1:
            raise UserError(
                f"Adapters, linker and barcode have {oligos.shared} nt ({oligos.sum_of_parts(0)}), and library.longest "
                f"is {oligos.longest}: no room is left for an insert.",
                "Shorten them, or raise library.longest to what your supplier makes.",
            )
        return oligos

    @property
    def shared(self) -> int:
        """nt of an oligo that are not its insert."""
        return len(self.five_prime) + len(self.linker) + self.barcode + len(self.three_prime)

    @property
    def room(self) -> int:
        """The longest insert, bp; not positive where there is none."""
        return self.longest - self.shared

    def sum_of_parts(self, insert: int) -> str:
        """For messages: how the length of an oligo with an insert of so many bp comes about."""
        return (
            f"5' adapter {len(self.five_prime)} + insert {insert} + linker {len(self.linker)} + barcode {self.barcode} "
            f"+ 3' adapter {len(self.three_prime)}"
        )

    def oligo(self, insert: str, barcode: str) -> str:
        """The whole oligo, 5' to 3'. barcode: empty where the library has none."""
        return self.five_prime + insert + self.linker + barcode + self.three_prime

    def filters(self) -> list[str]:
        """What ``fault`` may answer, in the order in which it looks."""
        named = [f"forbidden {name}" for name, _ in self.forbidden]
        rest = [("homopolymer", self.max_homopolymer), ("gc", self.gc)]
        return ["not a base", "too long", *named, *(name for name, on in rest if on is not None)]

    def fault(self, insert: str, barcode: str | None = None) -> str | None:
        """The first thing that is wrong with the oligo of an insert, None where nothing is.

        barcode: None looks at what holds whatever the barcode will be. Looked for are letters other than A, C, G, T
        (upper case); a length over the limit; forbidden patterns and homopolymers that overlap the insert or the
        barcode; the share of G and C of the whole oligo. Linear in letters, for each pattern.
        """
        if _NOT_A_BASE.search(insert) or not insert:
            return "not a base"
        if len(insert) > self.room:
            return "too long"
        # N matches no pattern, so a barcode that is not chosen yet makes no site.
        oligo = self.oligo(insert, "N" * self.barcode if barcode is None else barcode)
        first = len(self.five_prime)
        tag = first + len(insert) + len(self.linker)
        if found := self.overlapping(oligo, [(first, first + len(insert)), (tag, tag + self.barcode)]):
            return found
        if self.gc is not None:
            share = (oligo.count("G") + oligo.count("C")) / (len(oligo) - oligo.count("N"))
            if not self.gc[0] <= share <= self.gc[1]:
                return "gc"
        return None

    def overlapping(self, text: str, spans: Sequence[tuple[int, int]]) -> str | None:
        """The first forbidden pattern, or ``homopolymer``, that overlaps one of the spans (half-open) of a text."""
        patterns = [(f"forbidden {name}", pattern) for name, pattern in self.forbidden]
        if self.max_homopolymer is not None:
            run = f"{{{self.max_homopolymer + 1},}}"
            patterns.append(("homopolymer", re.compile("|".join(base + run for base in BASES))))
        for name, pattern in patterns:
            for start, end in _places(pattern, text):
                if any(start < high and low < end for low, high in spans if low < high):
                    return name
        return None

    def meant(self) -> dict[str, int]:
        """How often each forbidden pattern stands in the parts that all oligos share, where it is left as meant."""
        parts = (self.five_prime, self.linker + "N" * self.barcode + self.three_prime)
        return {name: sum(len(list(_places(pattern, part))) for part in parts) for name, pattern in self.forbidden}


def _places(pattern: re.Pattern, text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of all matches, those that overlap too."""
    found = pattern.search(text)
    while found:
        yield found.span()
        found = pattern.search(text, found.start() + 1)
