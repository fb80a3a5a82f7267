"""What the block that makes torch reproducible changes, and that it leaves no trace."""

import platform
import resource

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to do with freed memory")
def test_memory_that_is_freed_is_used_again_inside_the_block_and_given_back_after_it():
    def pages_of_a_big_tensor():
        """How many pages the system had to make for 128 MiB, asked for and freed ten times."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            torch.ones(1 << 25)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with reproducible():
        pages_of_a_big_tensor()
        assert pages_of_a_big_tensor() < 100
    assert pages_of_a_big_tensor() > 10_000
