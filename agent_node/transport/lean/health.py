"""The standard health service (grpc.health.v1) on a lean server.  Imported by `server.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from agent_node.transport.lean.accepted import AcceptedLeanCall
from agent_node.transport.seam import CallEnded
from heliograph.refusals import Refusals

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class LeanHealth:
    """A `Health`; only the server as a whole has a state, under the empty name."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._status: int = NOT_SERVING
        self._is_draining = False
        self._changed = asyncio.Event()  # replaced by a new one with every change
        self.handlers: dict[bytes, Callable[[AcceptedLeanCall], Awaitable[None]]] = {
            b"/grpc.health.v1.Health/Check": self._check,
            b"/grpc.health.v1.Health/Watch": self._watch,
        }

    async def starting(self) -> None:
        self._set(NOT_SERVING)

    async def serving(self) -> None:
        self._set(SERVING)

    async def draining(self) -> None:
        self._set(NOT_SERVING)
        self._is_draining = True

    def _set(self, status: int) -> None:
        if not self._is_draining:
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    async def _check(self, call: AcceptedLeanCall) -> None:
        if await self._asked(call):
            raise CallEnded("NOT_FOUND", "only the server as a whole has a state")
        self._answer(call, self._status)

    async def _watch(self, call: AcceptedLeanCall) -> None:
        is_unknown = bool(await self._asked(call))
        last = None
        while True:
            changed = self._changed
            status = SERVICE_UNKNOWN if is_unknown else self._status
            if status != last:
                self._answer(call, status)
                last = status
            waits = {asyncio.ensure_future(changed.wait()), asyncio.ensure_future(call.wait_until_over())}
            try:
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            finally:
                for each in waits:
                    each.cancel()

    async def _asked(self, call: AcceptedLeanCall) -> str:
        """The service that is asked for."""
        requests: list[bytes] = []

        def take(data: bytes) -> None:
            requests.append(data)
            if len(requests) == 2:  # and not later: they need never end
                self._refusals.count("INVALID_ARGUMENT")
                call.refuse("INVALID_ARGUMENT", "there is more than one request")

        await call.receive(take)
        try:
            (data,) = requests
            return health_pb2.HealthCheckRequest.FromString(data).service
        except (ValueError, DecodeError):
            self._refusals.count("INVALID_ARGUMENT")
            raise CallEnded("INVALID_ARGUMENT", "the request is no message of its kind") from None

    def _answer(self, call: AcceptedLeanCall, status: int) -> None:
        call.open()
        call.send(health_pb2.HealthCheckResponse(status=status).SerializeToString())
