"""A robot behind Zenoh: observations come in from a key, actions go out to another.  Public; needs the extra `zenoh`.

The robot and the node are processes of their own, on one machine or two.  The robot puts JSON, as often as it likes, to
`PREFIX/SLOT/observation`:

    {"observation": [0.5, …], "mask": [true, …], "receives_from": [1], "sends_to": [1]}

`mask` says which actions are legal now, all where it is left out; `receives_from` and `sends_to` name the slots in
reach, all others where they are left out.  At every step of the team's grid the newest one counts.  The node puts to
`PREFIX/SLOT/action`

    {"episode": 0, "step": 12, "action": 2}     of continuous actions the list of numbers between their real bounds
    {"stop": "the node has ended"}              whenever it will not act for now: the motors are to stand still

A node that is killed can say nothing, nor can one whose network is gone: a robot stops by itself when no action has
come for a few periods.  `examples/zenoh_robots.py` does all of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent_node.agent_input import AgentInput
from agent_node.hello import Member
from agent_node.robot_reading import MOST_BYTES, Reading, parse_reading
from agent_node.ros_string import unwrapped, wrapped
from agent_node.standalone_world import StandaloneWorld, StepGrid
from agent_node.world import NodeHandle, StepReport, Team
from heliograph.errors import NetworkError, SettingsError
from heliograph.extras import extra

if TYPE_CHECKING:
    import zenoh

CONNECT_S = 10.0
"""How long the endpoints are dialled before that counts as failed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a robot may be silent, in seconds by this node's clock."""

    stale_s: float = 0.5
    """An observation that came longer ago is not acted on: the node says stop, and goes on with the next one."""
    gone_s: float = 10.0
    """A robot that says nothing for so long is given up: the node says stop and ends."""
    start_s: float = 60.0
    """For the first observation to come, and for all other nodes to be in touch."""

    def __post_init__(self) -> None:
        if not 0 < self.stale_s <= self.gone_s or not self.start_s > 0:
            raise SettingsError(f"limits must be above 0, and gone_s at least stale_s, not {self}")


def zenoh_config(*, connect: Sequence[str] = (), listen: Sequence[str] = ()) -> zenoh.Config:
    """Talks to these endpoints, such as `tcp/127.0.0.1:7447`, and to nobody whom it would have to search for.

    In plain text, which is for one machine or a network of one's own; `zenoh.Config` has TLS for all others.  Raises
    SettingsError for what Zenoh does not take, MissingExtra.
    """
    with zenoh_extra():
        import zenoh

    config = zenoh.Config()
    try:
        for key, value in {
            "mode": "peer",
            "scouting/multicast/enabled": False,
            "connect/endpoints": list(connect),
            "connect/timeout_ms": int(CONNECT_S * 1000),
            "connect/exit_on_failure": True,
            "listen/endpoints": list(listen),
        }.items():
            config.insert_json5(key, json.dumps(value))
    except zenoh.ZError as error:
        raise SettingsError(f"Zenoh does not take these endpoints: {error}") from None
    return config


def zenoh_extra() -> Any:
    """Turn a missing import inside the block into MissingExtra."""
    return extra("zenoh", packages={"zenoh"}, purpose="a robot behind Zenoh")


