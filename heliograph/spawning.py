"""Python processes that `multiprocessing` starts from here, and that look for modules only where this one does.

It starts them with `python -c`, which searches the current folder first, before they are told the path of their
parent; a file there that is called like a module of Python's own would be run.  For every role.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "PYTHONSAFEPATH"


@contextmanager
def away_from_the_current_folder() -> Iterator[None]:
    """Inside, processes are started so."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def begin() -> None:
    """In such a process, first of all: what its simulators start is their own affair."""
    os.environ.pop(_VARIABLE, None)
