"""Markov chains of DNA: the floor that knows words but nothing else, with an exact likelihood.

A chain of order k gives each base from the k bases before it. Where a context was seen seldom, its distribution leans
on that of the context one base shorter, as if ``prior`` further bases had been seen that follow it (hierarchical
Dirichlet language model, MacKay and Peto 1995):

    p_k(x | c) = (count(c, x) + prior * p_{k-1}(x | c')) / (count(c) + prior),      p_{-1} = 1/4

A chain per label leans on its own shorter context too, moved by what the pooled chain learns from the longer one:
p_{k-1, label}(x | c') * p_{k, pooled}(x | c) / p_{k-1, pooled}(x | c'), normalised. So a label with few windows is
close to the pooled chain instead of being noise.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.kmers import kmer_index
from diffusion_bert.evaluation.letters import OTHER, decode, encode
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import Columns, written_beside

# One row a candidate chain. Bits a base with standard errors between windows; chosen: by validation_bits_per_base.
MARKOV: Columns = {
    "order": "int",
    "per_label": "text",
    "prior": "float",
    "validation_bits_per_base": "float",
    "validation_standard_error": "float?",
    "test_bits_per_base": "float?",
    "standard_error": "float?",
    "chosen": "text",
}
PRIORS = (4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
POOLED = ""
_LOG = logging.getLogger(__name__)

# counts[k]: how often each base follows each context of k bases, shape (4**k, 4).
Counts = list[np.ndarray]


def count_transitions(codes: np.ndarray, order: int) -> Counts:
    """For k = 0..order, how often each base follows each k bases; contexts with other letters are left out."""
    counts = []
    for k in range(order + 1):
        index = kmer_index(codes, k + 1)
        counts.append(np.bincount(index[index >= 0], minlength=4 ** (k + 1)).reshape(-1, 4).astype(np.float64))
    return counts


def stranded_codes(sequences: Sequence[str], strands: Sequence[str]) -> np.ndarray:
    """Letter codes of the sequences and, where the strand is unknown (``.``), of their reverse complements too."""
    codes = encode(list(sequences))
    unknown = np.asarray(strands, dtype=object) == "."
    other = np.where(codes[unknown] == OTHER, OTHER, 3 - np.minimum(codes[unknown], 3))[:, ::-1]
    return np.concatenate([codes, other.astype(np.uint8)])


class MarkovChain:
    """A chain of one order, pooled or per label.

    tables: {label: [p_0, ..., p_order]}, p_k of shape (4**k, 4), rows sum to 1. The pooled chain has the label ``""``,
    which also serves labels that the chain does not know.
    """

    def __init__(self, order: int, tables: dict[str, list[np.ndarray]]):
        self.order = order
        self.tables = tables

    @classmethod
    def from_counts(cls, counts: dict[str, Counts], order: int, prior: float, per_label: bool) -> "MarkovChain":
        """The chain of this order from transition counts of at least that order, by label (``""``: all together)."""
        pooled = _smooth(counts[POOLED], order, prior, None)
        tables = {POOLED: pooled}
        if per_label:
            tables |= {label: _smooth(own, order, prior, pooled) for label, own in counts.items() if label != POOLED}
        return cls(order, tables)

    @classmethod
    def fit(
        cls,
        sequences: Sequence[str],
        order: int,
        *,
        labels: Sequence[str] | None = None,
        strands: Sequence[str] | None = None,
        prior: float = 64.0,
    ) -> "MarkovChain":
        """Fit on sequences; with labels, one chain a label. A strand of ``.`` counts both strands (default: ``+``)."""
        strands = ["+"] * len(sequences) if strands is None else strands
        counts = label_counts(sequences, strands, order, labels)
        return cls.from_counts(counts, order, prior, labels is not None)

    @property
    def per_label(self) -> bool:
        return len(self.tables) > 1

    def bits_per_base(self, sequences: Sequence[str], labels: Sequence[str] | None = None) -> np.ndarray:
        """Exact -log2 p(sequence | label) over its number of A, C, G, T: shape (n,), as the strand is written.

        The first bases have the shorter contexts that are there; so does a base that follows another letter. Other
        letters get no probability and are not counted. NaN for a sequence without any base.
        """
        codes = encode(list(sequences))
        out = np.empty(len(codes))
        for label, rows in self._rows_by_table(labels, len(codes)):
            out[rows] = _bits(self.tables[label], codes[rows])
        return out

    def sample(self, lengths: Sequence[int], labels: Sequence[str] | None = None, *, seed: int) -> list[str]:
        """Sequences of these lengths (bp). All are drawn together, one position after the other."""
        lengths = np.asarray(lengths, dtype=np.int64)
        codes = np.zeros((len(lengths), int(lengths.max(initial=0))), dtype=np.uint8)
        generator = np.random.default_rng(derive_seed(seed, "markov"))
        for label, rows in self._rows_by_table(labels, len(lengths)):
            context = np.zeros(len(rows), dtype=np.int64)
            for position in range(codes.shape[1]):
                k = min(position, self.order)
                cumulative = np.cumsum(self.tables[label][k][context], axis=1)
                draw = generator.random(len(rows))[:, None] * cumulative[:, -1:]
                base = (draw >= cumulative[:, :3]).sum(axis=1)
                codes[rows, position] = base
                context = (context * 4 + base) % 4 ** min(position + 1, self.order)
        return decode(codes, lengths)

    def save(self, path: str | Path) -> None:
        """Write the chain as a NumPy archive, atomically."""
        labels = list(self.tables)
        arrays = {f"{n}/{k}": table for n, label in enumerate(labels) for k, table in enumerate(self.tables[label])}
        with written_beside(path) as part, part.open("wb") as handle:
            np.savez_compressed(handle, order=self.order, labels=np.array(labels, dtype=np.str_), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "MarkovChain":
        """Read what save wrote."""
        with np.load(path) as archive:
            order, labels = int(archive["order"]), archive["labels"].tolist()
            tables = {label: [archive[f"{n}/{k}"] for k in range(order + 1)] for n, label in enumerate(labels)}
        return cls(order, tables)

    def _rows_by_table(self, labels: Sequence[str] | None, n: int) -> list[tuple[str, np.ndarray]]:
        if labels is None or not self.per_label:
            return [(POOLED, np.arange(n))]
        keys = np.array([label if label in self.tables else POOLED for label in labels], dtype=object)
        return [(label, np.flatnonzero(keys == label)) for label in self.tables if (keys == label).any()]


def label_counts(
    sequences: Sequence[str], strands: Sequence[str], order: int, labels: Sequence[str] | None
) -> dict[str, Counts]:
    """Transition counts of all sequences (key ``""``) and, with labels, of each label's."""
    if labels is None:
        return {POOLED: count_transitions(stranded_codes(sequences, strands), order)}
    frame = pd.DataFrame({"sequence": list(sequences), "strand": list(strands), "label": list(labels)})
    own = {
        str(label): count_transitions(stranded_codes(part["sequence"].tolist(), part["strand"].tolist()), order)
        for label, part in frame.groupby("label", sort=True)
    }
    pooled = [sum(counts[k] for counts in own.values()) for k in range(order + 1)]
    return {POOLED: pooled, **own}


