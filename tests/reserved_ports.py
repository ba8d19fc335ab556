"""Ports that stay ours: bound here, so that nobody else is given them, and free for a server that is told of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def reserved_address() -> Iterator[str]:
    """A local host:port at which nobody listens, unless the test starts a server there."""
    with ExitStack() as stack:
        yield f"127.0.0.1:{_reserve(stack, 0)}"


@contextmanager
def reserved_row(count: int) -> Iterator[int]:
    """The first of so many such ports in a row."""
    while True:
        with ExitStack() as stack:
            first = _reserve(stack, 0)
            try:
                for port in range(first + 1, first + count):
                    _reserve(stack, port)
            except (OSError, OverflowError):
                continue
            yield first
            return


def _reserve(stack: ExitStack, port: int) -> int:
    held = stack.enter_context(socket.socket())
    # Servers set this as well, and may then bind what is bound but not listened at; a port that is asked for as any
    # free one never is one of these.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held.getsockname()[1]
