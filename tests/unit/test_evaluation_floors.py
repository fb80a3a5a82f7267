"""Markov chains and shuffles against enumeration and brute force."""

from collections import Counter
from itertools import permutations, product
from math import log2
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import complement, one_label, random_sequences, real, windows
from scipy import stats

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.floors import MARKOV, dinucleotide_shuffle, make_floors, uniform
from diffusion_bert.evaluation.markov import MarkovChain, fit_best_markov
from diffusion_bert.tables import SEQUENCES, check

SHARED = Path(__file__).resolve().parents[3] / "shared"


def pairs(sequence: str) -> Counter:
    return Counter(zip(sequence, sequence[1:], strict=False))


def by_hand(train: list[str], order: int, prior: float, sequence: str) -> float:
    """Bits a base by the recursion as it is written in the module's docstring, with dictionaries."""

    def probability(base: str, context: str) -> float:
        counts = Counter(s[i + len(context)] for s in train for i in range(len(s) - len(context))
                         if s[i : i + len(context)] == context)  # fmt: skip
        lean = probability(base, context[1:]) if context else 0.25
        return (counts[base] + prior * lean) / (sum(counts.values()) + prior)

    bits = -sum(log2(probability(base, sequence[max(0, i - order) : i])) for i, base in enumerate(sequence))
    return bits / len(sequence)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_likelihood_is_that_of_the_recursion(order):
    train, test = random_sequences(8, 1, width=30), random_sequences(3, 2, width=12)
    chain = MarkovChain.fit(train, order, prior=3.0)
    assert chain.bits_per_base(test) == pytest.approx([by_hand(train, order, 3.0, s) for s in test])


def test_unknown_strands_are_counted_on_both_and_known_ones_as_written():
    train, test = random_sequences(6, 1, width=30), random_sequences(2, 2, width=12)
    both = [*train[:3], *map(complement, train[:3]), *train[3:]]
    chain = MarkovChain.fit(train, 2, strands=["."] * 3 + ["+", "-", "+"], prior=3.0)
    assert chain.bits_per_base(test) == pytest.approx([by_hand(both, 2, 3.0, s) for s in test])


def test_probabilities_of_all_sequences_sum_to_one():
    chain = MarkovChain.fit(random_sequences(5, 1), 3, labels=list("aabbb"), prior=2.0)
    every = ["".join(letters) for letters in product("ACGT", repeat=5)]
    for label in "ab":
        bits = chain.bits_per_base(every, [label] * len(every)) * 5
        assert (2.0**-bits).sum() == pytest.approx(1)


def test_other_letters_are_not_counted_and_end_the_context():
    chain = MarkovChain.fit(random_sequences(20, 1), 2)
    bits = chain.bits_per_base(["ACGTNGT", "ACGT", "GT", "NN"])
    assert bits[0] * 6 == pytest.approx(bits[1] * 4 + bits[2] * 2)
    assert np.isnan(bits[3])


def test_sequences_shorter_than_the_order_are_scored():
    chain = MarkovChain.fit(random_sequences(20, 1), 5)
    assert chain.bits_per_base(["A"])[0] == pytest.approx(-log2(chain.tables[""][0][0, 0]))


def test_a_chain_per_label_knows_its_label_and_falls_back_on_the_pooled_one():
    rich, poor = (
        random_sequences(40, 1, shares=(0.1, 0.4, 0.4, 0.1)),
        random_sequences(40, 2, shares=(0.4, 0.1, 0.1, 0.4)),
    )
    chain = MarkovChain.fit(rich + poor, 1, labels=["rich"] * 40 + ["poor"] * 40)
    pooled = MarkovChain.fit(rich + poor, 1)
    own, wrong, unknown = (chain.bits_per_base(rich, [label] * 40).mean() for label in ("rich", "poor", "other"))
    assert own < unknown < wrong
    assert unknown == pytest.approx(pooled.bits_per_base(rich).mean())
    assert not pooled.per_label
    assert chain.per_label


