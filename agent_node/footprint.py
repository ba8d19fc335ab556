"""How a node process stays small: the C allocator's settings, and what starting left behind.  Imported by `process.py`
alone.

Loading a model copies it several times.  glibc keeps freed memory of that size for later, which never comes here.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # names and numbers of <malloc.h>
_MADV_DONTNEED = 4  # of <sys/mman.h>
_LARGE_BYTES = 128 * 2**10

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +/")
"""Of a file, read or run and never written, as the heading of its part in /proc/self/smaps."""


def bound_allocator() -> None:
    """Before anything large is allocated: give large blocks back as they are freed, and share one arena.

    Each of gRPC's threads would otherwise get an arena for its few small blocks.  Does nothing without glibc.
    """
    mallopt = _of_c("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Once the model is loaded: return what loading left behind to the operating system.

    Of libraries that is the code that only ran to load something; what is run again is mapped again from the cache of
    files, where it is all along.
    """
    gc.collect()
    trim, advise = _of_c("malloc_trim"), _of_c("madvise")
    if trim is not None:
        trim(0)
    if advise is not None:
        for begin, end in _unchanged(Path("/proc/self/smaps")):
            advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def _unchanged(smaps: Path) -> Iterator[tuple[int, int]]:
    """Addresses of files' pages in memory of which this process has changed none; nothing but on Linux.

    A page that was changed, by the linker as a rule, is in no file: it is in memory, or has been swapped out.
    """
    try:
        lines = smaps.read_text(encoding="utf-8", errors="replace").split("\n")  # names of files may be any bytes
    except OSError:
        return  # there is none, or it is not for this user
    found, unchanged = None, set[str]()
    for line in lines:
        if (mapping := _MAPPING.match(line)) is not None:
            found, unchanged = (int(mapping[1], 16), int(mapping[2], 16)), set()
        elif not re.match(r"\w+:", line):
            found = None  # the heading of another kind of memory
        elif found is not None and (none := re.fullmatch(r"(Anonymous|Swap): +0 kB", line)) is not None:
            unchanged.add(none[1])
            if len(unchanged) == 2:
                yield found


def _of_c(name: str) -> Callable[..., int] | None:
    """A function of this process's C library; None if that lacks it, or is not found, as on Windows."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except TypeError:
        return None
