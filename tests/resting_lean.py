"""What a peer says to a node over the lean transport, where a connection that rests does so until a step needs it."""

from __future__ import annotations

import numpy as np
import peer_stage
import pytest
from peer_stage import TEAM

from agent_node.message import Message
from agent_node.transport.lean import turns
from agent_node.wire import MessageWire
from heliograph.certificates.identity import Identity

PEER = Identity(slot=1)
_WIRE = MessageWire.of(TEAM[0].manifest)


def rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes speak lean, and what rests waits for no time to pass."""
    monkeypatch.setattr(peer_stage, "_chosen", ["lean"])
    monkeypatch.setattr(turns, "LONGEST_S", 3600.0)


def said(step: int) -> bytes:
    return _WIRE.serialise(Message(episode=0, step=step, latent=np.full(4, 3, dtype=np.int32), action=3)).data
