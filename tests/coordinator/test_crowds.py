"""More nodes at one address than the lean transport lets in from there are refused before any is started."""

from __future__ import annotations

import asyncio

import pytest
from relay_team import relay_plan

from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from heliograph.errors import SettingsError
from heliograph.guard import places


@pytest.mark.slow
def test_more_lean_nodes_than_one_address_may_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_PER_CLIENT", 2)
    plan = relay_plan(4)
    with pytest.raises(SettingsError, match="at most 2 peers at one address, and 4 nodes would be started here"):
        asyncio.run(run(plan, LaunchSettings(transport="lean"), stop=asyncio.Event()))
    # As many as fit, over grpcio, or somewhere else are let through, here up to the next refusal.
    stopped = asyncio.Event()
    stopped.set()
    for agents, launch in ((3, LaunchSettings(transport="lean")), (4, LaunchSettings(transport="grpcio"))):
        assert asyncio.run(run(relay_plan(agents), launch, stop=stopped)).interrupted
