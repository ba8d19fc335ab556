"""Links on the loopback that lead through a counting proxy in the coordinator's process.  Imported by `links_of.py`."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from coordinator.links.link_plan import LOOPBACK
from coordinator.links.links import Link, Links
from coordinator.links.proxy import PairProxy
from coordinator.links.traffic import COMPUTED, MEASURED, NOT_MEASURED, LinkTraffic, Provenance
from coordinator.serving.roster import Member


class ProxiedLinks(Links):
    """Every pair's lower slot is told the address of a proxy instead of its peer's.

    The proxy ends TCP on both sides: segments are those that each sender's kernel sent to it.
    """

    kind = LOOPBACK
    http2 = Provenance(label=MEASURED, source="frames that passed a counting proxy")
    tcp = Provenance(label=MEASURED, source="TCP_INFO of the proxy's sockets: segments that came from the sender")
    ip = Provenance(label=COMPUTED, source="measured payload, and 40 or 52 bytes of headers per measured segment")
    if sys.platform != "linux":
        tcp = ip = Provenance(label=NOT_MEASURED, source="TCP_INFO of this kind is Linux's alone")

    def __init__(self, *, team_size: int, listen: str) -> None:
        super().__init__(team_size=team_size, listen=listen)
        self._proxies = {pair: PairProxy() for pair in self.pairs}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for proxy in self._proxies.values():
                await stack.enter_async_context(proxy)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def address_of(self, slot: int, member: Member) -> str:
        proxy = self._proxies.get((slot, member.slot))
        if proxy is None:
            return member.peer_address  # the higher slot never dials
        proxy.target = member.peer_address
        return proxy.address

    def passed(self) -> dict[Link, LinkTraffic]:
        return {(i, j): self._proxies[min(i, j), max(i, j)].passed(from_dialler=i < j) for i, j in self.directed}

    def http2_bytes(self) -> list[int]:
        return [self._proxies[min(i, j), max(i, j)].http2_bytes(from_dialler=i < j) for i, j in self.directed]

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(
            f"Bytes between {low} and {high} are no frames: {reason}."
            for (low, high), proxy in self._proxies.items()
            for reason in proxy.violations
        )
