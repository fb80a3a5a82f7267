"""What the block that makes torch reproducible changes, and that it leaves no trace."""

import pytest
import torch
from torch.utils import deterministic

from diffusion_bert.reproducible import reproducible


def state():
    return torch.get_num_threads(), torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory


def fail_inside(threads):
    with reproducible(threads):
        assert state() == (threads, 2, False)
        raise ZeroDivisionError


def test_all_is_as_before_once_the_block_ends_even_by_an_error():
    before = state()
    with pytest.raises(ZeroDivisionError):
        fail_inside(before[0] + 1)
    assert state() == before


def test_algorithms_that_are_not_deterministic_are_refused():
    with reproducible(), pytest.raises(RuntimeError, match="deterministic"):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2))
