"""Memory that is freed is used again inside the block, and given back after it."""

import platform
import resource

import pytest
import torch

from diffusion_bert.memory import freed_memory_kept
from diffusion_bert.reproducible import reproducible

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc is told what to do with freed memory"
)


def pages_of_a_big_tensor():
    """How many pages the system had to make for 128 MiB, asked for and freed three times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        torch.ones(1 << 25)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.parametrize("block", [freed_memory_kept, reproducible])
def test_memory_that_is_freed_is_used_again_inside_the_block_and_given_back_after_it(block):
    with block():
        pages_of_a_big_tensor()
        assert pages_of_a_big_tensor() < 100
        with freed_memory_kept():
            pass
        assert pages_of_a_big_tensor() < 100
    assert pages_of_a_big_tensor() > 10_000


def fail_inside():
    with freed_memory_kept():
        pages_of_a_big_tensor()
        raise ZeroDivisionError


def test_it_is_given_back_after_an_error():
    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert pages_of_a_big_tensor() > 10_000
