"""What a sequence must not hold, as patterns: restriction sites by their enzyme, or IUPAC letters, on both strands.

Used where sequences are generated and where a library is ordered.
"""

import difflib
import re

from diffusion_bert.errors import UserError

BASES = "ACGT"
# What each IUPAC letter means, as a class of a regular expression.
_CLASS = {
    **{base: base for base in BASES},
    **{
        letter: f"[{of}]"
        for letter, of in {
            "R": "AG",
            "Y": "CT",
            "S": "CG",
            "W": "AT",
            "K": "GT",
            "M": "AC",
            "B": "CGT",
            "D": "AGT",
            "H": "ACT",
            "V": "ACG",
            "N": "ACGT",
        }.items()
    },
}
_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


def site_of(name: str, key: str) -> str:
    """The pattern, in IUPAC letters, that a restriction enzyme recognises, or the pattern itself where it is one.

    name: an enzyme as Biopython (REBASE) has it, or a pattern. key: the config's, for the message. Raises UserError for
    a name that is neither.
    """
    if name and set(name) <= set(_CLASS):
        return name
    from Bio.Restriction import AllEnzymes  # builds a thousand classes: only where it is asked for

    known = {str(enzyme): enzyme for enzyme in AllEnzymes}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        raise UserError(
            f"{key} names {name}, which is neither a restriction enzyme nor a pattern."
            + (f" Did you mean {close[0]}?" if close else ""),
            "Name an enzyme as REBASE does (EcoRI, BsaI), or write a pattern in upper-case IUPAC letters.",
        )
    return known[name].site


def both_strands(pattern: str) -> re.Pattern:
    """A regular expression that finds a pattern in IUPAC letters on either strand; its N is any base, but no N."""
    strands = dict.fromkeys([pattern, pattern.translate(_COMPLEMENT)[::-1]])
    return re.compile("|".join("".join(_CLASS[letter] for letter in strand) for strand in strands))
