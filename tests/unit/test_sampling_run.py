"""What a run generates: how many sequences of each label, and how long."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.run import plan, share_out

TRAIN = pd.DataFrame({"label": ["a", "a", "b"], "sequence": ["A" * 5, "A" * 7, "A" * 9]})
TEST = pd.DataFrame({"label": ["a", "a", "a", "b"]})


def test_largest_remainders_get_the_rest():
    assert share_out(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert share_out(2, {"a": 100, "b": 1, "c": 99}) == {"a": 1, "c": 1}


@given(st.integers(1, 500), st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1))
def test_the_shares_are_whole_and_sum_up(number, weights):
    shares = share_out(number, weights)
    assert sum(shares.values()) == number
    for label, weight in weights.items():
        assert abs(shares.get(label, 0) - number * weight / sum(weights.values())) < 1


def test_the_number_is_shared_out_as_the_test_windows_are():
    labels, lengths = plan(8, None, None, train=TRAIN, test=TEST, seed=1)
    assert labels == ["a"] * 6 + ["b"] * 2
    assert set(lengths[:6]) <= {5, 7}
    assert lengths[6:] == [9, 9]
    assert plan(8, None, None, train=TRAIN, test=TEST, seed=1) == (labels, lengths)


def test_numbers_and_a_length_of_ones_own():
    assert plan(8, {"b": 2}, 30, train=TRAIN, test=TEST, seed=1) == (["b", "b"], [30, 30])


def test_a_label_that_was_not_trained():
    with pytest.raises(UserError, match=r"generate.labels.c is not a label of the training windows \(a, b\)"):
        plan(8, {"c": 2}, None, train=TRAIN, test=TEST, seed=1)