class ZenohWorld(StandaloneWorld):
    """One robot, whose sensor and actuator are keys of Zenoh, on the team's common step grid.

    `start` is awaited once the robot's first observation is there and the other nodes are in touch, and gives the grid;
    after `steps` of each episode's steps the node ends, or with None never.  Raises NetworkError, from `Node.run`, for
    endpoints that nobody listens on and a robot that is silent.  Whatever has ended the node, `leave` tells the robot
    to stop.  With `ros_strings` the JSON is in messages of ROS 2, as `ros_string.py` says.
    """

    # Nine parameters: the team, the keys of which network and how they are written, when steps are, and limits.
    def __init__(
        self,
        *,
        team: Team,
        roster: Sequence[Member],
        config: zenoh.Config,
        start: Callable[[], Awaitable[StepGrid]],
        prefix: str = "heliograph",
        steps: int | None = None,
        message_deadline_s: float = 0.03,
        limits: Limits | None = None,
        ros_strings: bool = False,
    ) -> None:
        super().__init__(team=team, roster=roster)
        self.limits = limits or Limits()
        self.refused = 0
        """Messages of the robot that could not be read."""
        self._config, self._start, self._prefix, self._steps = config, start, prefix, steps
        self._message_deadline_s = message_deadline_s
        self._ros_strings = ros_strings
        self._node: NodeHandle | None = None
        self._session: zenoh.Session | None = None
        self._grid: StepGrid | None = None
        self._newest: Reading | None = None
        self._newest_at_s = 0.0
        self._why_refused = ""
        self._pending: tuple[bytes, float] | None = None
        """What came since the event loop looked, and when; written by a thread of Zenoh's."""
        self._came, self._in_touch = asyncio.Event(), asyncio.Event()
        self._episode: int | None = None
        self._stopped = False

    async def enter(self, node: NodeHandle) -> Team:
        with zenoh_extra():
            import zenoh

        self._node = node
        loop = asyncio.get_running_loop()

        def received(sample: zenoh.Sample) -> None:
            # By the time of arrival: an event loop that was held up must not take what is old for new.
            came = sample.payload.to_bytes()[: MOST_BYTES + 1], time.monotonic()
            fresh, self._pending = self._pending is None, came
            if fresh:
                with suppress(RuntimeError):  # the loop has just ended
                    loop.call_soon_threadsafe(self._read)

        try:
            # In a thread: it waits for the endpoints.
            self._session = await asyncio.to_thread(zenoh.open, self._config)
            self._session.declare_subscriber(self._key("observation"), received)
        except zenoh.ZError as error:
            raise NetworkError(
                f"no robot can be reached over Zenoh: {str(error).partition(' at /')[0]}",
                remedy="Start the robot or its router first, and look at the endpoints",
            ) from None
        return await super().enter(node)

    def connected(self, slots: tuple[int, ...]) -> None:
        super().connected(slots)
        if len(slots) == len(self._others):
            self._in_touch.set()

    async def agent_input(self) -> AgentInput | None:
        if self._grid is None:
            await self._next_reading(self.limits.start_s)
            if self._others:
                await self._all_in_touch()
            self._grid = await self._start()
        while True:
            episode, step = await self._grid.next_step()
            if self._steps is not None and step >= self._steps:
                return None
            newest = self._newest
            assert newest is not None
            if time.monotonic() - self._newest_at_s <= self.limits.stale_s:
                first, self._episode = episode != self._episode, episode
                return AgentInput(
                    episode=episode,
                    step=step,
                    observation=newest.observation,
                    action_mask=newest.mask,
                    receives_from=newest.receives_from,
                    sends_to=newest.sends_to,
                    first=first,
                    message_deadline_s=self._message_deadline_s,
                )
            self._stop(f"no observation for {self.limits.stale_s:g} s")
            await self._next_reading(self.limits.gone_s)

    async def act(self, report: StepReport) -> None:
        action = self.actuation(report)
        told = action.tolist() if isinstance(action, np.ndarray) else int(action)
        self._put({"episode": report.episode, "step": report.step, "action": told})
        self._stopped = False

    async def leave(self) -> None:
        if self._session is not None:
            # In a thread: it waits until what was put is on its way.
            await asyncio.to_thread(self._end, self._session)

    @property
    def _others(self) -> tuple[int, ...]:
        assert self._node is not None
        return tuple(member.slot for member in self.roster if member.slot != self._node.slot)

    def _key(self, what: str) -> str:
        assert self._node is not None
        return f"{self._prefix}/{self._node.slot}/{what}"

    def _end(self, session: Any) -> None:
        """Says stop, also to a robot that was told so before: that may have been dropped, and nothing comes after."""
        _log.info("robot is told to stop slot=%d reason='the node has ended'", self._node.slot if self._node else -1)
        try:
            self._put({"stop": "the node has ended"}, dropped=False)
        finally:
            session.close()

    def _put(self, document: dict[str, Any], *, dropped: bool = True) -> None:
        import zenoh

        assert self._session is not None
        text = json.dumps(document)
        # Dropped rather than waited for where the network is slower than the steps; a robot that gets none stops.
        self._session.put(
            self._key("action"),
            wrapped(text) if self._ros_strings else text,
            encoding=zenoh.Encoding.APPLICATION_CDR if self._ros_strings else zenoh.Encoding.APPLICATION_JSON,
            congestion_control=zenoh.CongestionControl.DROP if dropped else zenoh.CongestionControl.BLOCK,
            express=True,
        )

    def _stop(self, why: str) -> None:
        """Said once, until there is an action again."""
        if not self._stopped:
            _log.warning("robot is told to stop slot=%d reason=%r", self._node.slot if self._node else -1, why)
            self._stopped = True
            self._put({"stop": why})

    async def _next_reading(self, within_s: float) -> None:
        """Raises NetworkError if none comes that can be read."""
        self._came.clear()
        try:
            await asyncio.wait_for(self._came.wait(), within_s)
        except TimeoutError:
            why = (
                f"; {self.refused} messages were refused, the last because {self._why_refused}" if self.refused else ""
            )
            raise NetworkError(
                f"the robot at {self._key('observation')} has sent no observation for {within_s:g} s{why}",
                remedy="Look at the robot, and at its link to this node",
            ) from None

    async def _all_in_touch(self) -> None:
        try:
            await asyncio.wait_for(self._in_touch.wait(), self.limits.start_s)
        except TimeoutError:
            missing = sorted(set(self._others) - set(self.peers))
            raise NetworkError(
                f"the nodes of slots {', '.join(map(str, missing))} are not in touch after {self.limits.start_s:g} s",
                remedy="Start them, and look at the addresses of the roster",
            ) from None

    def _read(self) -> None:
        """The newest of what has come, in the event loop."""
        came, self._pending = self._pending, None
        assert came is not None
        assert self._node is not None
        data, at_s = came
        try:
            data = unwrapped(data) if self._ros_strings else data
            self._newest = parse_reading(data, self._node.manifest, self._others)
            self._newest_at_s = at_s
        except ValueError as error:
            self._why_refused = str(error)
        else:
            self._came.set()
            return
        self.refused += 1
        if self.refused == 1:
            _log.warning("message of the robot refused slot=%d reason=%r", self._node.slot, self._why_refused)
