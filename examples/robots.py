"""Two robots without a coordinator: each has a sensor, an actuator and a bundle of its own, and they flash latents.

Run it with the bundles of a team of two, `agent-0` and `agent-1`, as `heliograph export` writes them:

    python examples/robots.py BUNDLES

Each robot is a process here.  On real machines run one `robot(...)` on each, with the addresses of all in `roster`,
one run id, one seed and one `origin_unix_s`, and clocks that agree to a part of `period_s` (NTP will do).
`Robot` is the whole adapter: replace `read_sensor` and `drive`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent_node.hello import Member
from agent_node.node import Node
from agent_node.percept import Percept
from agent_node.standalone_world import StandaloneWorld, StepGrid
from agent_node.world import StepReport, Team
from heliograph import bundle as bundles
from heliograph.actions import Action, ActionSpace

PERIOD_S = 0.05
MESSAGE_DEADLINE_S = 0.03  # the rest of the period is for the step function and the actuator
START_DELAY_S = 2.0  # for the processes to come up before step 0


class Robot(StandaloneWorld):
    """One robot's sensor and actuator, on the team's common step grid."""

    def __init__(
        self,
        *,
        slot: int,
        observation_size: int,
        actions: ActionSpace,
        team: Team,
        roster: Sequence[Member],
        grid: StepGrid,
        steps: int,
    ) -> None:
        super().__init__(team=team, roster=roster)
        self._slot = slot
        self._observation_size = observation_size
        self._actions = actions
        self._grid = grid
        self._steps = steps
        self.position = 0.0
        self.reports: list[StepReport] = []

    def read_sensor(self) -> np.ndarray:
        """A real robot reads its hardware here; this one feels where it is."""
        return np.full(self._observation_size, self.position, dtype=np.float32)

    def drive(self, action: Action) -> None:
        """A real robot sets its motors here; this one moves on a line, one way or the other."""
        middle = 0 if isinstance(action, np.ndarray) else self._actions.mask_size // 2
        self.position += 0.25 * float(np.sum(action) - middle)

    async def percept(self) -> Percept | None:
        episode, step = await self._grid.next_step()
        if step >= self._steps:
            return None
        others = tuple(member.slot for member in self.roster if member.slot != self._slot)
        return Percept(
            episode=episode,
            step=step,
            observation=self.read_sensor(),
            action_mask=np.ones(self._actions.mask_size, dtype=bool),
            hears=others,  # everybody is in sight; a camera or a radio could tell
            heard_by=others,
            first=step == 0,
            message_deadline_s=MESSAGE_DEADLINE_S,
        )

    async def act(self, report: StepReport) -> None:
        self.drive(self.actuation(report))
        self.reports.append(report)


async def robot(folder: Path, *, slot: int, addresses: Sequence[str], origin_unix_s: float, steps: int) -> Robot:
    """Run one robot to its last step and return it."""
    bundle = bundles.load(folder / f"agent-{slot}")
    bundle.check_slot(slot=slot, team_size=len(addresses))
    world = Robot(
        slot=slot,
        observation_size=bundle.manifest.observation_size,
        actions=bundle.manifest.actions,
        team=Team(run_id="robots", run_seed=7, greedy=True),
        roster=[Member(slot=other, peer_address=address) for other, address in enumerate(addresses)],
        grid=StepGrid(period_s=PERIOD_S, origin_unix_s=origin_unix_s),
        steps=steps,
    )
    await Node(bundle, listen=addresses[slot]).run(world)
    return world


def robot_process(folder: Path, slot: int, addresses: Sequence[str], origin_unix_s: float, steps: int) -> None:
    world = asyncio.run(robot(folder, slot=slot, addresses=addresses, origin_unix_s=origin_unix_s, steps=steps))
    masked = sum(len(report.masked) for report in world.reports)
    heard = len(world.reports) - 1 - masked  # nobody has a message at the first step
    print(f"robot {slot}: {len(world.reports)} steps, heard {heard}, missed {masked}, at {world.position:+.2f}")


def free_addresses(count: int) -> list[str]:
    """Addresses on this machine; on real machines these are written down beforehand."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def main(folder: Path, steps: int = 40) -> int:
    addresses = free_addresses(2)
    origin_unix_s = time.time() + START_DELAY_S
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    robots = [
        context.Process(target=robot_process, args=(folder, slot, addresses, origin_unix_s, steps)) for slot in range(2)
    ]
    for process in robots:
        process.start()
    for process in robots:
        process.join(timeout=START_DELAY_S + steps * PERIOD_S + 30)
    return max(process.exitcode if process.exitcode is not None else 1 for process in robots)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/robots.py BUNDLES")
    sys.exit(main(Path(sys.argv[1])))
