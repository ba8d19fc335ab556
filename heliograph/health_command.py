"""`heliograph health`: ask a coordinator or a node how it is, by the standard health service (grpc.health.v1).

For health checks of containers and for scripts that wait.  gRPC loads when it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli import Command

NOT_SERVING_EXIT_CODE = 1

CHECK_DEADLINE_S = 2.0
"""How long one answer may take; a live process answers in milliseconds."""

PAUSE_S = 0.2
"""Between two questions while waiting."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT", help="where a coordinator or a node listens")
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help="ask by mutual TLS, with this certificate, or any of those below DIR",
    )
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="ask again until it serves, so long")


def run(arguments: argparse.Namespace) -> int:
    """0 if it serves, 1 if it answers that it does not; raises NetworkError if there is no answer."""
    import asyncio

    status = asyncio.run(_status(arguments.address, wait_s=arguments.wait, folder=arguments.tls))
    print(status)
    return 0 if status == "SERVING" else NOT_SERVING_EXIT_CODE


async def _status(address: str, *, wait_s: float, folder: Path | None) -> str:
    """The first SERVING, or what is the case when the time is over."""
    import asyncio

    from heliograph import rpc
    from heliograph.certificates.folder import own, slots_below
    from heliograph.certificates.identity import COORDINATOR
    from heliograph.errors import NetworkError
    from heliograph.tls import Tls

    tls = None if folder is None else Tls(own(folder, [*slots_below(folder), COORDINATOR][0]))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    async with rpc.channel(address, max_message_bytes=rpc.MAX_PEER_BYTES, tls=tls) as channel:
        while True:
            try:
                status = await rpc.health_status(channel, timeout_s=CHECK_DEADLINE_S)
                if status == "SERVING" or loop.time() >= deadline:
                    return status
            except NetworkError as error:
                if loop.time() >= deadline:
                    raise NetworkError(f"no health service answers at {address}: {error}") from None
            await asyncio.sleep(PAUSE_S)


COMMAND = Command(summary="ask a coordinator or a node whether it serves", configure=configure, run=run)
