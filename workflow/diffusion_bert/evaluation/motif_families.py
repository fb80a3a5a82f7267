"""Families of motifs: matrices so alike that they hit the same sites.

JASPAR has ten matrices of GATA factors. Whatever counts motifs would count a GATA site ten times; counted by family it
counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from diffusion_bert.evaluation.motif_library import Motif

THRESHOLD = 0.7


@dataclass(frozen=True)
class Families:
    """of_motif: each motif's family, numbered from 0 in the order of their first members, shape (M,).
    representative: of each family the motif most like its other members, a row number of the library, shape (F,)."""

    of_motif: np.ndarray
    representative: np.ndarray

    def __len__(self) -> int:
        return len(self.representative)


def similarity(motifs: Sequence[Motif]) -> np.ndarray:
    """How alike each two motifs are, at most 1 (the same matrix): float32, symmetric, shape (M, M).

    Pearson's correlation of base frequencies (Pietrokovski 1996) over all columns of an alignment without gaps, the
    best over all offsets and both strands. A column beyond a motif's end counts as one that says nothing, 1/4 each: so
    what two motifs share weighs by its information, and a short motif within a long one is like it as far as it is
    most of it. Cost: M x M x offsets x columns multiplications, as matrix products; memory a few M x M numbers.
    """
    longest = max((motif.width for motif in motifs), default=0)
    forward = np.zeros((len(motifs), longest, 4), dtype=np.float32)
    backward = np.zeros_like(forward)
    for row, motif in enumerate(motifs):
        # The mean of each column is 1/4, and so that of all columns: with it taken off, a correlation is a product.
        centred = (motif.counts / motif.counts.sum(axis=0)).T - 0.25
        centred /= max(np.sqrt((centred**2).sum()), 1e-9)
        forward[row, : motif.width] = centred
        backward[row, : motif.width] = centred[::-1, ::-1]
    best = np.full((len(motifs), len(motifs)), -1, dtype=np.float32)
    for offset in range(longest):
        rest = longest - offset
        ahead, turned = (one[:, offset:].reshape(len(motifs), -1) for one in (forward, backward))
        behind, other = (one[:, :rest].reshape(len(motifs), -1) for one in (forward, backward))
        # An offset to the left is one to the right with the two motifs in each other's place.
        for product in (ahead @ behind.T, ahead @ other.T, turned @ behind.T):
            np.maximum(best, product, out=best)
    best = np.maximum(best, best.T)
    np.fill_diagonal(best, 1)
    return best


def find_families(motifs: Sequence[Motif], threshold: float = THRESHOLD) -> Families:
    """Families by average linkage: two are joined while their members are alike by ``threshold`` on average.

    As RSAT matrix-clustering does (Castro-Mondragon et al. 2017), with the similarity above. A threshold of 0.7 makes
    about as many families of JASPAR's vertebrate motifs (275 of 1,019) as Vierstra et al. 2020 found archetypes (286).
    The representative is that of HOCOMOCO: the member most like the others. A motif like none is a family of one.
    """
    alike = np.round(similarity(motifs), 5)  # so that the last bits of a matrix product decide nothing
    if len(motifs) > 1:
        tree = hierarchy.linkage(squareform(1 - alike, checks=False), method="average")
        number = hierarchy.fcluster(tree, t=1 - threshold, criterion="distance")
    else:
        number = np.ones(len(motifs), dtype=np.int64)
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    of_motif = np.argsort(np.argsort(first))[inverse]
    representative = []
    for family in range(len(first)):
        members = np.flatnonzero(of_motif == family)
        representative.append(members[alike[np.ix_(members, members)].sum(axis=1).argmax()])
    return Families(of_motif, np.array(representative, dtype=np.int64))
