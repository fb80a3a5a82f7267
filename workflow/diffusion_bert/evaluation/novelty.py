"""Novelty and diversity: is a sequence new, or a copy of training; is the set many sequences, or few over and over."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import edlib
import mappy
import numpy as np
import pandas as pd
from scipy import sparse

from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.letters import lengths_of, reverse_complement
from diffusion_bert.evaluation.metrics.novelty import METRICS
from diffusion_bert.evaluation.rows import Rows, compared, groups
from diffusion_bert.evaluation.shared import longest_shared

NEAR = 0.9
# Short and dense seeds: of 100-bp sequences with 10 % edits to a training sequence 0.998 were found, with 20 % 0.91.
SEEDING = {"k": 9, "w": 3, "min_cnt": 2, "min_chain_score": 15, "min_dp_score": 15, "best_n": 5}
NO_DIAGONAL = 0x001  # minimap2's MM_F_NO_DIAG: no seeds of a sequence with itself, told by name
FEWEST_LETTERS = 20
FIRST, COMPANY = 100, 20  # see near_duplicates
# How often a word of a sequence may stand in it, on average; where it is more, it is simple, as microsatellites are.
MOST_REPEATS = 4.0
CHUNK = 10_000  # sequences whose words are sorted at once


def identity(query: str, target: str) -> float:
    """1 - edits / length of the query, on the better strand: the query aligned whole, the target's ends free.

    0 at worst. So a window that is a training window moved by a fifth of its length has an identity of 0.8.
    """
    if not query or not target:
        return 0.0
    edits = min(
        edlib.align(strand, target, mode="HW", task="distance")["editDistance"]
        for strand in (query, reverse_complement(query))
    )
    return max(0.0, 1 - edits / len(query))


def are_simple(sequences: Sequence[str]) -> np.ndarray:
    """Whether each says a few words (the 9-mers of SEEDING) over and over: the mean number of a word, at each place.

    For a pair of such sequences an aligner takes steps by the square of that number: a second for a hundred of poly-A.
    bool (n,). Linear in n; letters are told apart by their 7 bits of ASCII, so that nine of them are one number.
    """
    size, out = SEEDING["k"], np.zeros(len(sequences), dtype=bool)
    for begin in range(0, len(sequences), CHUNK):
        some = list(sequences[begin : begin + CHUNK])
        places = np.maximum(lengths_of(some) - size + 1, 0)
        longest = int(places.max(initial=0))
        letters = np.frombuffer(
            "".join(one.ljust(longest + size - 1) for one in some).encode("ascii", "replace"), dtype=np.uint8
        )
        letters = letters.reshape(len(some), -1)
        words = np.zeros((len(some), longest), dtype=np.int64)
        for shift in range(size):
            words = words << 7 | letters[:, shift : shift + longest]
        inside = np.arange(longest) < places[:, None]
        row = np.repeat(np.arange(len(some)), places)
        # Sorted within each row; what lies beyond a sequence's end is larger than any word, and so it is last.
        words = np.sort(np.where(inside, words, np.iinfo(np.int64).max), axis=1)[inside]
        first = np.flatnonzero(np.concatenate([[True], (words[1:] != words[:-1]) | (row[1:] != row[:-1])])[: len(row)])
        number = np.diff(first, append=len(row))
        squares = np.bincount(row[first], weights=number.astype(np.float64) ** 2, minlength=len(some))
        out[begin : begin + len(some)] = squares > MOST_REPEATS * places
    return out


class Library:
    """Sequences to be compared with. Built once; linear in letters."""

    def __init__(self, sequences: Sequence[str]):
        self.sequences = list(sequences)
        self._aligner = None
        simple = are_simple(self.sequences)
        self._simple = np.flatnonzero(simple).tolist()
        self._simple = self._simple[:: max(len(self._simple) // FIRST, 1)]
        kept = [row for row, s in enumerate(self.sequences) if len(s) >= FEWEST_LETTERS and not simple[row]]
        if kept:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "library.fa"
                path.write_text("".join(f">{row}\n{self.sequences[row]}\n" for row in kept))
                self._aligner = mappy.Aligner(str(path), n_threads=1, **SEEDING)

    def candidates(self, query: str, simple: bool, row: int | None = None) -> list[int]:
        """Rows of the library that share a chain of seeds with the query, on either strand, without repeats.

        simple: what are_simple says of the query. If it is, the rows are a hundred of the library's simple sequences,
        evenly through it. row: the query's own row, where it is of the library. It is left out before the seeds are
        chained, since mappy drops chains that are much weaker than the best, and none is better than that of a sequence
        with itself. What a query costs grows with the library, the more slowly the larger: 0.2 ms for 2,000 sequences
        of 200 bp, 0.6 for 10,000, 0.9 for 40,000.
        """
        if simple:
            return [other for other in self._simple if other != row]
        if self._aligner is None or len(query) < FEWEST_LETTERS:
            return []
        own = {} if row is None else {"name": str(row), "extra_flags": NO_DIAGONAL}
        found = dict.fromkeys(int(hit.ctg) for hit in self._aligner.map(query, **own))
        return [other for other in found if other != row]


def nearest(queries: Sequence[str], library: Library) -> pd.DataFrame:
    """Per query: identity (see above), nearest (row of the library, -1 for none), longest_shared (bp, either strand).

    The candidates are those that mappy finds and the one that shares the longest stretch, so that there is always
    one, and a copy or a long piece is never missed; a sequence that shares nothing but short words may have a nearer
    neighbour than the one given. Linear in queries; in the library, see Library.candidates.
    """
    forward = longest_shared(queries, library.sequences)
    backward = longest_shared([reverse_complement(query) for query in queries], library.sequences)
    shared = np.maximum(forward[0], backward[0])
    owner = np.where(backward[0] > forward[0], backward[1], forward[1])
    rows = []
    for query, holder, simple in zip(queries, owner.tolist(), are_simple(queries).tolist(), strict=True):
        candidates = dict.fromkeys([*([holder] if holder >= 0 else []), *library.candidates(query, simple)])
        scored = [(identity(query, library.sequences[row]), -row) for row in candidates]
        best = max(scored, default=(0.0, 1))
        rows.append((best[0], -best[1]))
    out = pd.DataFrame(rows, columns=["identity", "nearest"])
    return out.assign(longest_shared=shared)


def near_duplicates(sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each sequence has another in the set with an identity of at least 0.9, bool (n,); its cluster, int (n,).

    Identity on either strand, of either to the other. Clusters are those of single linkage: chains of such pairs.
    Equal sequences always count; candidates of others come from mappy, so that a link may be missed between
    sequences that have many such neighbours. Linear in n, for a set that is one sequence over and over with few edits
    as well: what is near to one of the first hundred looked at, and in company, is not compared with all the rest.
    """
    keys = canonical(sequences)
    counts = pd.Series(keys).value_counts()
    distinct = sorted(counts.index)
    row_of = {key: row for row, key in enumerate(distinct)}
    simple, pairs = are_simple(distinct).tolist(), []
    # A hundred, evenly through the sorted list: large families are among them.
    few = list(range(0, len(distinct), max(len(distinct) // FIRST, 1)))
    place = {row: number for number, row in enumerate(few)}
    library = Library([distinct[row] for row in few])
    for row, key in enumerate(distinct):
        candidates = library.candidates(key, simple[row], place.get(row))
        pairs += [(row, few[other]) for other in candidates if _near(key, distinct[few[other]])]
    company = np.bincount([other for _, other in pairs], minlength=len(distinct))
    settled = {row for row, other in pairs if company[other] > COMPANY}
    library = Library(distinct)
    for row, key in enumerate(distinct):
        if row not in settled:
            candidates = library.candidates(key, simple[row], row)
            pairs += [(row, other) for other in candidates if _near(key, distinct[other])]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(ends.shape[1]), ends), shape=(len(distinct), len(distinct)))
    cluster = sparse.csgraph.connected_components(graph, directed=False)[1] if distinct else np.zeros(0, dtype=np.int64)
    linked = np.zeros(len(distinct), dtype=bool)
    linked[ends.ravel()] = True
    rows = np.array([row_of[key] for key in keys], dtype=np.int64)
    return linked[rows] | (counts.reindex(distinct).to_numpy()[rows] > 1), cluster[rows]


def _near(one: str, other: str) -> bool:
    return identity(one, other) >= NEAR


def canonical(sequences: Sequence[str]) -> list[str]:
    """Each sequence or its reverse complement, whichever comes first in the alphabet: the same for both strands."""
    return [min(sequence, reverse_complement(sequence)) for sequence in sequences]


def evaluate_novelty(
    sets: pd.DataFrame, train: pd.DataFrame, *, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Novelty against all training windows, and diversity within each set, label by label.

    sets: SETS frame. train: WINDOWS frame (all of training, not the sample in the sets). Every sequence is compared
    with the training windows of all labels. Details ``sequences``: set, label, name, identity, longest_shared (bp),
    nearest (name of the training window: train_ and its row in the table, 1-based; null where none shares a letter).
    What is said of a set as such has an interval by the bootstrap over sequences, each keeping its own status.
    """
    rows, draws = Rows(), Resamples(bootstrap, seed)
    names = compared(sets)
    library = Library(train["sequence"].tolist())
    chosen = sets[sets["set"].isin(names)].reset_index(drop=True)
    sequences = chosen["sequence"].tolist()
    found = nearest(sequences, library)
    keys = np.array(canonical(sequences), dtype=object)
    found["exact"] = pd.Series(keys).isin(set(canonical(library.sequences))).to_numpy()
    for label, members in groups(chosen):
        for name in names:
            at = members[name]
            n = len(at)
            if n == 0:
                for metric in METRICS:
                    rows.missing(metric.name, label, name, 0, "no sequence")
                continue
            near, cluster = near_duplicates([sequences[row] for row in at])
            size = np.bincount(cluster)
            values = {
                "nearest_identity": found["identity"].to_numpy()[at],
                "exact_copies": found["exact"].to_numpy()[at],
                "near_copies": found["identity"].to_numpy()[at] >= NEAR,
                "longest_shared": found["longest_shared"].to_numpy()[at],
                # Each distinct sequence counts once, shared out among its copies, so that the mean is distinct / n.
                "unique": 1 / pd.Series(keys[at]).map(pd.Series(keys[at]).value_counts()).to_numpy(),
                "near_duplicates": near,
                "clusters": 1 / size[cluster],
                "largest_cluster": cluster == size.argmax(),
            }
            for metric, value in values.items():
                value = value.astype(np.float64)
                rows.add(metric, label, name, float(value.mean()), sums(draws(n, label), value) / n, n)
    nearest_name = [f"train_{row + 1}" if row >= 0 else None for row in found["nearest"].tolist()]
    details = chosen[["set", "label", "name"]].assign(
        identity=found["identity"], longest_shared=found["longest_shared"], nearest=pd.Series(nearest_name, dtype="str")
    )
    return rows.frame(), {"sequences": details}
