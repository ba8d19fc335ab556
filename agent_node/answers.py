"""Which act answers which agent input when a call to the coordinator breaks between the two.  Imported by
`coordinator_world.py`.

An act answers an input of the same call.  One that comes again over a new call is answered as it was before, since the
agent has lived through that step; one that is being decided on is answered once that is done.
"""

from __future__ import annotations

from agent_node.agent_input import AgentInput
from heliograph.pb import coordination_pb2

Place = tuple[int, int]
"""Episode and step."""


class Answers:
    """Agent inputs in, acts out, over one call after the other."""

    def __init__(self) -> None:
        self._pending: AgentInput | None = None
        self._deciding: Place | None = None
        self._owed: Place | None = None  # in the present call
        self._last: coordination_pb2.Act | None = None

    @property
    def has_pending(self) -> bool:
        return self._pending is not None

    def begin_call(self) -> None:
        """A new call: what is owed will be asked again."""
        self._owed = None

    def asked(self, agent_input: AgentInput) -> coordination_pb2.Act | None:
        """An agent input has come; returns the act that answers it if there is one already.

        Only the newest counts: a node that was stopped does not live through what it missed.
        """
        place = (agent_input.episode, agent_input.step)
        self._owed = place
        if self._last is not None and place == (self._last.episode, self._last.step):
            self._owed = None
            return self._last
        if place != self._deciding:
            self._pending = agent_input
        return None

    def take(self) -> AgentInput:
        """The newest agent input, to be decided on."""
        assert self._pending is not None
        agent_input, self._pending = self._pending, None
        self._deciding = (agent_input.episode, agent_input.step)
        return agent_input

    def decided(self, act: coordination_pb2.Act) -> coordination_pb2.Act | None:
        """What was decided on is done; returns the act if this call is owed it."""
        self._deciding, self._last = None, act
        if self._owed != (act.episode, act.step):
            return None
        self._owed = None
        return act
