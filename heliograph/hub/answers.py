"""Answers of a hub, each of which has to come whole within a time that goes by its size.

A hub that sends a byte now and then is never silent, and would be waited for without end.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from heliograph.errors import NetworkError

if TYPE_CHECKING:
    import httpx2

LEAST_RATE = 4096.0
"""Bytes a second, below which a hub counts as gone."""
GRACE_S = 60.0
"""What every answer may take beside that."""
_sockets: WeakKeyDictionary[httpx2.Client, list[socket.socket]] = WeakKeyDictionary()
"""Of the connections that clients have opened, which a later request may use again."""


@contextmanager
def answer(client: httpx2.Client, url: str, headers: dict[str, str], *, most_bytes: int) -> Iterator[httpx2.Response]:
    """The answer to a GET, of which at most so many bytes are to be read inside.

    Raises NetworkError where it does not come at `LEAST_RATE`, and what httpx raises.
    """
    import httpx2

    opened = _sockets.setdefault(client, [])
    late = threading.Event()

    def note(event: str, told: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            opened.append(told["return_value"].get_extra_info("socket"))

    def end() -> None:
        late.set()
        for connection in opened:
            with suppress(OSError):  # closed since
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # also beneath TLS, which would say goodbye first

    allowed_s = GRACE_S + most_bytes / LEAST_RATE
    timer = threading.Timer(allowed_s, end)
    timer.daemon = True
    timer.start()
    try:
        with client.stream("GET", url, headers=headers, extensions={"trace": note}) as response:
            yield response
    except httpx2.HTTPError:
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    # What has no length, and was left, looks like an answer that has ended.
    if late.is_set():
        raise NetworkError(
            f"{httpx2.URL(url).host} sends fewer than {LEAST_RATE / 1024:g} KiB a second, so it was left after "
            f"{allowed_s:.0f} s",
            remedy="Try again later; pulling goes on where it stopped",
        )
