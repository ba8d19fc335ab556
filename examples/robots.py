"""Two robots without a coordinator: each has a sensor, an actuator and a bundle of its own, and they flash latents.

Run it with the bundles of a team of two, `agent-0` and `agent-1`, as `heliograph export` writes them:

    python examples/robots.py BUNDLES

Each robot is a process here.  On real machines run one `robot(...)` on each, with the addresses of all in `roster`,
one run id, one seed and one time at which step 0 starts, and clocks that agree to a part of `period_s` (NTP will do).
Here that time is set when both robots have said that they hear each other.
`Robot` is the whole adapter: replace `read_sensor` and `drive`.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from agent_node.agent_input import AgentInput
from agent_node.hello import Member
from agent_node.node import Node
from agent_node.standalone_world import StandaloneWorld, StepGrid
from agent_node.world import StepReport, Team
from heliograph import bundle as bundles
from heliograph.actions import Action, ActionSpace
from heliograph.errors import HeliographError

PERIOD_S = 0.05
MESSAGE_DEADLINE_S = 0.03  # the rest of the period is for the step function and the actuator
START_DEADLINE_S = 60.0  # for all robots to be up and in touch; what starts late on a busy machine is waited for
END_DEADLINE_S = 30.0  # for a robot to leave after its last step


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
        start: Callable[[], Awaitable[float]],
        steps: int,
    ) -> None:
        super().__init__(team=team, roster=roster)
        self._slot = slot
        self._observation_size = observation_size
        self._actions = actions
        self._start = start
        self._grid: StepGrid | None = None
        self._steps = steps
        self._in_touch = asyncio.Event()
        self.position = 0.0
        self.reports: list[StepReport] = []

    def read_sensor(self) -> np.ndarray:
        """A real robot reads its hardware here; this one feels where it is."""
        return np.full(self._observation_size, self.position, dtype=np.float32)

    def drive(self, action: Action) -> None:
        """A real robot sets its motors here; this one moves on a line, one way or the other."""
        middle = 0 if isinstance(action, np.ndarray) else self._actions.mask_size // 2
        self.position += 0.25 * float(np.sum(action) - middle)

    def connected(self, slots: tuple[int, ...]) -> None:
        super().connected(slots)
        if len(slots) == len(self.roster) - 1:
            self._in_touch.set()

    async def agent_input(self) -> AgentInput | None:
        if self._grid is None:
            await asyncio.wait_for(self._in_touch.wait(), START_DEADLINE_S)
            self._grid = StepGrid(period_s=PERIOD_S, origin_unix_s=await self._start())
        episode, step = await self._grid.next_step()
        if step >= self._steps:
            return None
        others = tuple(member.slot for member in self.roster if member.slot != self._slot)
        return AgentInput(
            episode=episode,
            step=step,
            observation=self.read_sensor(),
            action_mask=np.ones(self._actions.mask_size, dtype=bool),
            receives_from=others,  # everybody is in sight; a camera or a radio could tell
            sends_to=others,
            first=step == 0,
            message_deadline_s=MESSAGE_DEADLINE_S,
        )

    async def act(self, report: StepReport) -> None:
        self.drive(self.actuation(report))
        self.reports.append(report)


async def robot(
    folder: Path, *, slot: int, addresses: Sequence[str], start: Callable[[], Awaitable[float]], steps: int
) -> Robot:
    """Run one robot to its last step and return it.

    `start` is asked once the robot is in touch with the others, and says at which Unix time step 0 begins.
    """
    bundle = bundles.load(folder / f"agent-{slot}")
    bundle.check_slot(slot=slot, team_size=len(addresses))
    world = Robot(
        slot=slot,
        observation_size=bundle.manifest.observation_size,
        actions=bundle.manifest.actions,
        team=Team(run_id="robots", run_seed=7, greedy=True),
        roster=[Member(slot=other, peer_address=address) for other, address in enumerate(addresses)],
        start=start,
        steps=steps,
    )
    await Node(bundle, listen=addresses[slot]).run(world)
    return world


def robot_process(folder: Path, slot: int, addresses: Sequence[str], starter: Connection, steps: int) -> None:
    async def agreed() -> float:
        return await asyncio.to_thread(told_start, starter)

    try:
        world = asyncio.run(robot(folder, slot=slot, addresses=addresses, start=agreed, steps=steps))
    except TimeoutError:
        sys.exit(f"robot {slot}: the others were not there within {START_DEADLINE_S:g} s")
    except HeliographError as error:
        sys.exit(f"robot {slot}: {error}")
    if not world.reports:
        sys.exit(f"robot {slot}: no step was made; all {steps} were over before it was ready")
    masked = sum(len(report.masked) for report in world.reports)
    heard = len(world.reports) - 1 - masked  # nobody has a message at the first step
    print(f"robot {slot}: {len(world.reports)} steps, heard {heard}, missed {masked}, at {world.position:+.2f}")


@contextlib.contextmanager
def free_addresses(count: int) -> Iterator[list[str]]:
    """Addresses on this machine that nobody else is given meanwhile; of real machines they are written down before."""
    with contextlib.ExitStack() as held:
        addresses = []
        for _ in range(count):
            bound = held.enter_context(socket.socket())
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{bound.getsockname()[1]}")
        if sys.platform != "linux":  # where a server may listen at what is bound so
            held.close()
        yield addresses


def main(folder: Path, steps: int = 40) -> int:
    links, robots = [], []
    with free_addresses(2) as addresses:
        for slot in range(2):
            link, process = begun(robot_process, folder, slot, addresses, steps=steps)
            links.append(link)
            robots.append(process)
        if all_ready(links):
            tell_start(links)
        else:
            for process in robots:
                process.terminate()
        return exit_code(robots, within_s=steps * PERIOD_S + END_DEADLINE_S)


# Whoever starts processes and each of them agree by a pipe, which ends with either: an event of `multiprocessing` has a
# lock, and a process that is killed while it holds it leaves the others waiting for ever.


def begun(target: Callable[..., None], *arguments: object, steps: int) -> tuple[Connection, BaseProcess]:
    """Start `target(*arguments, ITS END, steps)` as a process; our end of the pipe, and the process."""
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    ours, its = context.Pipe()
    process = context.Process(target=target, args=(*arguments, its, steps), daemon=True)
    process.start()
    its.close()  # so that ours ends when the process does
    return ours, process


def told_start(starter: Connection) -> float:
    """Say that one is ready; the Unix time of step 0.  Raises TimeoutError if nobody says it in time."""
    try:
        starter.send("ready")
        if starter.poll(START_DEADLINE_S):
            told: float = starter.recv()
            return told
    except (EOFError, ConnectionError):
        sys.exit("whoever started this process has ended")
    raise TimeoutError


def all_ready(links: Sequence[Connection]) -> bool:
    """Whether all have said so; if one of them ends before it does, the others are not waited for."""
    until = time.monotonic() + START_DEADLINE_S
    awaited = list(links)
    while awaited:
        heard = wait(awaited, max(0.0, until - time.monotonic()))
        if not heard:
            return False
        for link in awaited[:]:
            if link in heard:
                try:
                    link.recv()
                except (EOFError, ConnectionError):
                    return False
                awaited.remove(link)
    return True


def tell_start(links: Sequence[Connection]) -> None:
    origin_unix_s = time.time() + PERIOD_S
    for link in links:
        with contextlib.suppress(ConnectionError):  # one that has been killed meanwhile does not keep the others
            link.send(origin_unix_s)


def exit_code(processes: Sequence[BaseProcess], *, within_s: float) -> int:
    """The largest of theirs, once all have ended; who has not in time is killed, which counts as 9."""
    until = time.monotonic() + within_s
    for process in processes:
        process.join(timeout=max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/robots.py BUNDLES")
    sys.exit(main(Path(sys.argv[1])))
