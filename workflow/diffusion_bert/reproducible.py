"""torch set up so that the same seed gives the same bytes, however many cores the machine has, and soon."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

# Sums are split over threads, so another number of threads gives other last bits, and after some training steps another
# model (1, 2 and 4 threads: three different sets of weights after 6 steps). With the number fixed, one core and two
# give the same bytes. Another kind of processor may still differ: its matrix products are other code.
# One: a second thread makes a small model's steps a third faster for half as much again of processor time, and a run
# has other jobs (the LSTM, the oracles, other models and samplers) that a second core does meanwhile.
THREADS = 1

# Parameters of glibc's mallopt by their numbers in malloc.h; their values in the block, and else.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
_GIVE_BACK = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}


@contextmanager
def reproducible(threads: int = THREADS) -> Iterator[None]:
    """Inside the block: a fixed number of threads and deterministic algorithms; as before once it ends.

    Memory that is freed stays with the process until then, to be used again: else what takes 32 MiB or more goes back
    to the system, which zeroes every page of it for the next step, a third of the time of a step of LSTM layers.
    CUDA's deterministic matrix products need CUBLAS_WORKSPACE_CONFIG, which is set where it is not.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # Else torch writes NaN into all memory that it asks for, so that it shows who reads what nobody has written: a
    # tenth of a small model's step. The deterministic operations write first; weights are the same bytes without.
    deterministic.fill_uninitialized_memory = False
    # What use_deterministic_algorithms(True) sets, without its import of torch's compiler, which takes as long as
    # torch's own; who compiles tells it (training.device).
    torch.set_deterministic_debug_mode("error")
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc:
        for parameter, value in _KEEP.items():
            libc.mallopt(parameter, value)
    try:
        yield
    finally:
        if libc:
            for parameter, value in _GIVE_BACK.items():
                libc.mallopt(parameter, value)
            libc.malloc_trim(0)
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = before[2]


def best_device(device: str = "auto") -> torch.device:
    """``auto``: the accelerator where there is one, else the CPU; else what is named."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
