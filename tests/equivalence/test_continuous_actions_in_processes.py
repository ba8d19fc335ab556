"""A team with continuous actions of unequal sizes: N processes play, bit for bit, what the team in one process does."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from link_counts import arrivals
from steering_bundles import steering_plan

from coordinator.recording.reader import read_trace
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]


@pytest.mark.parametrize("action_bits", [8, 11])
def test_recordings_are_equal_and_every_link_conserves(tmp_path, action_bits):
    plan = steering_plan(
        record=tmp_path / "processes.jsonl",
        episodes=3,
        run_seed=77,
        conditions=("open", "cut"),
        action_bits=action_bits,
        codec="repeats" if action_bits == 11 else "bit-packed",
    )

    async def play():
        async with asyncio.timeout(120):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc = asyncio.run(play())
    alone = evaluate(replace(plan, record=tmp_path / "alone.jsonl"))
    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert not over_grpc.endings
    assert {link.missing for link in over_grpc.links} == {0}
    assert arrivals(over_grpc.links) == arrivals(alone.links)
    for remote, local in zip(over_grpc.summaries, alone.summaries, strict=True):
        assert remote.outcome == local.outcome
        assert remote.bits_per_agent_step == local.bits_per_agent_step
        assert remote.bytes_per_agent_step == local.bytes_per_agent_step
        assert (remote.masked, remote.idle, remote.illegal) == (0, 0, 0)
    trace = read_trace(plan.record)
    done = np.concatenate([episode.action for episode in trace.episodes])  # [T, N, 2]
    assert len(np.unique(done[:, 0])) > 10
    assert not done[:, 1, 1].any(), "the second agent has one dimension alone"
