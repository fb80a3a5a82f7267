"""Barcodes: short words, each at least so many letters from every other, safe to synthesise and to cut around."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from diffusion_bert.design.oligos import Oligos
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.letters import decode

LONGEST_RUN = 3  # bp of one base; longer ones are misread
GC = (0.3, 0.7)
_FEW = 4**8  # of no more words than this, each is looked at once; more are drawn
_IN_VAIN = 20_000  # words in a row that are too near to others: there is no room for more
_TRIES = 1000  # barcodes for one insert, of which none fits
_AT_ONCE = 4096


class Barcodes:
    """Barcodes of one library, handed out one by one, in an order that the seed fixes.

    Any two differ in ``distance`` places at least, so that (distance - 1) // 2 substitutions leave each nearest to its
    own. None has a homopolymer over 3 bp (or library.max_homopolymer), a share of G and C outside 30 to 70 %, or a
    forbidden pattern, in itself or over a junction with linker and adapters. Words are looked at in random order and
    kept where none before is too near (Gilbert 1952), until 20,000 in a row are not.
    """

    def __init__(self, oligos: Oligos, distance: int, seed: int):
        self.oligos, self.distance = oligos, distance
        self._known = np.zeros((0, oligos.barcode), dtype=np.uint8)
        self._words = self._drawn(np.random.default_rng(seed))
        self._over: list[str] = []

    def take(self, insert: str) -> str:
        """The next barcode with which nothing is wrong in the oligo of the insert; those passed over come first for the
        next insert. Cost: the number handed out, for each word that is looked at.

        Raises UserError where there is none left, and where none of 1,000 fits the insert.
        """
        for place, word in enumerate(self._over):
            if self.oligos.fault(insert, word) is None:
                return self._over.pop(place)
        wrong: Counter[str] = Counter()
        for word in self._words:
            fault = self.oligos.fault(insert, word)
            if fault is None:
                return word
            self._over.append(word)
            wrong[fault] += 1
            if wrong.total() == _TRIES:
                told = ", ".join(f"{count} {what}" for what, count in wrong.items())
                raise UserError(
                    f"None of {_TRIES} barcodes fits the insert {insert} (they fail by: {told}).",
                    "Loosen library.gc or library.forbidden.",
                )
        raise UserError(
            f"No more than {self.made} barcodes of {self.oligos.barcode} bp that differ in {self.distance} places fit "
            "the oligos (library.barcodes).",
            "Make them longer, lower barcodes.distance or barcodes.per_sequence, or order fewer sequences.",
        )

    @property
    def made(self) -> int:
        """How many have been handed out."""
        return len(self._known) - len(self._over)

    def _drawn(self, generator: np.random.Generator) -> Iterator[str]:
        """The words that are kept, in their order."""
        length, in_vain = self.oligos.barcode, 0
        for codes in _batches(length, generator):
            for word in codes[_sound(codes)]:
                text = decode(word[None])[0]
                near = len(self._known) and (self._known != word).sum(axis=1).min() < self.distance
                if not near and self._fits(text):
                    self._known = np.concatenate([self._known, word[None]])
                    in_vain = 0
                    yield text
                in_vain += 1
                if in_vain > _IN_VAIN:
                    return

    def _fits(self, barcode: str) -> bool:
        """Whether it fits the parts that all oligos share, so that it is not tried with every insert in vain."""
        around = self.oligos.linker + barcode + self.oligos.three_prime
        first = len(self.oligos.linker)
        return not self.oligos.overlapping(around, [(first, first + len(barcode))])


def _batches(length: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Words as letter codes (n, length): each once where there are few, else drawn without end."""
    if 4**length <= _FEW:
        numbers = generator.permutation(4**length)
        shifts = 4 ** np.arange(length - 1, -1, -1, dtype=np.int64)
        yield (numbers[:, None] // shifts % 4).astype(np.uint8)
        return
    while True:
        yield generator.integers(0, 4, size=(_AT_ONCE, length), dtype=np.uint8)


def _sound(codes: np.ndarray) -> np.ndarray:
    """Which words (n, length) have GC and homopolymers within bounds."""
    share = ((codes == 1) | (codes == 2)).mean(axis=1)
    run = np.ones(len(codes), dtype=np.int64)
    longest = run.copy()
    for place in range(1, codes.shape[1]):
        run = np.where(codes[:, place] == codes[:, place - 1], run + 1, 1)
        longest = np.maximum(longest, run)
    return (share >= GC[0]) & (share <= GC[1]) & (longest <= LONGEST_RUN)
