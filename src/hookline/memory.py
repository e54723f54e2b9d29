"""Settles the memory of a process that is to run for long."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

_M_MMAP_THRESHOLD = -3  # of mallopt(3)
_LARGE_BYTES = 128 * 1024


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import in here: what is loaded stays, and looking for cycles in it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_memory() -> None:
    """Once a process has loaded what it needs.

    What was loaded stays, and a busy process makes few cycles: looking for them cost 5 % of its time. Large blocks go
    back to the system: else glibc keeps what large requests took, once, in pieces, for ever. Other C libraries have no
    such setting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
