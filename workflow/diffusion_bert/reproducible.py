"""torch set up so that the same seed gives the same bytes, however many cores the machine has."""

import os
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


@contextmanager
def reproducible(threads: int = THREADS) -> Iterator[None]:
    """Inside the block: a fixed number of threads and deterministic algorithms; as before once it ends.

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
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = before[2]


def best_device(device: str = "auto") -> torch.device:
    """``auto``: the accelerator where there is one, else the CPU; else what is named."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
