"""The start of a run: every slot has a live node, every pair a stream.  Imported by `rollout`."""

from __future__ import annotations

import logging
import sys

from coordinator.serving.server import CoordinationServer
from coordinator.serving.supervisor import Supervisor
from heliograph.errors import NodeFailed

logger = logging.getLogger(__name__)


async def assemble(
    server: CoordinationServer,
    supervisor: Supervisor | None,
    *,
    start_timeout_s: float,
    connect_timeout_s: float | None,
) -> None:
    """Start the nodes, or wait for those that somebody else starts; then, unless None, for their streams.

    Raises NodeFailed if a slot stays empty; a team begins without the streams that do not come up, and says so.
    """
    team = server.team
    if supervisor is not None:
        for slot in range(team.size):
            supervisor.start(slot)
    else:
        print(f"waiting for {team.size} nodes at {server.address}", file=sys.stderr, flush=True)
    try:
        await team.wait_for_all(timeout_s=start_timeout_s)
    except NodeFailed as error:
        if supervisor is None:
            raise
        absent = sorted(set(range(team.size)) - set(team.live))
        raise NodeFailed(f"{error.message}; node {absent[0]} said last:\n{supervisor.log_tail(absent[0])}") from None
    if connect_timeout_s is not None and not await team.wait_until(
        lambda: not team.missing_links(), timeout_s=connect_timeout_s
    ):
        logger.warning("starting without streams between pairs=%s", team.missing_links())