def test_samples_follow_the_chain_by_chi_square():
    chain = MarkovChain.fit(random_sequences(30, 1, width=20), 2, prior=1.0)
    every = ["".join(letters) for letters in product("ACGT", repeat=3)]
    expected = 2.0 ** (-3 * chain.bits_per_base(every))
    drawn = Counter(chain.sample([3] * 20_000, seed=1))
    assert stats.chisquare([drawn[word] for word in every], expected * 20_000).pvalue > 0.001


def test_samples_have_the_lengths_and_labels_asked_for_and_follow_the_seed():
    rich, poor = (
        random_sequences(40, 1, shares=(0.1, 0.4, 0.4, 0.1)),
        random_sequences(40, 2, shares=(0.4, 0.1, 0.1, 0.4)),
    )
    chain = MarkovChain.fit(rich + poor, 3, labels=["rich"] * 40 + ["poor"] * 40)
    labels = ["rich", "poor"] * 50
    lengths = list(range(1, 101))
    drawn = chain.sample(lengths, labels, seed=1)
    assert [len(sequence) for sequence in drawn] == lengths
    gc = {label: "".join(drawn[i::2]) for i, label in enumerate(("rich", "poor"))}
    share = {label: (text.count("G") + text.count("C")) / len(text) for label, text in gc.items()}
    assert share["rich"] > 0.7
    assert share["poor"] < 0.3
    assert drawn == chain.sample(lengths, labels, seed=1)
    assert drawn != chain.sample(lengths, labels, seed=2)


def test_a_saved_chain_is_the_same_chain(tmp_path):
    chain = MarkovChain.fit(random_sequences(10, 1), 3, labels=["a b", "c"] * 5)
    chain.save(tmp_path / "markov.npz")
    read = MarkovChain.load(tmp_path / "markov.npz")
    test = random_sequences(4, 2)
    assert (read.bits_per_base(test, ["a b", "c", "c", "x"]) == chain.bits_per_base(test, ["a b", "c", "c", "x"])).all()
    assert [path.name for path in tmp_path.iterdir()] == ["markov.npz"]


def test_the_order_of_a_known_chain_is_found_on_validation():
    # Each base is nearly decided by the two before it, and by neither of them alone.
    def draw(seed):
        generator = np.random.default_rng(seed)
        out = []
        for _ in range(60):
            codes = list(generator.integers(0, 4, 2))
            while len(codes) < 80:
                codes.append((codes[-1] + codes[-2]) % 4 if generator.random() < 0.7 else generator.integers(4))
            out.append("".join("ACGT"[code] for code in codes))
        return windows(one_label(out)).assign(strand="+")

    chain, table = fit_best_markov(draw(1), draw(2), [0, 1, 2, 3, 4], test=draw(3))
    assert chain.order == 2
    assert table["order"].tolist() == [0, 1, 2, 3, 4]
    assert table["chosen"].tolist() == ["no", "no", "yes", "no", "no"]
    entropy = -(0.775 * log2(0.775) + 3 * 0.075 * log2(0.075))
    assert table["test_bits_per_base"].iloc[2] == pytest.approx((78 * entropy + 4) / 80, abs=0.03)
    assert (table["standard_error"] > 0).all()


def test_two_labels_are_also_tried_one_by_one():
    _, table = fit_best_markov(windows(real(20, 1)), windows(real(5, 2)), [0, 2])
    assert list(zip(table["order"], table["per_label"], strict=True)) == [(0, "no"), (0, "yes"), (2, "no"), (2, "yes")]
    assert table["test_bits_per_base"].isna().all()
    assert (table["chosen"] == "yes").sum() == 1


def test_no_windows_and_no_orders_are_one_message():
    train = windows(real(3, 1))
    with pytest.raises(UserError, match="validation windows to be chosen by; there are 6 and 0. Change the split"):
        fit_best_markov(train, train.iloc[:0], [1])
    with pytest.raises(UserError, match=r"evaluation.markov_orders is \[\]; one or more whole numbers"):
        fit_best_markov(train, train, [])
    with pytest.raises(UserError, match=r"evaluation.markov_orders is \[13\].*Write for example"):
        fit_best_markov(train, train, [13])


