"""Serves the pages of a run from a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

from coordinator.watch.events import PageEvents
from coordinator.watch.gate import Gate
from coordinator.watch.pages import Pages
from coordinator.watch.watcher import Watcher
from heliograph.extras import extra
from heliograph.listening import LOOPBACK_HOSTS, bind, parse_address
from heliograph.optional import optional

logger = logging.getLogger(__name__)

CLOSE_DEADLINE_S = 2
"""How long pages may take to be told that the run is over; then they are cut."""


class WatchServer:
    """A context manager: inside, pages are served at `address`.

    Entering raises MissingExtra, SettingsError or PortTaken.
    """

    def __init__(self, watcher: Watcher, gate: Gate, page_events: PageEvents, *, listen: str) -> None:
        self._pages = Pages(watcher, gate, page_events)
        self._gate = gate
        self._listen = listen
        self.address = ""

    def __enter__(self) -> WatchServer:
        with extra("observe", packages={"starlette", "uvicorn"}, purpose="a page to watch"):
            from coordinator.watch.application import application
            from coordinator.watch.visitors import PageServer
        host, _ = parse_address(self._listen)
        if host not in LOOPBACK_HOSTS:
            logger.warning("anybody who reaches the page can pause the run address=%s", self._listen)
        self._listener, self.address = bind(self._listen)
        app = application(self._pages, hosts=(host, "localhost", socket.gethostname()))
        self._server = PageServer(app, close_deadline_s=CLOSE_DEADLINE_S)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.resume()
        with optional("the page did not close"):
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _end(self) -> None:
        self._pages.end()
        self._server.should_exit = True

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[self._listener]))
        finally:
            self._listener.close()
            self._loop.close()
