"""What a bundle says of the messages that its agent predicts, and who refuses one that predicts none."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from relay_team import relay_bundles
from scripted_bundle import scripted_bundle

from agent_node.agent import Agent
from agent_node.in_process import InProcessTeam
from agent_node.inbox import LatePolicy
from agent_node.node import Node
from agent_node.standalone_world import StandaloneWorld
from agent_node.world import StepReport, Team
from coordinator.plan.plan import make_plan
from heliograph import bundle as bundles
from heliograph.errors import BundleCorrupt, BundleMismatch, SettingsError
from heliograph.manifest import PREDICTING_VERSION, Manifest

UNSIGNED = scripted_bundle(slot=1, team_size=3)
PREDICTING = {"format_version": PREDICTING_VERSION, "predicts": "mean"}


def test_a_bundle_that_predicts_messages_is_of_another_version() -> None:
    manifest = Manifest.from_bytes(json.dumps(json.loads(UNSIGNED.manifest_bytes) | PREDICTING).encode())
    assert manifest.predicts == "mean"
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert b"predicts" not in UNSIGNED.manifest_bytes, "bundles that predict nothing are as they always were"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format_version": PREDICTING_VERSION}, "format version 3 is of bundles with predicts"),
        ({"predicts": "mean"}, "predicts belongs to format version 3, this is 1"),
        (PREDICTING | {"predicts": "median"}, "predicts is 'median', expected one of mean, mode, sample"),
        (PREDICTING | {"predicts": 1}, "predicts is 1"),
        (PREDICTING | {"message": None}, "reads no messages"),
        (PREDICTING | {"sending": {"heartbeat": 4, "changes": 1}}, "withholds messages"),
    ],
)
def test_a_prediction_that_makes_no_sense_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BundleCorrupt, match=complaint):
        Manifest.from_bytes(json.dumps(json.loads(UNSIGNED.manifest_bytes) | change).encode())


def test_bundles_that_predict_in_different_ways_are_no_team(tmp_path: Path) -> None:
    for slot, predicts in enumerate(("mean", "mode")):
        scripted_bundle(slot=slot, team_size=2, predicts=predicts).save(tmp_path / f"agent-{slot}")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 1 predict messages in different ways"):
        bundles.load_team(tmp_path)


def test_a_team_that_predicts_nothing_is_not_asked_to() -> None:
    team = relay_bundles(2)
    with pytest.raises(SettingsError, match=r"predict no messages.*--late hold or mask") as refused:
        make_plan(team, episodes=1, late_policy="predict")
    assert "\n" not in str(refused.value)
    agents = [Agent(bundle, run_seed=0, greedy=True) for bundle in team]
    with pytest.raises(SettingsError, match="PREDICT"):
        InProcessTeam(agents, late_policy=LatePolicy.PREDICT)


def test_a_team_that_predicts_runs_with_any_policy() -> None:
    for policy in ("mask", "hold", "predict"):
        assert make_plan(relay_bundles(2, predicts="mode"), episodes=1, late_policy=policy).late_policy == policy


class Elsewhere(StandaloneWorld):
    """A run whose team predicts."""

    async def agent_input(self) -> None:
        return None

    async def act(self, report: StepReport) -> None:
        raise AssertionError("nothing is asked of it")


@pytest.mark.parametrize("predicts", ["mode", None])
def test_a_node_whose_bundle_predicts_nothing_refuses_such_a_run(predicts: str | None) -> None:
    team = Team(run_id="r", run_seed=0, greedy=True, late_policy=LatePolicy.PREDICT)
    node = Node(scripted_bundle(slot=0, team_size=2, predicts=predicts), insecure=True)
    refused = pytest.raises(BundleMismatch, match="the bundle of slot 0 predicts none") if predicts is None else None
    with refused or contextlib.nullcontext():
        asyncio.run(node.run(Elsewhere(team=team, roster=[])))
