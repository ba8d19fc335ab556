"""The world as a node sees it: inputs come in, actions go out.  Imported by the node and by those who attach a world.

Two implementations are here: `CoordinatorWorld` (coordinator_world.py), where one process owns a simulated world and
the roster, and `StandaloneWorld` (standalone_world.py), which you subclass to attach a real sensor and actuator and
needs no coordinator.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from agent_node.agent_input import AgentInput
from agent_node.hello import Member
from agent_node.inbox import LatePolicy
from agent_node.message import Decision
from heliograph.bundle import Bundle
from heliograph.codecs.coding import Coding
from heliograph.link_counters import LinkCounters
from heliograph.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Team:
    """What all nodes of a run agree on."""

    run_id: str
    """Names this run of this team; peers of other runs are refused."""
    run_seed: int
    """Key of the agents' noise, 0..2**64-1."""
    greedy: bool
    """Most likely latents and actions instead of sampled ones."""
    late_policy: LatePolicy | None = None
    """None: as the bundle of each says that its team was trained."""
    coding: Coding = field(default_factory=Coding)
    """How all nodes write latents to one another."""


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a node did at one step."""

    episode: int
    step: int
    decision: Decision
    masked: tuple[int, ...]
    """Slots that should have been heard and were absent."""
    waited_s: float
    """From the agent input's arrival until the inbox was closed."""
    computed_s: float
    """In the bundle's step function."""
    decided_ns: int = field(default_factory=time.time_ns, compare=False)
    """Unix time at which it was made, before anybody was told of the action."""


class NodeHandle(Protocol):
    """What a world may ask of the node that entered it."""

    @property
    def slot(self) -> int: ...

    @property
    def instance(self) -> str:
        """New for every process start."""
        ...

    @property
    def bundle_digest(self) -> str:
        """Of the bundle that it runs now."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Likewise."""
        ...

    @property
    def peer_address(self) -> str:
        """host:port where its peers dial it."""
        ...

    def update_roster(self, members: Iterable[Member]) -> None:
        """Replace the team's roster; the own slot in it is ignored."""

    def prepare(self, bundle: Bundle) -> None:
        """Load a bundle beside the one that runs, in place of one that was prepared before.

        Raises BundleError if this node could not go on with it.
        """

    def switch(self, digest: str, *, coding: Coding, members: Iterable[Member]) -> None:
        """Between two steps: go on with the prepared bundle, in a team that has all switched.

        Raises BundleMismatch if it was never prepared.
        """

    async def totals(self) -> dict[int, LinkCounters]:
        """Write what is still to be sent, then return the counters by peer slot."""


class World(Protocol):
    """Where agent inputs come from and actions go to; all calls come from one task of the node, in this order."""

    async def enter(self, node: NodeHandle) -> Team:
        """Take part; returns once the run is known.  The roster follows through the handle, now or later."""

    async def agent_input(self) -> AgentInput | None:
        """Wait for the next step and return the newest agent input, skipping older ones; None if the world is over."""

    async def act(self, report: StepReport) -> None:
        """Carry out the decision, or hand it to whoever does; must not wait for the next step."""

    def connected(self, slots: tuple[int, ...]) -> None:
        """The set of peers with a live stream is now this one."""

    async def leave(self) -> None:
        """The node is on its way out, also after an error."""
