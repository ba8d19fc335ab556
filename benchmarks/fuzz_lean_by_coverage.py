"""Malformed frames against the lean transport, led by which of its lines they reach (atheris, libFuzzer).

    pip install atheris; python benchmarks/fuzz_lean_by_coverage.py [libFuzzer's options, such as -runs=100000] [CORPUS]

The first byte says which end of a connection is told, and how many frames of a recorded exchange come before; the rest
is what comes then.  Anything but a connection that is cut or goes on ends the program, with the input in `crash-…`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from typing import Any

import uvloop

atheris: Any = importlib.import_module("atheris")  # no package of this project needs it

with atheris.instrument_imports(include=["agent_node.transport.lean", "heliograph.http2", "h2", "hpack", "hyperframe"]):
    from fuzz_lean import REQUEST, NoSocket, accept, recorded

    from agent_node.transport.lean.client import DialledLeanCall, DialledLink
    from agent_node.transport.lean.link import Link
    from agent_node.transport.lean.server import AcceptedLink, LeanServer
    from heliograph.http2 import PREFACE
    from heliograph.refusals import Refusals

CHUNK = 97
"""Bytes that come at once, so that frames are cut anywhere."""


class Target:
    """Both ends, one connection for each input."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._recorded = {is_client: recorded(is_client=is_client) for is_client in (True, False)}
        self._raised: list[str] = []
        runner.get_loop().set_exception_handler(
            lambda _, context: self._raised.append(repr(context.get("exception", context["message"])))
        )

    def __call__(self, data: bytes) -> None:
        if data:
            self._runner.run(self._attempt(is_client=data[0] % 2 == 0, before=data[0] // 2 % 16, then=data[1:]))
        if self._raised:
            raise AssertionError(self._raised[0])

    async def _attempt(self, *, is_client: bool, before: int, then: bytes) -> None:
        link: Link
        if is_client:
            server = LeanServer(tls=None, refusals=Refusals())
            server.serve(accept)
            link = AcceptedLink(server, "127.0.0.1", 1)
            server.places.came(link)
        else:
            link = DialledLink()
        link.connection_made(NoSocket(link))  # type: ignore[arg-type]
        if is_client:
            link.data_received(PREFACE)
        else:
            DialledLeanCall(link, link.connection.begin(REQUEST))
        told = b"".join(self._recorded[is_client][:before]) + then
        for at in range(0, len(told), CHUNK):
            if link.is_over:
                break
            link.data_received(told[at : at + CHUNK])
            await asyncio.sleep(0)
        if not link.is_over:
            link.cut("done")
        await asyncio.sleep(0)


def main() -> None:
    logging.getLogger("heliograph").setLevel(logging.CRITICAL)
    logging.getLogger("agent_node").setLevel(logging.CRITICAL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        atheris.Setup(sys.argv, Target(runner))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
