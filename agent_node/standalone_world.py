"""A world of your own: attach a real sensor and actuator to a node, with a fixed roster and no coordinator.  Public.

Subclass `StandaloneWorld`, implement `agent_input` and `act`, and hand it to `Node.run`; `examples/robots.py` does it.
Steps should start on a `StepGrid`: with a timer of its own in each node, nodes drift apart and messages miss their
steps.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from agent_node.agent_input import AgentInput
from agent_node.hello import Member
from agent_node.world import NodeHandle, StepReport, Team
from heliograph.actions import Action, ActionSpace, ContinuousActions
from heliograph.errors import SettingsError


class StepGrid:
    """Steps of `period_s` on the wall clock, the same for every node whose clock is right to a part of a period.

    Step 0 of episode 0 starts at `origin_unix_s`; an episode has `episode_steps` steps, or never ends if that is None.
    """

    def __init__(self, *, period_s: float, origin_unix_s: float, episode_steps: int | None = None) -> None:
        if period_s <= 0 or (episode_steps is not None and episode_steps < 1):
            raise SettingsError(f"a grid of {episode_steps} steps of {period_s} s per episode cannot be")
        self._period_s = period_s
        self._origin_unix_s = origin_unix_s
        self._episode_steps = episode_steps
        self._last = -1

    async def next_step(self) -> tuple[int, int]:
        """Wait for the start of the next step and return (episode, step); steps that went by unused are left out."""
        elapsed = (time.time() - self._origin_unix_s) / self._period_s
        tick = max(math.ceil(elapsed), self._last + 1, 0)
        while (pause_s := self._origin_unix_s + tick * self._period_s - time.time()) > 0:
            await asyncio.sleep(pause_s)
        # After a long pause of the whole process the tick that we slept for is over.
        self._last = max(tick, math.floor((time.time() - self._origin_unix_s) / self._period_s))
        if self._episode_steps is None:
            return 0, self._last
        return divmod(self._last, self._episode_steps)


class StandaloneWorld(ABC):
    """A world whose team and roster are given in code; you provide the sensor and the actuator."""

    def __init__(self, *, team: Team, roster: Sequence[Member]) -> None:
        self.team = team
        self.roster = tuple(roster)
        self.peers: tuple[int, ...] = ()
        """The slots whose stream is up now."""
        self.actions: ActionSpace | None = None
        """What the node's bundle can do, once it has entered."""

    @abstractmethod
    async def agent_input(self) -> AgentInput | None:
        """Wait for the next step, read the sensor; None ends the node.

        `receives_from` is whom this agent can hear now (by the sensor, or everybody), `sends_to` who can hear it.
        """

    @abstractmethod
    async def act(self, report: StepReport) -> None:
        """Drive the actuator with `self.actuation(report)`."""

    def actuation(self, report: StepReport) -> Action:
        """The number of the action; of a continuous one float32 [k], between its real bounds.

        `report.decision.action` is between -1 and 1 instead, and 0 where this agent lacks a dimension.
        """
        action = report.decision.action
        return self.actions.scaled(np.asarray(action)) if isinstance(self.actions, ContinuousActions) else action

    async def enter(self, node: NodeHandle) -> Team:
        self.actions = node.manifest.actions
        node.update_roster(member for member in self.roster if member.slot != node.slot)
        return self.team

    def connected(self, slots: tuple[int, ...]) -> None:
        self.peers = slots

    async def leave(self) -> None:
        """Override it to stop a motor."""
        return None
