"""Filters: restriction sites against Biopython's own search, homopolymers and GC against a plain count."""

import itertools

import numpy as np
import pytest
from Bio.Restriction import AllEnzymes
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.patterns import site_of
from diffusion_bert.sampling.filters import Filters

NONE = {"forbidden": [], "max_homopolymer": None, "gc": None, "keep_duplicates": False, "attempts": 20}


def filters(**changes):
    return Filters.from_settings({**NONE, **changes})


@pytest.mark.parametrize("name", ["EcoRI", "BsaI", "BsmBI", "HinfI", "AluI", "BstXI", "SfiI"])
def test_a_restriction_site_is_found_where_biopython_cuts(name):
    """Palindromes, sites of one strand only (BsaI), and sites with N (BstXI): on either strand of a linear sequence."""
    rng = np.random.default_rng(1)
    enzyme = AllEnzymes.get(name)
    sequences = ["".join(rng.choice(list("ACGT"), 300)) for _ in range(150)]
    site = "".join({"N": "A", "R": "G", "Y": "C"}.get(letter, letter) for letter in enzyme.site)
    for i in range(0, 60, 2):
        cut = str(Seq(site).reverse_complement()) if i % 4 else site
        sequences[i] = sequences[i][:100] + cut + sequences[i][100 + len(cut) :]
    flank = 40 * ("C" if name == "AluI" else "A")
    ours = [filters(forbidden=[name]).failed(sequence) is not None for sequence in sequences]
    # Flanks that make no site: Biopython leaves out one whose cut lies outside the sequence.
    theirs = [bool(enzyme.search(Seq(flank + sequence + flank))) for sequence in sequences]
    assert ours == theirs
    assert sum(ours) >= 30


@pytest.mark.parametrize(
    ("pattern", "sequence", "found"),
    [
        ("GATTACA", "AAGATTACAAA", True),
        ("GATTACA", "AATGTAATCAA", True),  # the other strand
        ("GATTACA", "AAGATTACTAA", False),
        ("GRCYN", "AAGACCTAA", True),
        ("GRCYN", "AAGACC", False),  # N is a base, too
        ("WWW", "GATAG", True),
    ],
)
def test_a_pattern_counts_on_both_strands(pattern, sequence, found):
    assert filters(forbidden=[pattern]).failed(sequence) == (f"forbidden {pattern}" if found else None)


@given(st.text("ACGT", min_size=1, max_size=30), st.integers(1, 5))
def test_homopolymers(sequence, most):
    longest = max(len(list(run)) for _, run in itertools.groupby(sequence))
    assert (filters(max_homopolymer=most).failed(sequence) == "homopolymer") == (longest > most)


def test_gc_bounds_are_inclusive():
    bounded = filters(gc=[0.25, 0.5])
    assert [bounded.failed(sequence) for sequence in ("AATT", "AATG", "AACG", "ACGC")] == ["gc", None, None, "gc"]


def test_the_first_filter_that_is_not_passed_is_named():
    several = filters(forbidden=["EcoRI", "CCCC"], max_homopolymer=4, gc=[0.2, 0.4])
    assert several.names() == ["forbidden EcoRI", "forbidden CCCC", "homopolymer", "gc"]
    assert several.failed("GAATTCCCCC") == "forbidden EcoRI"
    assert several.failed("TGGGGGA") == "forbidden CCCC"
    assert several.failed("AAAAAGC") == "homopolymer"
    assert several.failed("AATATT") == "gc"
    assert several.failed("AACGATA") is None


def test_what_is_no_site_and_no_pattern_is_refused():
    with pytest.raises(UserError, match="names EcoR1, which is neither a restriction enzyme nor a pattern. Did you m"):
        filters(forbidden=["EcoR1"])
    with pytest.raises(UserError, match="generate.filters.gc is"):
        filters(gc=[0.6, 0.4])
    assert site_of("BsaI", "forbidden") == "GGTCTC"
    assert site_of("ACGN", "forbidden") == "ACGN"
