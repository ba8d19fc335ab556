"""Who calls a coordination server: known by certificate where there are any, and refused in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

import grpc.aio

from heliograph.certificates.identity import Identity
from heliograph.refusals import Refusals
from heliograph.tls import peer_identity

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class Callers:
    """`client_of` says who is behind a peer as gRPC names it.  `certified`: a slot's bundle and seat are for the
    certificate of that slot alone."""

    def __init__(self, refusals: Refusals, *, client_of: Callable[[str], str] = str, certified: bool = False) -> None:
        self.certified = certified
        self._refusals, self._client_of = refusals, client_of

    def name(self, context: Context) -> str:
        """The caller's address, for logs."""
        return self._client_of(context.peer())

    async def refuse(self, context: Context, status: str, sentence: str) -> NoReturn:
        """End the call with a gRPC status, counted."""
        await self._refusals.refuse(context, status, sentence)

    async def require_certificate(self, slot: int, context: Context) -> None:
        """End the call unless its caller may speak for the slot."""
        if self.certified and (certified := peer_identity(context)) != Identity(slot=slot):
            await self._deny(certified, f"slot {slot}", context)

    async def certified_slot(self, context: Context) -> int:
        """The slot that the caller's certificate is for; ends the call if it is for none."""
        certified = peer_identity(context)
        if certified is None or certified.slot is None:
            await self._deny(certified, "any slot", context)
        return certified.slot

    async def _deny(self, certified: Identity | None, wanted: str, context: Context) -> NoReturn:
        sentence = f"certificate of {certified or 'nobody'} does not speak for {wanted}"
        logger.warning("node refused peer=%s reason=%r", self.name(context), sentence)
        await self.refuse(context, "PERMISSION_DENIED", sentence)
