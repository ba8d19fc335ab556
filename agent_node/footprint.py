"""How a node process stays small: the C allocator's settings.  Imported by `process.py` alone.

Loading a model copies it several times.  glibc keeps freed memory of that size for later, which never comes here.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # names and numbers of <malloc.h>
_LARGE_BYTES = 128 * 2**10


def bound_allocator() -> None:
    """Before anything large is allocated: give large blocks back as they are freed, and share one arena.

    Each of gRPC's threads would otherwise get an arena for its few small blocks.  Does nothing without glibc.
    """
    mallopt = _of_c("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Once the model is loaded: return what loading left behind to the operating system."""
    gc.collect()
    trim = _of_c("malloc_trim")
    if trim is not None:
        trim(0)


def _of_c(name: str) -> Callable[..., int] | None:
    """A function of this process's C library; None if that lacks it, or is not found, as on Windows."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except TypeError:
        return None
