"""Two robots behind Zenoh: a node per robot, which talks to its robot over Zenoh and to the other node in latents.

Run it with the bundles of a team of two, `agent-0` and `agent-1`, as `heliograph export` writes them:

    python examples/zenoh_robots.py BUNDLES

The nodes are two processes; this one simulates both robots, as drivers on the robots would be: `SimulatedRobot` puts
what it sees and moves by what it is told, and knows nothing of bundles.  On real machines run its part on the robot,
with its sensor and motors, and `agent` where the node is to be; agree on addresses, run id, seed and the time of step 0
beforehand, as `examples/robots.py` says.

A robot stops when it is told to, and by itself when nothing has come for `DEADMAN_S`: a node that was killed says
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import zenoh
from robots import START_DEADLINE_S, all_ready, begun, exit_code, free_addresses, tell_start, told_start

from agent_node.hello import Member
from agent_node.node import Node
from agent_node.standalone_world import StepGrid
from agent_node.world import Team
from agent_node.zenoh_world import ZenohWorld, zenoh_config
from heliograph import bundle as bundles
from heliograph.errors import HeliographError
from heliograph.manifest import Manifest

PERIOD_S = 0.05
SENSOR_PERIOD_S = 0.02
DEADMAN_S = 0.5
END_DEADLINE_S = 30.0
PREFIX = "example"


class SimulatedRobot:
    """A robot on a line that feels where it is; all that it has of the team is two keys of Zenoh."""

    def __init__(self, session: zenoh.Session, *, slot: int, manifest: Manifest) -> None:
        self.position = 0.0
        self.actions = 0
        self.stopped_because = ""
        self._observation_size = manifest.observation_size
        self._middle = manifest.actions.mask_size // 2
        self._last_told_s = time.monotonic()
        self._publisher = session.declare_publisher(f"{PREFIX}/{slot}/observation")
        session.declare_subscriber(f"{PREFIX}/{slot}/action", self._told)

    def sense(self) -> None:
        """A real robot reads its hardware here."""
        self._publisher.put(json.dumps({"observation": [self.position] * self._observation_size}))
        if not self.stopped_because and self.actions and time.monotonic() - self._last_told_s > DEADMAN_S:
            self.stopped_because = f"nothing came for {DEADMAN_S:g} s"

    def _told(self, sample: zenoh.Sample) -> None:
        """A real robot sets its motors here, and lets them stand still at a stop."""
        told = json.loads(sample.payload.to_string())
        self._last_told_s = time.monotonic()
        if "stop" in told:
            self.stopped_because = told["stop"]
            return
        self.stopped_because = ""
        self.actions += 1
        action = told["action"]
        self.position += 0.25 * (sum(action) if isinstance(action, list) else action - self._middle)


# Six parameters: whose node, of which team, how its robot is reached, who says when it starts, and when it ends.
async def agent(
    folder: Path, *, slot: int, addresses: Sequence[str], robot: str, starter: Connection, steps: int
) -> None:
    """Run one node to its last step."""
    bundle = bundles.load(folder / f"agent-{slot}")
    bundle.check_slot(slot=slot, team_size=len(addresses))

    async def agreed() -> StepGrid:
        return StepGrid(period_s=PERIOD_S, origin_unix_s=await asyncio.to_thread(told_start, starter))

    world = ZenohWorld(
        team=Team(run_id="zenoh-robots", run_seed=7, greedy=True),
        roster=[Member(slot=other, peer_address=address) for other, address in enumerate(addresses)],
        config=zenoh_config(connect=[robot]),
        prefix=PREFIX,
        start=agreed,
        steps=steps,
    )
    await Node(bundle, listen=addresses[slot]).run(world)


def node_process(
    folder: Path, slot: int, addresses: Sequence[str], robot: str, starter: Connection, steps: int
) -> None:
    try:
        asyncio.run(agent(folder, slot=slot, addresses=addresses, robot=robot, starter=starter, steps=steps))
    except TimeoutError:
        sys.exit(f"node {slot}: the other was not there within {START_DEADLINE_S:g} s")
    except HeliographError as error:
        sys.exit(f"node {slot}: {error}")


def main(folder: Path, steps: int = 40) -> int:
    manifests = [bundles.load(folder / f"agent-{slot}").manifest for slot in range(2)]
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        *addresses, listening = stack.enter_context(free_addresses(3))
        robot_address = f"tcp/{listening}"
        session = stack.enter_context(zenoh.open(zenoh_config(listen=[robot_address])))
        robots = [SimulatedRobot(session, slot=slot, manifest=manifest) for slot, manifest in enumerate(manifests)]
        senses = threading.Thread(target=_sense, args=(robots, over))
        senses.start()
        try:
            links, nodes = [], []
            for slot in range(2):
                link, node = begun(node_process, folder, slot, addresses, robot_address, steps=steps)
                links.append(link)
                nodes.append(node)
            if all_ready(links):
                print("both nodes see their robot and each other", flush=True)
                tell_start(links)
            else:
                for node in nodes:
                    node.terminate()
            code = exit_code(nodes, within_s=steps * PERIOD_S + END_DEADLINE_S)
            while any(robot.actions and not robot.stopped_because for robot in robots):
                time.sleep(SENSOR_PERIOD_S)  # until the last word of its node is there, or it stops by itself
        finally:
            over.set()
            senses.join()
    for slot, robot in enumerate(robots):
        print(f"robot {slot}: {robot.actions} actions, at {robot.position:+.2f}, stopped: {robot.stopped_because}")
    return code


def _sense(robots: Sequence[SimulatedRobot], over: threading.Event) -> None:
    while not over.wait(SENSOR_PERIOD_S):
        for robot in robots:
            robot.sense()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/zenoh_robots.py BUNDLES")
    try:
        sys.exit(main(Path(sys.argv[1])))
    except HeliographError as error:
        sys.exit(str(error))
