"""Serves a WSGI application to a bounded number of connections at a time.  For metrics, which anybody may ask for.

The standard library's threading server gives each connection a thread for as long as that likes to say nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from heliograph.crowd import Crowd

MAX_CONNECTIONS = 16
"""Scrapers are few, and quick; when one more comes, the oldest of the client that has most makes room for it."""

SILENCE_DEADLINE_S = 5.0
"""How long a client may say nothing, or read nothing, in the middle of its request."""


@contextmanager
def serving(listener: socket.socket, application: Callable[..., Any]) -> Iterator[None]:
    """Inside, a thread serves the application at the listening socket, which is closed afterwards."""
    server = _Server(listener, application)
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_DEADLINE_S

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, application: Callable[..., Any]) -> None:
        self.address_family = listener.family
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # Not the name that the base class would look up: nobody waits for a name server to begin a run.
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(application)
        self._open: Crowd[socket.socket] = Crowd(MAX_CONNECTIONS)
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            evicted = self._open.came(request, client_address[0])
            if evicted is not None:
                # Its thread finds the end of its input; closing the socket is that thread's to do.
                with suppress(OSError):
                    evicted.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.went(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Nothing: a client that left in the middle of its request is no defect of the run."""
