"""N processes over gRPC play, bit for bit, what the team in one process plays: the same recording, byte for byte."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np
import pytest
from link_counts import arrivals
from process_stage import Stage
from relay_team import relay_bundles, relay_plan
from tcp_detour import TcpDetour

from coordinator.running.distributed import run
from coordinator.running.in_process import LocalTeam
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.world.world import World
from heliograph.environments import registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]


@pytest.mark.parametrize(
    ("agents", "parameters"),
    [
        (2, {}),
        (3, {"hears": "ring"}),
        (5, {"hears": "range", "size": 4, "length": 10, "observation_noise": 0.3}),
    ],
)
def test_recordings_are_equal_and_every_link_conserves(tmp_path, agents, parameters):
    plan = relay_plan(
        agents, episodes=3, run_seed=77, conditions=("open", "cut"), record=tmp_path / "processes.jsonl", **parameters
    )

    async def play():
        async with asyncio.timeout(120):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc = asyncio.run(play())
    alone = evaluate(replace(plan, record=tmp_path / "alone.jsonl"))

    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert not over_grpc.endings
    assert over_grpc.stale_acts == 0
    assert {link.missing for link in over_grpc.links} == {0}
    assert arrivals(over_grpc.links) == arrivals(alone.links)
    for remote, local in zip(over_grpc.summaries, alone.summaries, strict=True):
        assert remote.outcome == local.outcome
        assert remote.team_return == local.team_return
        assert remote.messages == local.messages, "processes sent exactly what the listeners call for"
        assert remote.bits_per_agent_step == local.bits_per_agent_step
        assert remote.bytes_per_agent_step == local.bytes_per_agent_step
        assert (remote.masked, remote.lost, remote.missing, remote.idle) == (0, 0, 0, 0)
    assert over_grpc.summaries[0].messages > 0
    assert over_grpc.summaries[1].messages == 0


def test_the_order_of_arrival_changes_nothing(tmp_path):
    bundles = relay_bundles(3, length=12)
    detours = {pair: TcpDetour(delay_s=0.02) for pair in ((0, 1), (0, 2), (1, 2))}

    async def play():
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            for detour in detours.values():
                await stack.enter_async_context(detour)
            stage = await stack.enter_async_context(Stage(bundles, tmp_path, detours=detours))
            return await stage.play(episode=1)

    result, records = asyncio.run(play())
    alone = []
    environment = registry.make("relay", count=1, parameters=bundles[0].manifest.environment_parameters)
    LocalTeam(bundles, run_seed=5, greedy=False).run_episode(
        World(environment), episode=1, observe=alone.append, report_latents=True
    )
    assert max(result.waited_s) > 0.005, "the detours did hold messages back"
    assert result.masked == 0
    for shuffled, straight in zip(records, alone, strict=True):
        assert np.array_equal(shuffled.action, straight.action)
        assert np.array_equal(shuffled.latent, straight.latent)
