"""Replicas: node processes that are all started by the same command, and become a team."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from scripted_bundle import scripted_team
from warm.starting import at_work_for

from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import Supervisor

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 30.0


def test_replicas_fill_the_team_and_a_new_one_takes_the_place_of_a_dead_one(tmp_path: Path) -> None:
    bundles = scripted_team(team_size=3)

    async def play() -> None:
        async with CoordinationServer(bundles, TeamSettings(run_seed=1, greedy=True)) as server:
            command = [sys.executable, "-m", "heliograph", "node", "--coordinator", server.address]
            with Supervisor(lambda replica: command, log_folder=tmp_path) as replicas:

                async def until_live(*slots: int) -> None:
                    assert await server.team.wait_until(lambda: server.team.live == slots, timeout_s=DEADLINE_S)

                for replica in range(3):
                    replicas.start(replica)
                await until_live(0, 1, 2)
                surplus = await asyncio.create_subprocess_exec(
                    *command, "--join-timeout-s", "5", stderr=asyncio.subprocess.PIPE
                )
                _, said = await asyncio.wait_for(surplus.communicate(), DEADLINE_S)
                assert surplus.returncode == 6
                assert b"all 3 slots are held by live nodes" in said
                assert server.team.live == (0, 1, 2)
                os.kill(at_work_for(replicas.process(1).pid), signal.SIGKILL)
                replicas.process(1).wait(DEADLINE_S)
                assert await server.team.wait_until(lambda: len(server.team.live) == 2, timeout_s=DEADLINE_S)
                replicas.start(1)
                await until_live(0, 1, 2)

    asyncio.run(play())
