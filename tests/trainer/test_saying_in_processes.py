"""Processes of agents that choose how much they say are the team in one process, and count what is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from relay_team import PATIENT
from test_saying import WITHHOLDING, choosing, collected

from coordinator.plan.plan import make_plan
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from heliograph.bundle import load_team
from trainer.export.bundles import export_team
from trainer.export.tables import learned_tables


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["bit-packed", "entropy"])
def test_recordings_and_bits_are_equal(tmp_path: Path, codec: str) -> None:
    algorithm = choosing(**WITHHOLDING)
    tables = learned_tables(algorithm, collected(algorithm))
    export_team(algorithm, algorithm.spec, tmp_path / "bundles", run_id="saying", training_step=0, tables=tables)
    bundles = load_team(tmp_path / "bundles")
    plan = make_plan(
        bundles,
        episodes=3,
        run_seed=7,
        late_policy="hold",
        pace=PATIENT,
        codec=codec,
        record=tmp_path / "processes.jsonl",
    )

    async def play():
        async with asyncio.timeout(200):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc, alone = asyncio.run(play()), evaluate(replace(plan, record=tmp_path / "alone.jsonl"))
    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert {link.missing for link in over_grpc.links} == {0}
    found = [summary.bits_per_agent_step for summary in (*over_grpc.summaries, *alone.summaries)]
    assert found[0] == found[1]
