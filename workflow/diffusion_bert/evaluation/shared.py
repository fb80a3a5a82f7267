"""The longest stretch that a sequence shares, letter by letter, with any sequence of a library: exact.

Every suffix of the library is a row of words, 21 letters in each, and so is every suffix of the queries. In the sorted
list of first words, the longest common prefix of a query's word is with one of its two neighbours. Only suffixes whose
21 letters all match go on to the second word, and so on: no hashing, nothing missed. Cost: one sort of the library's
letters and one look-up of each query letter, and again for the letters inside exact matches of 21, 42, ... bp.
"""

from collections.abc import Sequence

import numpy as np

from diffusion_bert.evaluation.letters import OTHER, encode, lengths_of

WORD = 21  # letters of 3 bits in a word of 63
_POWERS = 8 ** np.arange(WORD, dtype=np.int64)


def longest_shared(queries: Sequence[str], library: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Per query: the length (bp) of its longest substring that is in a library sequence, and that sequence's row.

    One strand; the row is -1 where the length is 0. Letters other than A, C, G, T match nothing.
    """
    best, owner = np.zeros(len(queries), dtype=np.int64), np.full(len(queries), -1, dtype=np.int64)
    if not len(queries) or not len(library):
        return best, owner
    # Ends and other letters differ between library and queries, so that they never match.
    ours = _Suffixes(queries, end=5, other=7)
    theirs = _Suffixes(library, end=0, other=6)
    q, t = np.arange(ours.size), np.arange(theirs.size)
    q_group, t_group = np.zeros(ours.size, dtype=np.int64), np.zeros(theirs.size, dtype=np.int64)
    depth = 0
    while len(q) and len(t):
        q_word, t_word = ours.words(q, depth), theirs.words(t, depth)
        order = np.lexsort((t_word, t_group))
        t, t_group, t_word = t[order], t_group[order], t_word[order]
        # One key a (group, word): the rank of the library's distinct pairs, in order.
        first = np.ones(len(t), dtype=bool)
        first[1:] = (t_group[1:] != t_group[:-1]) | (t_word[1:] != t_word[:-1])
        starts = np.flatnonzero(first)
        at = _insertion(t_group[starts], t_word[starts], q_group, q_word)
        matched = np.full(len(q), -1, dtype=np.int64)
        for neighbour in (at - 1, at):
            there = (neighbour >= 0) & (neighbour < len(starts))
            row = starts[np.clip(neighbour, 0, len(starts) - 1)]
            there &= t_group[row] == q_group
            # Equal words differ in no digit; otherwise the digits of the difference, base 8, are those from the first
            # letter that differs on.
            equal = WORD - np.searchsorted(_POWERS, q_word ^ t_word[row], side="right")
            equal = np.where(there, equal, 0)
            better = equal + depth > best[ours.row[q]]
            _raise(best, owner, ours.row[q][better], (equal + depth)[better], theirs.row[t[row]][better])
            matched = np.where(there & (equal == WORD), neighbour, matched)
        go_on = matched >= 0
        rank_of_t = np.cumsum(first) - 1
        t_on = np.isin(rank_of_t, matched[go_on])
        q, q_group = q[go_on], matched[go_on]
        t, t_group = t[t_on], rank_of_t[t_on]
        depth += WORD
    return best, owner


class _Suffixes:
    """All suffixes of the sequences, numbered; row: the sequence that each belongs to."""

    def __init__(self, sequences: Sequence[str], end: int, other: int):
        lengths = lengths_of(sequences)
        codes = encode(sequences)
        longest = codes.shape[1]
        letters = np.where(codes == OTHER, other, codes + 1).astype(np.uint8)
        letters[np.arange(longest) >= lengths[:, None]] = end
        # Only suffixes that match letter by letter go deeper, so no word begins behind the one that is all end.
        self._width = longest + 1
        padded = np.full((len(codes), self._width), end, dtype=np.uint8)
        padded[:, :longest] = letters
        word = np.zeros(padded.shape, dtype=np.int64)
        for shift in range(WORD):
            word *= 8
            word[:, : max(self._width - shift, 0)] += padded[:, shift:]
            word[:, max(self._width - shift, 0) :] += end
        self._word = word.ravel()
        row, start = np.nonzero(np.arange(longest) < lengths[:, None])
        self.row = row
        self._flat = row * self._width + start
        self.size = len(row)

    def words(self, suffixes: np.ndarray, depth: int) -> np.ndarray:
        """The word that begins ``depth`` letters into each suffix (whose letters up to there exist)."""
        return self._word[self._flat[suffixes] + depth]


def _insertion(groups: np.ndarray, words: np.ndarray, group: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Where (group, word) would stand in the sorted list of pairs (groups, words): the first that is not less."""
    if groups[-1] == 0 and groups[0] == 0:
        return np.searchsorted(words, word, side="left")
    distinct, rank = np.unique(np.concatenate([words, word]), return_inverse=True)
    keys = groups * len(distinct) + rank[: len(words)]
    return np.searchsorted(keys, group * len(distinct) + rank[len(words) :], side="left")


def _raise(best: np.ndarray, owner: np.ndarray, rows: np.ndarray, lengths: np.ndarray, owners: np.ndarray) -> None:
    """best[row] = the largest of its lengths, with the owner of that length (the first in order)."""
    order = np.lexsort((owners, -lengths, rows))
    rows, lengths, owners = rows[order], lengths[order], owners[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = rows[1:] != rows[:-1]
    best[rows[first]], owner[rows[first]] = lengths[first], owners[first]