def fit_best_markov(
    train: pd.DataFrame, validation: pd.DataFrame, orders: Sequence[int], *, test: pd.DataFrame | None = None
) -> tuple[MarkovChain, pd.DataFrame]:
    """The chain with the fewest bits a base on the validation windows, and the MARKOV table of the candidates.

    train, validation, test: WINDOWS frames. Candidates: every order, pooled and (with two or more labels) per label,
    each with the best of PRIORS. The test windows select nothing; their bits are reported. Cost: linear in windows for
    each candidate, plus 4**(order + 1) a label and prior.
    """
    if len(train) == 0 or len(validation) == 0:
        raise UserError(
            "A Markov chain needs training windows to be fitted on and validation windows to be chosen by; there are "
            f"{len(train)} and {len(validation)}.",
            "Change the split so that both have windows.",
        )
    if not orders or min(orders) < 0 or max(orders) > 12:
        raise UserError(
            f"evaluation.markov_orders is {list(orders)}; one or more whole numbers from 0 to 12 were expected.",
            "Write for example [0, 1, 2, 3, 4, 5, 6, 7, 8].",
        )
    labels = train["label"].tolist()
    counts = label_counts(train["sequence"].tolist(), train["strand"].tolist(), max(orders), labels)
    best: MarkovChain | None = None
    rows, lowest = [], np.inf
    for order in sorted(set(orders)):
        for per_label in (False, True) if len(counts) > 2 else (False,):
            tried = []
            for prior in PRIORS:
                chain = MarkovChain.from_counts(counts, order, prior, per_label)
                tried.append((float(np.nanmean(_score(chain, validation))), prior, chain))
            bits, prior, chain = min(tried, key=lambda one: one[:2])
            _, error = _mean(_score(chain, validation))
            test_bits, test_error = (None, None) if test is None else _mean(_score(chain, test))
            rows.append((order, "yes" if per_label else "no", prior, bits, error, test_bits, test_error, "no"))
            if bits < lowest:
                best, lowest, at = chain, bits, len(rows) - 1
    table = pd.DataFrame(rows, columns=list(MARKOV))
    table.loc[at, "chosen"] = "yes"
    _LOG.info("best Markov chain: order %d, per label: %s, %.4f bits a base on validation", *rows[at][:2], lowest)
    return best, table


