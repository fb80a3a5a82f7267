"""De novo discovery: the motifs that a set of sequences holds more often than its own dinucleotide shuffles do.

In the manner of STREME (Bailey 2021) and DREME (Bailey 2011): words enriched in number of sequences are the seeds; each
grows into a matrix by turns of finding every sequence's best site, choosing the score threshold that parts sequences
from shuffles best, and counting the sites above it; the winner is tested once on sequences kept aside, its sites are
masked, and the search goes on.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.letters import OTHER, encode, lengths_of
from diffusion_bert.evaluation.motif_library import Motif
from diffusion_bert.evaluation.scan import base_composition, log_odds
from diffusion_bert.seeds import derive_seed

ALPHA = 0.05  # chance that any motif at all is called in sequences that hold none
PATIENCE = 3  # motifs in a row that fail the test, after which the search ends
FEWEST = 20  # sequences, of which half are searched and half kept aside
SHORTEST, LONGEST = 6, 20  # bp, of a motif
WORD = 6
GAPS = range(1, 9)
SEEDS = 8  # words of each kind that are tried
FINALISTS = 4
TURNS = 12
MARGIN = 4  # bp by which a motif may grow at either end in one turn
INFORMATIVE = 0.3  # bits, of the columns at a motif's ends
SHUFFLED = 1000  # shuffles at least, so that small sets too are held against a smooth background
_NO_SITE = -(10**6)
_FEWEST_SITES = 5
_LOG = logging.getLogger(__name__)

# IUPAC letters of the pairs, by the row numbers of their bases.
_PAIRS = {(0, 1): "M", (0, 2): "R", (0, 3): "W", (1, 2): "S", (1, 3): "Y", (2, 3): "K"}


@dataclass(frozen=True)
class Discovered:
    """A motif of a set of sequences.

    counts: letters of its sites, the best one of each sequence with a site, (4, width). sites: how many these are.
    share, share_shuffled: of all sequences, and of all shuffles, that have a site. p_value: one-sided Fisher test of
    the same on the sequences kept aside alone. All sites of motifs found earlier are masked.
    """

    counts: np.ndarray
    sites: int
    share: float
    share_shuffled: float
    p_value: float

    @property
    def consensus(self) -> str:
        return consensus(self.counts)


def consensus(counts: np.ndarray) -> str:
    """IUPAC letters of a matrix (4, width) after Cavener (1987): a base with more than half and twice the next one's
    share; else the two bases that have more than three quarters together; else N."""
    out = []
    for column in (counts / counts.sum(axis=0)).T:
        first, second = np.argsort(-column, kind="stable")[:2]
        if column[first] > 0.5 and column[first] > 2 * column[second]:
            out.append("ACGT"[first])
        elif column[first] + column[second] > 0.75:
            out.append(_PAIRS[tuple(sorted((int(first), int(second))))])
        else:
            out.append("N")
    return "".join(out)


def discover(sequences: Sequence[str], *, number: int, seed: int) -> list[Discovered]:
    """At most ``number`` motifs of the sequences, the smallest p-value first.

    Both strands; lengths may differ; other letters than A, C, G, T are in no site. A motif is called where its p-value
    on the sequences kept aside is at most 0.05 / number. 250 sequences are kept aside, or a fifth, whichever is more,
    but at most half. Fewer than 20 sequences give no motif. The same sequences and seed give the same motifs.
    Cost: linear in letters and in the motifs tried.
    """
    sequences = [sequence for sequence in sequences if sequence]
    if number < 1 or len(sequences) < FEWEST:
        return []
    order = np.random.default_rng(derive_seed(seed, "kept aside")).permutation(len(sequences))
    aside = min(max(250, len(sequences) // 5), len(sequences) // 2)
    copies = -(-SHUFFLED // len(sequences))
    shuffles = [dinucleotide_shuffle(sequences, seed=derive_seed(seed, "shuffle", copy)) for copy in range(copies)]
    background = base_composition(sequences)
    search, held = (
        Pool([sequences[row] for row in part], [shuffle[row] for shuffle in shuffles for row in part])
        for part in (order[aside:].tolist(), order[:aside].tolist())
    )
    found: list[Discovered] = []
    failed = 0
    while len(found) < number and failed < PATIENCE:
        best = _best_motif(search, background)
        if best is None:
            break
        scores, threshold = best
        parts = [(pool, pool.sites(threshold, *pool.best(scores))) for pool in (search, held)]
        p_value = _fisher(held, parts[1][1].at >= 0)
        if p_value <= ALPHA / number:
            found.append(_described(parts, scores.shape[1], p_value))
            failed = 0
        else:
            failed += 1
        for pool in (search, held):
            pool.mask(scores, threshold)
    _LOG.info("%d motifs in %d sequences, of which %d were kept aside", len(found), len(sequences), aside)
    return sorted(found, key=lambda one: one.p_value)


@dataclass(frozen=True)
class BestSites:
    """The best site of every sequence: at (place in the text, -1 where none reaches the threshold), strand (bool,
    whether it is the forward one)."""

    at: np.ndarray
    forward: np.ndarray


class Pool:
    """Sequences and then their shuffles, end to end in one text, with its words of six letters."""

    def __init__(self, sequences: Sequence[str], shuffles: Sequence[str]):
        texts = [*sequences, *shuffles]
        lengths = lengths_of(texts)
        self.n, self.shuffled = len(sequences), len(shuffles)
        # A letter that is none ends each sequence, so that no site crosses; more of them follow the last one.
        self.codes = encode(["N".join(texts) + "N" * (LONGEST + 2 * MARGIN)])[0]
        self.starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        self.size = int((lengths + 1).sum())
        self.owner = np.repeat(np.arange(len(texts)), lengths + 1)
        self._spell()

    def _spell(self) -> None:
        self._words = _word_index(self.codes, WORD)

    def scores(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The score of the site that starts at each place, forward and backward: int32, (size,) each.

        A matrix is looked up six columns at a time: the sum of six letters' scores is a table of 4096 words.
        """
        return self._strand(scores), self._strand(scores[::-1, ::-1])

    def _strand(self, scores: np.ndarray) -> np.ndarray:
        width = scores.shape[1]
        total = None
        for first in range(0, width, WORD):
            # The last block reaches back, so as not to look beyond the site's end; it counts its own columns only.
            begin = min(first, width - WORD)
            block = scores[:, begin : begin + WORD].copy()
            block[:, : first - begin] = 0
            table = np.zeros(1, dtype=np.int32)
            for column in block.T:
                table = (table[:, None] + column[None, :].astype(np.int32)).ravel()
            table = np.append(table, np.int32(_NO_SITE))
            part = table[self._words[begin : begin + self.size]]
            total = part if total is None else np.add(total, part, out=total)
        return total

    def best(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every sequence's best score, (n + shuffled,), and the scores of all places on both strands."""
        forward, backward = self.scores(scores)
        return np.maximum.reduceat(np.maximum(forward, backward), self.starts), forward, backward

    def sites(self, threshold: int, best: np.ndarray, forward: np.ndarray, backward: np.ndarray) -> BestSites:
        """The sites behind what ``best`` says. The first of equally good ones counts, and the forward strand."""
        top = np.maximum(forward, backward)
        places = np.flatnonzero((top >= threshold) & (top == best[self.owner]))
        owners, first = np.unique(self.owner[places], return_index=True)
        at = np.full(len(best), -1)
        at[owners] = places[first]
        return BestSites(at, forward[at] >= backward[at])

    def letters(self, sites: BestSites, width: int, margin: int) -> np.ndarray:
        """How often each letter stands at each place of the sequences' (not the shuffles') sites, and ``margin`` bp to
        either side: (4, width + 2 margin)."""
        at, forward = sites.at[: self.n], sites.forward[: self.n]
        found = np.flatnonzero(at >= 0)
        index = at[found][:, None] + np.arange(-margin, width + margin)
        # Beyond the first and the last letter lies nothing, and beyond a sequence's ends another one.
        within = np.clip(index, 0, self.size - 1)
        codes = np.where((within == index) & (self.owner[within] == found[:, None]), self.codes[within], OTHER)
        turned = np.where(codes == OTHER, OTHER, 3 - codes)[:, ::-1]
        codes = np.where(forward[found][:, None], codes, turned)
        return np.stack([(codes == base).sum(axis=0) for base in range(4)]).astype(np.float64)

    def mask(self, scores: np.ndarray, threshold: int) -> None:
        """Take the letters of all sites, of sequences and shuffles, out of the search."""
        forward, backward = self.scores(scores)
        hits = np.flatnonzero(np.maximum(forward, backward) >= threshold)
        for place in range(scores.shape[1]):
            self.codes[hits + place] = OTHER
        self._spell()

    def words(self) -> np.ndarray:
        return self._words[: self.size]


def _word_index(codes: np.ndarray, k: int) -> np.ndarray:
    """The number of the word that starts at each place, A < C < G < T; 4**k where it holds another letter or ends."""
    places = len(codes) - k + 1
    index = np.zeros(places, dtype=np.int64)
    other = np.zeros(places, dtype=bool)
    for shift in range(k):
        part = codes[shift : shift + places]
        index = index * 4 + part
        other |= part == OTHER
    index[other] = 4**k
    return index


def _reverse_words(k: int) -> np.ndarray:
    """The number of each word's reverse complement; 4**k stays."""
    words = np.arange(4**k)
    out = np.zeros(4**k, dtype=np.int64)
    for _ in range(k):
        out = out * 4 + 3 - words % 4
        words = words // 4
    return np.append(out, 4**k)


def gain(hits: np.ndarray, shuffled: np.ndarray, n: int, m: int) -> np.ndarray:
    """How well a property parts sequences from shuffles: half the G statistic of the 2 x 2 table (a log-likelihood
    ratio, in nats), negative where shuffles have it more often.

    hits, shuffled: how many of n sequences and of m shuffles have it. It ranks as Fisher's test does, at a fraction of
    the cost.
    """
    hits, shuffled = np.asarray(hits, dtype=np.float64), np.asarray(shuffled, dtype=np.float64)
    both = hits + shuffled

    def term(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.where(seen > 0, seen * np.log(np.maximum(seen, 1) / np.maximum(expected, 1e-300)), 0.0)

    total = n + m
    value = term(hits, both * n / total) + term(shuffled, both * m / total)
    value += term(n - hits, (total - both) * n / total) + term(m - shuffled, (total - both) * m / total)
    return np.where(hits * m > shuffled * n, value, -value)


def _fisher(pool: Pool, hit: np.ndarray) -> float:
    hits, shuffled = int(hit[: pool.n].sum()), int(hit[pool.n :].sum())
    return float(stats.hypergeom.sf(hits - 1, pool.n + pool.shuffled, hits + shuffled, pool.n))


def _best_motif(pool: Pool, background: np.ndarray) -> tuple[np.ndarray, int] | None:
    """The matrix of scores, (4, width) in 1/GRID bit, and the threshold that part the pool best; None for none."""
    tried = [_turn(pool, _seed_scores(word, background), background) for word in _seeds(pool)]
    tried = sorted((one for one in tried if one is not None), key=lambda one: -one.gain)
    ends = [_refined(pool, one, background) for one in tried[:FINALISTS]]
    if not ends:
        return None
    best = max(ends, key=lambda one: one.gain)
    return best.scores, best.threshold


def _seeds(pool: Pool) -> list[np.ndarray]:
    """The most enriched words, as letter codes: of six letters, and of three and three with a gap (code 4) between."""
    words = pool.words()
    gains = _gains(pool, np.minimum(words, _reverse_words(WORD)[words]))
    out = [_spelled(word) for word in np.argsort(-gains, kind="stable")[:SEEDS].tolist()]
    three = _word_index(pool.codes, 3)
    turned = _reverse_words(3)
    gapped = []
    for gap in GAPS:
        left, right = three[: pool.size], three[3 + gap : 3 + gap + pool.size]
        forward, reverse = left * 64 + right, turned[right] * 64 + turned[left]
        index = np.where((left == 64) | (right == 64), 4**WORD, np.minimum(forward, reverse))
        gains = _gains(pool, index)
        best = np.argsort(-gains, kind="stable")[:SEEDS]
        gapped += [(-gains[word], gap, word) for word in best.tolist()]
    for _, gap, word in sorted(gapped)[:SEEDS]:
        letters = _spelled(word)
        out.append(np.concatenate([letters[:3], np.full(gap, OTHER), letters[3:]]))
    return out


def _gains(pool: Pool, index: np.ndarray) -> np.ndarray:
    """The gain of each of the 4096 words by the sequences that hold it, (4096,). index: the word at each place."""
    size, owner = 4**WORD, pool.owner
    counts = []
    for first, last in ((0, pool.n), (pool.n, pool.n + pool.shuffled)):
        total = np.zeros(size + 1, dtype=np.int64)
        for begin in range(first, last, 255):  # so many ones add up in a byte, which is fast
            end = min(begin + 255, last)
            low = pool.starts[begin]
            high = pool.starts[end] if end < len(pool.starts) else pool.size
            seen = np.zeros((end - begin, size + 1), dtype=np.uint8)
            seen[owner[low:high] - begin, index[low:high]] = 1
            total += seen.sum(axis=0, dtype=np.uint8)
        counts.append(total[:size])
    return gain(counts[0], counts[1], pool.n, pool.shuffled)


def _spelled(word: int) -> np.ndarray:
    return np.array([word >> 2 * (WORD - 1 - place) & 3 for place in range(WORD)])


def _seed_scores(word: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A matrix that wants the word and allows for other letters."""
    counts = np.tile(background[:, None] * 20, len(word))
    solid = np.flatnonzero(word != OTHER)
    counts[:, solid] *= 0.25
    counts[word[solid], solid] += 15
    return log_odds(counts, background)


@dataclass(frozen=True)
class _State:
    """A matrix, its best threshold, what it gains, and the matrix that its sites make."""

    scores: np.ndarray
    threshold: int
    gain: float
    following: np.ndarray | None


def _turn(pool: Pool, scores: np.ndarray, background: np.ndarray) -> _State | None:
    """Judge a matrix, and make the next one of its sites; None where too few sequences have a site."""
    best, forward, backward = pool.best(scores)
    threshold, gained = _threshold(best, pool)
    if threshold is None:
        return None
    sites = pool.sites(threshold, best, forward, backward)
    letters = pool.letters(sites, scores.shape[1], MARGIN)
    kept = _extent(letters, background)
    return _State(scores, threshold, gained, None if kept is None else log_odds(letters[:, kept], background))


def _threshold(best: np.ndarray, pool: Pool) -> tuple[int | None, float]:
    """The score, above 0, that parts the best sites of sequences from those of shuffles most."""
    own, others = np.sort(best[: pool.n]), np.sort(best[pool.n :])
    candidates = np.unique(own[own > 0])
    if len(candidates) == 0:
        return None, 0.0
    hits = pool.n - np.searchsorted(own, candidates)
    shuffled = pool.shuffled - np.searchsorted(others, candidates)
    gains = np.where(hits >= _FEWEST_SITES, gain(hits, shuffled, pool.n, pool.shuffled), -np.inf)
    at = len(gains) - 1 - int(np.argmax(gains[::-1]))
    return (int(candidates[at]), float(gains[at])) if gains[at] > 0 else (None, 0.0)


def _extent(letters: np.ndarray, background: np.ndarray) -> slice | None:
    """From the first to the last column that says something, at most LONGEST and at least SHORTEST bp."""
    total = letters.sum(axis=0)
    share = (letters + background[:, None]) / (total + 1)
    bits = (share * np.log2(share / background[:, None])).sum(axis=0)
    bits -= 3 / (2 * np.log(2) * np.maximum(total, 1))  # what a column of chance letters shows
    told = np.flatnonzero(bits > INFORMATIVE)
    if len(told) == 0:
        return None
    first, last = int(told[0]), int(told[-1]) + 1
    while last - first > LONGEST:
        first, last = (first + 1, last) if bits[first] < bits[last - 1] else (first, last - 1)
    while last - first < SHORTEST:
        grow_left = first > 0 and (last == len(bits) or bits[first - 1] >= bits[last])
        first, last = (first - 1, last) if grow_left else (first, last + 1)
    return slice(first, last)


def _refined(pool: Pool, state: _State, background: np.ndarray) -> _State:
    """Turn by turn while the gain grows."""
    for _ in range(TURNS):
        following = None if state.following is None else _turn(pool, state.following, background)
        if following is None or following.gain <= state.gain:
            break
        state = following
    return state


def _described(parts: list[tuple[Pool, BestSites]], width: int, p_value: float) -> Discovered:
    """What the search's and the kept sequences say together."""
    counts = sum(pool.letters(sites, width, 0) for pool, sites in parts)
    hits = sum(int((sites.at[: pool.n] >= 0).sum()) for pool, sites in parts)
    shuffled = sum(int((sites.at[pool.n :] >= 0).sum()) for pool, sites in parts)
    n, m = (sum(getattr(pool, size) for pool, _ in parts) for size in ("n", "shuffled"))
    return Discovered(counts, hits, hits / n, shuffled / m, p_value)


def as_motifs(found: Sequence[Discovered], prefix: str = "motif") -> list[Motif]:
    """The discovered motifs as a library: prefix_1, prefix_2, ... with their consensus as the name."""
    return [Motif(f"{prefix}_{rank}", one.consensus, one.counts) for rank, one in enumerate(found, 1)]
