"""Memory that is freed stays with the process, for what asks next."""

import ctypes
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# Parameters of glibc's mallopt by their numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
# What malloc comes to by itself in a process that frees large pieces.
_GIVE_BACK = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}

_kept = ContextVar("kept", default=False)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside the (outermost) block the C library keeps what is freed; at its end it gives all of that back.

    Else what takes 32 MiB or more goes back to the system each time, which zeroes every page of it when it is asked for
    again: a third of the time of a training step of LSTM layers. The process may need more memory at its peak, since
    pieces of unlike sizes do not fill each other's place. Changes nothing where the C library is not glibc.
    """
    if _kept.get() or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)

    def tell(settings: Mapping[int, int]) -> None:
        for parameter, value in settings.items():
            libc.mallopt(parameter, value)

    token = _kept.set(True)
    tell(_KEEP)
    try:
        yield
    finally:
        tell(_GIVE_BACK)
        libc.malloc_trim(0)
        _kept.reset(token)