def _score(chain: MarkovChain, windows: pd.DataFrame) -> np.ndarray:
    return chain.bits_per_base(windows["sequence"].tolist(), windows["label"].tolist())


def _mean(bits: np.ndarray) -> tuple[float | None, float | None]:
    """Mean and its standard error between sequences; null where there are too few."""
    bits = bits[np.isfinite(bits)]
    error = float(bits.std(ddof=1) / len(bits) ** 0.5) if len(bits) > 1 else None
    return (float(bits.mean()) if len(bits) else None), error


def _smooth(counts: Counts, order: int, prior: float, pooled: list[np.ndarray] | None) -> list[np.ndarray]:
    """Probabilities of every order up to ``order``; with a pooled chain, those of one label."""
    tables: list[np.ndarray] = []
    for k in range(order + 1):
        if k == 0:
            lean = np.full((1, 4), 0.25) if pooled is None else pooled[0]
        else:
            shorter = np.arange(4**k) % 4 ** (k - 1)
            lean = tables[-1][shorter]
            if pooled is not None:
                lean = lean * pooled[k] / pooled[k - 1][shorter]
                lean = lean / lean.sum(axis=1, keepdims=True)
        tables.append((counts[k] + prior * lean) / (counts[k].sum(axis=1, keepdims=True) + prior))
    return tables


def _bits(tables: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
    """Bits a base of each row of codes (n, longest)."""
    n, longest = codes.shape
    order = len(tables) - 1
    base = codes != OTHER
    # How many bases stand in a row before each position: the longest context that can be used there.
    places = np.arange(longest)
    last_other = np.maximum.accumulate(np.where(base, -1, places), axis=1)
    before = places - np.concatenate([np.full((n, 1), -1), last_other[:, :-1]], axis=1) - 1
    total = np.zeros(n)
    for k in range(min(order, longest - 1) + 1):
        used = base[:, k:] & ((before[:, k:] == k) if k < order else (before[:, k:] >= order))
        index = kmer_index(codes, k + 1)
        bits = -np.log2(tables[k]).ravel()[np.maximum(index, 0)]
        total += np.where(used, bits, 0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / base.sum(axis=1)
