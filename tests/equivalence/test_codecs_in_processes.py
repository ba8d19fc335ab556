"""With every codec, processes play and count what the team in one process does; lossless ones change no episode."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest
from link_counts import arrivals
from relay_team import PATIENT
from scripted_bundle import scripted_team

from coordinator.plan.plan import Plan, make_plan
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from heliograph.codecs import LatentTables
from heliograph.environments import registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]

AGENTS, CATEGORICALS, CLASSES = 3, 6, 8
PACKED_BITS = CATEGORICALS * 3
TABLES = LatentTables(np.tile([64, 32, 16, 8, 4, 2, 1, 1], (CATEGORICALS, 1)))


@pytest.fixture(scope="module")
def plan() -> Plan:
    spec = registry.make("relay", count=1, parameters={"agents": AGENTS, "hears": "range", "length": 30}).spec
    team = scripted_team(
        team_size=AGENTS,
        categoricals=CATEGORICALS,
        classes=CLASSES,
        actions=spec.actions,
        observation_size=spec.observation_size,
        environment="relay",
        environment_parameters=spec.parameters,
        tables=TABLES,
    )
    return make_plan(team, episodes=5, run_seed=3, greedy=False, pace=PATIENT)


def steps(path) -> list[dict]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] != "header"]


@pytest.mark.parametrize("codec", ["entropy", "most-informative:2", "repeats"])
def test_episodes_and_counts_are_equal(tmp_path, plan, codec):
    coded = replace(plan, codec=codec, record=tmp_path / "processes.jsonl")

    async def play():
        async with asyncio.timeout(120):
            return await run(coded, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc = asyncio.run(play())
    alone = evaluate(replace(coded, record=tmp_path / "alone.jsonl"))
    packed = evaluate(replace(plan, record=tmp_path / "packed.jsonl"))

    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert arrivals(over_grpc.links) == arrivals(alone.links), "bytes and bits of every link"
    (remote,), (local,), (plain,) = over_grpc.summaries, alone.summaries, packed.summaries
    assert remote.message_bits == local.message_bits
    assert (remote.missing, sum(link.rejected for link in over_grpc.links)) == (0, 0)
    lossy = codec == "most-informative:2"
    assert (steps(tmp_path / "alone.jsonl") == steps(tmp_path / "packed.jsonl")) != lossy
    assert plain.message_bits == PACKED_BITS + 3
    assert local.message_bits == 2 * 3 + 3 if lossy else 3 + CATEGORICALS < local.message_bits < plain.message_bits