def test_shuffles_keep_every_dinucleotide_count():
    sequences = [*random_sequences(30, 1), "AAAAAAAA", "ACGTNNACGTNA", "ACACACAC", "A", "", "AC"]
    shuffled = dinucleotide_shuffle(sequences, seed=1)
    for before, after in zip(sequences, shuffled, strict=True):
        assert pairs(before) == pairs(after)
        assert (before[:1], before[-1:]) == (after[:1], after[-1:])
    assert sum(before != after for before, after in zip(sequences[:30], shuffled[:30], strict=True)) == 30
    assert shuffled == dinucleotide_shuffle(sequences, seed=1)
    assert shuffled != dinucleotide_shuffle(sequences, seed=2)


@pytest.mark.parametrize("sequence", ["ACAGATAC", "AACCAGAC"])
def test_every_shuffle_is_equally_likely(sequence):
    inner = {"".join(letters) for letters in permutations(sequence[1:-1])}
    possible = sorted(
        word for word in (sequence[0] + middle + sequence[-1] for middle in inner) if pairs(word) == pairs(sequence)
    )
    assert len(possible) > 2
    drawn = Counter(dinucleotide_shuffle([sequence] * 4000, seed=1))
    assert set(drawn) == set(possible)
    assert stats.chisquare([drawn[word] for word in possible]).pvalue > 0.001


def test_uniform_sequences_are_uniform_and_seeded():
    drawn = uniform([50, 3, 1000], seed=1)
    assert [len(sequence) for sequence in drawn] == [50, 3, 1000]
    assert stats.chisquare([drawn[2].count(base) for base in "ACGT"]).pvalue > 0.001
    assert drawn == uniform([50, 3, 1000], seed=1)
    assert drawn != uniform([50, 3, 1000], seed=2)


def test_floors_mirror_the_test_windows():
    train, validation, test = (windows(real(n, seed)) for n, seed in ((20, 1), (5, 2), (7, 3)))
    floors, table, chain = make_floors(train, validation, test, orders=[0, 1], seed=1)
    assert list(floors) == ["dinucleotide_shuffle", "markov", "uniform"]
    for frame in floors.values():
        check(frame, SEQUENCES, "a floor")
        assert frame["label"].tolist() == test["label"].tolist()
        assert frame["length"].tolist() == frame["sequence"].str.len().tolist() == [80] * 14
        assert not frame["name"].duplicated().any()
    check(table, MARKOV, "the table")
    drawn = floors["markov"]
    expected = chain.bits_per_base(drawn["sequence"].tolist(), drawn["label"].tolist())
    assert drawn["bits_per_base"].to_numpy() == pytest.approx(expected)
    assert (floors["uniform"]["bits_per_base"] == 2).all()
    assert floors["dinucleotide_shuffle"]["bits_per_base"].isna().all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real human windows are not beside this checkout")
def test_real_human_windows_are_known_as_well_as_by_the_published_chain():
    path = SHARED / "data/human_tf_chipseq_100bp/human_tf_100bp.tsv.gz"
    frame = pd.read_csv(path, sep="\t").assign(strand=".")
    validation, test = frame[frame["chrom"] == "chr10"].iloc[::4], frame[frame["chrom"] == "chr8"]
    _, table = fit_best_markov(frame[~frame["chrom"].isin(["chr8", "chr10"])], validation, [4], test=test)
    pooled = table[table["per_label"] == "no"].iloc[0]
    assert pooled["test_bits_per_base"] == pytest.approx(1.919, abs=0.001)  # as the data's own description has it
    assert pooled["standard_error"] == pytest.approx(0.001, abs=0.0005)
    assert table["chosen"].tolist() == ["no", "yes"]
