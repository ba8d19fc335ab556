"""Processes withhold what the team in one process withholds, and nobody waits for it."""

import asyncio
from dataclasses import replace

import pytest
from link_counts import arrivals
from relay_team import PATIENT, relay_bundles

from coordinator.plan.plan import make_plan
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from heliograph.bundle import make
from heliograph.manifest import SENDING_VERSION
from heliograph.sending import Sending

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]

LENGTH, HEARTBEAT = 12, 5


def test_recordings_are_equal_and_only_heartbeats_are_awaited(tmp_path):
    bundles = []
    for bundle in relay_bundles(3, length=LENGTH):
        # Withheld whatever changes, so that only heartbeats come.
        sending = Sending(heartbeat=HEARTBEAT, changes=bundle.manifest.message.categoricals)
        manifest = replace(bundle.manifest, format_version=SENDING_VERSION, sending=sending)
        bundles.append(make(manifest, bundle.graph, bundle.tables))
    plan = make_plan(
        bundles, episodes=3, run_seed=7, late_policy="hold", pace=PATIENT, record=tmp_path / "processes.jsonl"
    )

    async def play():
        async with asyncio.timeout(120):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc, alone = asyncio.run(play()), evaluate(replace(plan, record=tmp_path / "alone.jsonl"))
    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert {link.missing for link in over_grpc.links} == {0}
    assert arrivals(over_grpc.links) == arrivals(alone.links)
    (summary,) = over_grpc.summaries
    sent_at = [step for step in range(LENGTH) if step % HEARTBEAT == 0]
    assert summary.messages == 3 * len(sent_at) * 3 * 2, "episodes, heartbeats of each, agents, listeners"
    assert summary.masked == 0
    assert summary.latency_p99_s < PATIENT.message_deadline_s, "nobody waits for what is withheld"
