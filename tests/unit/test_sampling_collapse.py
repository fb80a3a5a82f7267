"""The collapse alarm is silent for draws like the training windows; each way to collapse sets off its own measure."""

import numpy as np
import pandas as pd
import pytest

from diffusion_bert.sampling.collapse import ALL, COLLAPSE, _features, collapse, warnings
from diffusion_bert.tables import check


def random_sequences(n, seed, length=80, p=(0.3, 0.2, 0.2, 0.3)):
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list("ACGT"), (n, length), p=p)]


def frame(sequences, label="a"):
    return pd.DataFrame({"label": [label] * len(sequences), "sequence": sequences})


TRAINING = pd.concat([frame(random_sequences(2000, 1)), frame(random_sequences(1500, 2, p=(0.1, 0.4, 0.4, 0.1)), "b")])


def alarms(drawn, training=TRAINING):
    table = collapse(drawn, training)
    return {(row.label, row.measure) for row in table.itertuples() if row.alarm == "yes"}


@pytest.mark.parametrize("n", [30, 300, 1000])
def test_draws_like_the_training_windows_are_no_alarm(n):
    for seed in range(5, 10):
        drawn = pd.concat(
            [frame(random_sequences(n, seed)), frame(random_sequences(n, seed + 50, p=(0.1, 0.4, 0.4, 0.1)), "b")]
        )
        assert alarms(drawn) == set()


def one_repeated(n):
    return random_sequences(10, 3) * (n // 10)


def with_a_run(n):
    return [s[:30] + "A" * 15 + s[45:] for s in random_sequences(n // 5, 4)] + random_sequences(n - n // 5, 5)


def simple(n):
    return [s[:10] + "CA" * 35 for s in random_sequences(n // 5, 4)] + random_sequences(n - n // 5, 5)


def lopsided(n):
    return random_sequences(n, 6, p=(0.37, 0.2, 0.2, 0.23))


def few_words(n):
    pieces = random_sequences(12, 7, length=8)
    rng = np.random.default_rng(8)
    return ["".join(rng.choice(pieces, 10)) for _ in range(n)]


@pytest.mark.parametrize(
    ("make", "measure"),
    [
        (one_repeated, "unique"),
        (with_a_run, "long_homopolymers"),
        (simple, "low_complexity"),
        (lopsided, "strand_asymmetry"),
        (few_words, "kmer_entropy"),
    ],
)
def test_each_way_to_collapse_has_its_measure(make, measure):
    found = alarms(frame(make(300)))
    assert ("a", measure) in found
    assert (ALL, measure) in found
    if make is lopsided:
        assert {name for _, name in found} == {measure}


def test_a_label_is_compared_with_its_own_windows():
    """Sequences of b where those of a should be: richer in GC, no collapse; their lengths of C and G are a's alarm."""
    drawn = pd.concat([frame(random_sequences(300, 9)), frame(["ACGT" * 20] * 300, "b")])
    found = {label for label, _ in alarms(drawn)}
    assert found == {ALL, "b"}


def test_length_alone_is_no_alarm():
    for length in (25, 200):
        assert alarms(frame(random_sequences(300, 5, length=length))) == set()


def test_the_features_by_hand():
    made = _features(["AAACCG", "ACNNGT", "AC"])
    assert made.homopolymer.tolist() == [3, 1, 1]
    assert made.bases.tolist() == [[3, 2, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert made.entropy.tolist() == [2.0, 0.0, 0.0]  # AAA, AAC, ACC, CCG once each
    assert made.words.sum(1).tolist() == [2, 0, 0]
    assert made.words[0, int("00011", 4)] == made.words[0, int("00112", 4)] == 1


def test_a_warning_names_measure_label_and_numbers():
    (text,) = [t for t in warnings(collapse(frame(one_repeated(300)), TRAINING)) if "again" in t]
    assert "the same ones again and again (all: 0.0333, training 1, limit 0.95; a: 0.0333" in text


def test_nothing_to_compare_with_is_an_empty_table():
    for drawn, training in ((TRAINING[:0], TRAINING), (TRAINING, TRAINING[:0]), (frame(["ACGT"], "x"), TRAINING)):
        table = collapse(drawn, training)
        assert list(check(table, COLLAPSE, "it")) == list(COLLAPSE)
        assert len(table) == 0
