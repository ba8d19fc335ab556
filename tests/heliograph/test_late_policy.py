"""What stands for a message that is not there is what the team was trained with, wherever it is run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
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
from coordinator.running.local import evaluate
from coordinator.running.report import rows
from heliograph import bundle as bundles
from heliograph.bundle import Bundle
from heliograph.errors import BundleCorrupt, BundleMismatch, SettingsError
from heliograph.manifest import HOLDING_VERSION, SENDING_VERSION, Manifest
from heliograph.sending import Sending

WITHHOLDS = {"format_version": SENDING_VERSION, "sending": Sending(heartbeat=3, changes=0)}
UNSIGNED = scripted_bundle(slot=1, team_size=3)
HOLDING = {"format_version": HOLDING_VERSION, "holds": True}


def team_of(late: str, **words: Any) -> list[Bundle]:
    words |= {"mask": {}, "hold": {"holds": True}, "predict": {"predicts": "mode"}}[late]
    return relay_bundles(2, **words)


@pytest.mark.parametrize("late", ["mask", "hold", "predict"])
def test_a_run_does_as_the_training_did_if_it_is_not_asked_for_something_else(late: str) -> None:
    team = team_of(late)
    plan = make_plan(team, episodes=1)
    assert plan.late_policy == late == team[0].manifest.late_policy
    assert make_plan(team, episodes=1, late_policy="mask").late_policy == "mask"
    report = evaluate(plan)
    assert report.settings["late"] == late
    assert dict(rows(report))["in place of late messages"] == [late]


def test_those_who_withhold_hold() -> None:
    assert dataclasses.replace(UNSIGNED.manifest, **WITHHOLDS).late_policy == "hold"


def test_of_a_team_that_sends_nothing_nothing_is_said() -> None:
    report = evaluate(make_plan(relay_bundles(2, messages=False), episodes=1))
    assert "in place of late messages" not in dict(rows(report))


def test_agents_in_one_process_do_so_too() -> None:
    for late in ("mask", "hold", "predict"):
        agents = [Agent(bundle, run_seed=0, greedy=True) for bundle in team_of(late)]
        assert InProcessTeam(agents).late_policy is LatePolicy(late)


class Nowhere(StandaloneWorld):
    """One that ends at once."""

    async def agent_input(self) -> None:
        return None

    async def act(self, report: StepReport) -> None:
        raise AssertionError("nothing is asked of it")


def test_a_node_without_a_coordinator_does_so_too() -> None:
    found = []
    for late in ("mask", "hold", "predict"):
        node = Node(team_of(late)[0], insecure=True)
        asyncio.run(node.run(Nowhere(team=Team(run_id="r", run_seed=0, greedy=True), roster=[])))
        found.append(node.late_policy)
    assert found == [LatePolicy.MASK, LatePolicy.HOLD, LatePolicy.PREDICT]


def test_a_bundle_that_holds_is_of_another_version() -> None:
    manifest = Manifest.from_bytes(json.dumps(json.loads(UNSIGNED.manifest_bytes) | HOLDING).encode())
    assert manifest.holds
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert b"holds" not in UNSIGNED.manifest_bytes, "bundles that learned nothing of it are as they always were"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format_version": HOLDING_VERSION}, "format version 4 is of bundles with holds"),
        ({"holds": True}, "holds belongs to format version 4, this is 1"),
        (HOLDING | {"holds": 1}, "holds is 1, expected true or false"),
        (HOLDING | {"message": None}, "reads no messages"),
        (HOLDING | {"predicts": "mean"}, "beside sending or predicts"),
        (HOLDING | {"sending": {"heartbeat": 4, "changes": 1}}, "beside sending or predicts"),
    ],
)
def test_holding_that_makes_no_sense_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BundleCorrupt, match=complaint):
        Manifest.from_bytes(json.dumps(json.loads(UNSIGNED.manifest_bytes) | change).encode())


def test_bundles_of_which_one_holds_are_no_team(tmp_path: Any) -> None:
    for slot, holds in enumerate((True, False)):
        scripted_bundle(slot=slot, team_size=2, holds=holds).save(tmp_path / f"agent-{slot}")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 1 only one holds"):
        bundles.load_team(tmp_path)


def test_a_policy_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="late must be one of trained, mask, hold, predict, not 'wait'"):
        make_plan(relay_bundles(2), episodes=1, late_policy="wait")
