"""What has been drawn, kept in a file as it comes: a killed run goes on from there, a larger one draws what is new.

A draw is a function of the model, the sampler's settings, the seed, the code, and of which it is: label, number among
those of the label, attempt, length or template. The first four are the ``identity`` of a file: JSON lines, the
identity first, then a draw or a bound on its likelihood each. A last line that was cut off by a kill does not count.
Files of another identity count as empty. Any of them may be removed at any time.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_bert.tables import Columns, check

# Draws by file: what the shards of a run hand over. ``template`` is null where there is none.
DRAWS: Columns = {
    "label": "text?",
    "number": "int",
    "attempt": "int",
    "length": "int",
    "template": "text?",
    "sequence": "text",
    "bits_per_base": "float?",
}


@dataclass(frozen=True)
class Draw:
    """Which draw of which sequence. number: among the sequences of its label, from 0; attempt: from 0; length: bp."""

    label: str | None
    number: int
    attempt: int
    length: int
    template: str | None

    def again(self) -> "Draw":
        """The next attempt at the same sequence."""
        return Draw(self.label, self.number, self.attempt + 1, self.length, self.template)


class Draws:
    """The draws that are known: ``sequences`` {Draw: DNA} and ``bits`` {Draw: bits a base}.

    file: where new ones are kept, None for nowhere. identity: what they are a function of besides the Draw. Draws of
    the other files of its folder are known too, if their identity is the same. samples: of the bounds in ``bits``,
    others are not taken.
    """

    def __init__(self, file: Path | None = None, identity: str = "", samples: int = 0):
        self.sequences: dict[Draw, str] = {}
        self.bits: dict[Draw, float] = {}
        self.file, self.samples = file, samples
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in sorted(file.parent.glob("*.jsonl")):
            if other != file:
                self._take(_entries(other, identity))
        own = list(_entries(file, identity))
        self._take(own)
        # Rewritten, since what a kill cut off would spoil the next line; beside, so that a kill now loses nothing.
        part = file.with_name(f".{file.name}.part")
        with part.open("w") as handle:
            for entry in [{"identity": identity}, *own]:
                handle.write(json.dumps(entry) + "\n")
        part.replace(file)

    def _take(self, entries: Iterable[dict[str, Any]]) -> None:
        for entry in entries:
            draw = Draw(**entry["draw"])
            if "sequence" in entry:
                self.sequences[draw] = entry["sequence"]
            elif entry["samples"] == self.samples:
                self.bits[draw] = entry["bits_per_base"]

    def keep(self, sequences: dict[Draw, str] | None = None, bits: dict[Draw, float] | None = None) -> None:
        """Know these from now on; in the file when the call returns."""
        self.sequences |= sequences or {}
        self.bits |= bits or {}
        if self.file is not None:
            lines = [{"draw": asdict(draw), "sequence": dna} for draw, dna in (sequences or {}).items()]
            lines += [
                {"draw": asdict(draw), "samples": self.samples, "bits_per_base": value}
                for draw, value in (bits or {}).items()
            ]
            with self.file.open("a") as handle:
                handle.write("".join(json.dumps(line) + "\n" for line in lines))

    def table(self, wanted: Iterable[Draw]) -> pd.DataFrame:
        """The DRAWS table of these."""
        rows = [{**asdict(d), "sequence": self.sequences[d], "bits_per_base": self.bits.get(d)} for d in wanted]
        return check(pd.DataFrame(rows, columns=list(DRAWS)), DRAWS, "the draws")

    def take_table(self, table: pd.DataFrame) -> None:
        """Know the draws of a DRAWS table, without keeping them."""
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
            draw = Draw(row.label, row.number, row.attempt, row.length, row.template)
            self.sequences[draw] = row.sequence
            if row.bits_per_base is not None:
                self.bits[draw] = row.bits_per_base


def _entries(file: Path, identity: str) -> Iterator[dict[str, Any]]:
    """The draws of a file, up to the first line that is not whole; none where its identity is another."""
    if not file.is_file():
        return
    with file.open() as handle:
        for number, line in enumerate(handle):
            try:
                entry = json.loads(line)
            except ValueError:
                return
            if not line.endswith("\n") or (number == 0 and entry != {"identity": identity}):
                return
            if number:
                yield entry
