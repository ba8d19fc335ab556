"""By which names the page may be asked.

A site can make its own name lead to an address of this machine and then have a visitor's browser read the page as if
it were that site's (DNS rebinding).  The browser still says the name, in the header Host, and an address is no name:
so addresses are answered, and the names that are known to be this machine's, and nobody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MISDIRECTED = 421


class HostCheck:
    """ASGI middleware in front of `app`; `names` are those by which it may be asked."""

    def __init__(self, app: ASGIApp, *, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(name.casefold() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A second Host would be for a program behind this one to choose from.
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) == 1 and self._knows(hosts[0]):
            await self._app(scope, receive, send)
            return
        asked = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        sentence = f"asked for {asked!r}; open the page by its address, or name that host with --watch HOST:PORT"
        await JSONResponse({"error": sentence}, status_code=MISDIRECTED)(scope, receive, send)

    def _knows(self, host: str) -> bool:
        """Whether `host`, as `name`, `name:port`, `[address]` or `[address]:port`, is an address or a known name."""
        name, bracket, _ = host.removeprefix("[").partition("]")
        if not bracket:
            name = host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.casefold() in self._names
        return True
