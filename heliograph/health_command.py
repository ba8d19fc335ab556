"""`heliograph health`: ask a coordinator or a node how it is, by the standard health service (grpc.health.v1), or look
how far a training run is.

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

LOOK_PAUSE_S = 0.5
"""Between two looks at a run folder, which may lie on a disk that is far away."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT", nargs="?", help="where a coordinator or a node listens")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="instead: whether the training in a run folder is finished"
    )
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help="ask by mutual TLS, with this certificate, or any of those below DIR",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="ask again until it serves, or is finished, for so many seconds",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 if it serves or is finished, 1 if it answers that it is not; raises NetworkError if there is no answer."""
    import asyncio

    from heliograph.errors import SettingsError

    if (arguments.address is None) == (arguments.run is None):
        raise SettingsError("say whom to ask with HOST:PORT, or which training to look at with --run")
    if arguments.run is not None:
        return _look(arguments.run, wait_s=arguments.wait)
    status = asyncio.run(_status(arguments.address, wait_s=arguments.wait, folder=arguments.tls))
    print(status)
    return 0 if status == "SERVING" else NOT_SERVING_EXIT_CODE


def _look(folder: Path, *, wait_s: float) -> int:
    """0 once the run is finished; 1 if it is not when the time is over.  Every state on the way is told.

    One that has failed, or not reached its target, is waited for, too: a supervisor may start its trainer again.
    """
    import sys
    import time

    from heliograph.run_status import RunState, read_status

    deadline = time.monotonic() + wait_s
    told = None
    while True:
        status = read_status(folder)
        over = status.state is RunState.FINISHED or time.monotonic() >= deadline
        if over:
            print(status.in_words(folder))
            return 0 if status.state is RunState.FINISHED else NOT_SERVING_EXIT_CODE
        if status.state is not told:
            told = status.state
            print(f"waiting at most {wait_s:g} s: {status.in_words(folder)}", file=sys.stderr, flush=True)
        time.sleep(LOOK_PAUSE_S)


async def _status(address: str, *, wait_s: float, folder: Path | None) -> str:
    """The first SERVING, or what is the case when the time is over."""
    import asyncio

    from heliograph import rpc
    from heliograph.certificates.folder import own, slots_below
    from heliograph.certificates.identity import COORDINATOR
    from heliograph.errors import NetworkError
    from heliograph.renewed_channel import RenewedChannel
    from heliograph.tls import Tls

    tls = None if folder is None else Tls(own(folder, [*slots_below(folder), COORDINATOR][0]))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    channel = RenewedChannel(address, max_message_bytes=rpc.MAX_PEER_BYTES, tls=tls)
    try:
        while True:
            try:
                status = await rpc.health_status(await channel.newest(), timeout_s=CHECK_DEADLINE_S)
                if status == "SERVING" or loop.time() >= deadline:
                    return status
            except NetworkError as error:
                if loop.time() >= deadline:
                    raise NetworkError(f"no health service answers at {address}: {channel.cause(error)}") from None
            await asyncio.sleep(PAUSE_S)
    finally:
        await channel.close()


COMMAND = Command(
    summary="ask a coordinator or a node whether it serves, or whether a training is finished",
    configure=configure,
    run=run,
)
