"""What agents of a mixed team tell one another, and what is recorded, counted and compared of it: by an untrained team.

Its crane chooses one of 5 places, its boat gives 2 numbers in 8 bits each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny_team import small_team

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.message import Message
from agent_node.wire import MessageWire
from analysis.audit.input_sequence import record
from analysis.audit.networks import tied
from analysis.audit.one_process import OneProcess
from analysis.bandwidth.alternatives import alternatives
from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.counterfactual import CounterfactualReplay
from analysis.bandwidth.recost import recost
from coordinator.plan.plan import Plan, make_plan
from coordinator.recording.reader import Trace, read_trace
from coordinator.running.in_process import LocalTeam
from coordinator.running.local import evaluate
from coordinator.running.report import Report
from coordinator.serving import wire as coordinator_wire
from coordinator.watch.events import PageEvents
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.bundle import Bundle, load_team, make
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import BundleCorrupt, BundleMismatch, MessageError, SettingsError
from heliograph.graph import check_graph
from heliograph.manifest import Manifest
from heliograph.pb import coordination_pb2 as pb
from trainer.algorithms.mamba.mamba import Mamba
from trainer.commands.central_replay import RecordedEpisode, replay
from trainer.export.bundles import export_team
from trainer.world_model.imagination import JointStates

# All need the exported team, which is traced for seconds.
pytestmark = [pytest.mark.slow, pytest.mark.arrays]

CRANE = DiscreteActions(count=5)
BOAT = ContinuousActions(low=(-2.0, 0.0), high=(2.0, 1.0))
VECTOR = BOAT.snapped(np.array([0.5, -0.25]))


@dataclass(frozen=True, kw_only=True)
class Exported:
    algorithm: Mamba
    bundles: list[Bundle]
    folder: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    algorithm, world = small_team(
        "mixed_team:make", {"masks": True}, copies=1, recurrent=16, communication_layers=1, dropout=0.0
    )
    folder = tmp_path_factory.mktemp("mixed") / "bundles"
    export_team(algorithm, world.spec, folder, run_id="untrained", training_step=0)
    return Exported(algorithm=algorithm, bundles=load_team(folder), folder=folder)


@dataclass(frozen=True, kw_only=True)
class PlayedRun:
    plan: Plan
    report: Report
    trace: Trace


@pytest.fixture(scope="module")
def played(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> PlayedRun:
    path = tmp_path_factory.mktemp("recorded") / "trace.jsonl"
    plan = make_plan(exported.bundles, permission=EVERYTHING, record=path, greedy=False, episodes=4)
    return PlayedRun(plan=plan, report=evaluate(plan), trace=read_trace(path))


def test_each_bundle_is_of_its_own_kind_and_knows_what_the_others_say(exported: Exported) -> None:
    categoricals = exported.algorithm.settings.model.categoricals
    for bundle, mask, action, logits in zip(exported.bundles, ([5], [2]), ([], [2]), ([5], [4]), strict=True):
        check_graph(bundle.graph)
        graph = onnx.load_from_string(bundle.graph).graph
        sizes: dict[str, Any] = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in (*graph.input, *graph.output)
        }
        assert (sizes["action_mask"], sizes["action"], sizes["logits"]) == (mask, action, logits)
        assert sizes["inbox_action"] == [2, 1 + 2]
        assert sizes["noise"] == [categoricals + 1 + 2 * 2]
        assert bundle.manifest.team_actions == (CRANE, BOAT)
        assert Manifest.from_bytes(bundle.manifest_bytes) == bundle.manifest
    assert [bundle.manifest.actions for bundle in exported.bundles] == [CRANE, BOAT]


def test_bundles_decide_as_the_trainers_networks_do(exported: Exported, played: PlayedRun) -> None:
    rows = played.plan.rows
    for episode in played.trace.episodes:
        found = replay(
            exported.algorithm,
            RecordedEpisode(
                episode=episode.episode,
                observation=episode.observation,
                action_mask=episode.action_mask,
                present=episode.present,
                hears=episode.hears,
                latent=episode.latent,
                action=episode.action,
            ),
            run_seed=played.plan.run_seed,
            greedy=False,
        )
        np.testing.assert_array_equal(found.action[:, 0], episode.action[:, 0])
        np.testing.assert_array_equal(found.action[:, 1, 0], 0)
        np.testing.assert_allclose(found.action[:, 1, 1:], episode.action[:, 1, 1:], atol=2.1 / BOAT.levels)
        assert (found.logits[:, 1, 1 : rows.choices] < -1e9).all(), "the boat has no second choice"
    chosen = np.concatenate([episode.action[:, 0, 0] for episode in played.trace.episodes])
    assert len(np.unique(chosen)) > 1
    assert all((episode.action[1::2, 0, 0] < 4).all() for episode in played.trace.episodes), "its last place is masked"


def test_in_imagination_everyone_does_what_is_of_its_kind(exported: Exported) -> None:
    sizes, generator = exported.algorithm.settings.model, torch.Generator().manual_seed(0)
    states = JointStates(
        ids=torch.randint(sizes.classes, (50, 2, sizes.categoricals), generator=generator),
        deter=torch.randn(50, 2, sizes.recurrent, generator=generator),
        hears=None,
    )
    crane, boat = exported.algorithm.imagination().decide(states).action.unbind(1)
    assert (crane[:, 1:] == 0).all()
    assert crane[:, 0].unique().numel() > 1
    assert (boat[:, 0] == 0).all()
    assert boat[:, 1].unique().numel() > 1


def agent_input(step: int, mask: list[int]) -> AgentInput:
    return AgentInput(
        episode=0,
        step=step,
        observation=np.full(4, 0.5, dtype=np.float32),
        action_mask=np.array(mask, dtype=np.bool_),
        receives_from=(1,) if len(mask) == 5 else (0,),
        first=step == 0,
    )


def said(action: Any, *, step: int = 0) -> Message:
    return Message(episode=0, step=step, latent=np.array([1, 2, 3, 4], dtype=np.int32), action=action)


def test_what_the_other_did_reaches_an_agents_decision(exported: Exported) -> None:
    crane, boat = (Agent(bundle, run_seed=1, greedy=False) for bundle in exported.bundles)
    assert isinstance(crane.step(agent_input(0, [1] * 5), {}).action, int)
    done = boat.step(agent_input(0, [1, 1]), {}).action
    assert isinstance(done, np.ndarray)
    assert done.shape == (2,)
    still = crane.consider(agent_input(1, [1] * 5), {1: said(BOAT.snapped(np.zeros(2)))})
    full = crane.consider(agent_input(1, [1] * 5), {1: said(BOAT.snapped(np.full(2, 0.9)))})
    assert not np.array_equal(still.logits, full.logits)
    first, last = (boat.consider(agent_input(1, [1, 1]), {0: said(choice)}) for choice in (0, 4))
    assert not np.array_equal(first.logits, last.logits)


@pytest.mark.parametrize(("sender", "bad"), [(1, 3), (1, np.float32([0.5])), (0, VECTOR), (0, 5)])
def test_an_agent_refuses_an_action_that_its_neighbour_cannot_take(exported: Exported, sender: int, bad: Any) -> None:
    agent = Agent(exported.bundles[1 - sender], run_seed=1, greedy=False)
    mask = [1, 1] if sender == 0 else [1] * 5
    agent.step(agent_input(0, mask), {})
    with pytest.raises(MessageError, match=f"message of slot {sender} has action"):
        agent.step(agent_input(1, mask), {sender: said(bad)})


def test_on_the_wire_each_says_what_an_agent_of_its_kind_says(exported: Exported) -> None:
    crane, boat = (MessageWire.of(bundle.manifest) for bundle in exported.bundles)
    assert crane is not None
    assert boat is not None
    form = exported.algorithm.message
    for own, other, sender, actions, done in ((crane, boat, 0, CRANE, 3), (boat, crane, 1, BOAT, VECTOR)):
        data = own.serialise(said(done)).data
        assert data == MessageWire(form, actions=actions).serialise(said(done)).data
        assert len(data) <= other.max_bytes
        np.testing.assert_array_equal(other.parse(data, sender=sender).action, done)
        np.testing.assert_array_equal(own.parse(data).action, done)
        with pytest.raises(MessageError, match="here they are"):
            other.parse(data, sender=1 - sender)


def test_the_coordinator_takes_from_each_node_what_it_can_do() -> None:
    assert coordinator_wire.parse_act(pb.Act(action=4), actions=CRANE, team_size=2).action == 4
    vector = coordinator_wire.parse_act(pb.Act(levels=BOAT.pack(VECTOR)), actions=BOAT, team_size=2)
    np.testing.assert_array_equal(np.asarray(vector.action), VECTOR)
    with pytest.raises(MessageError, match="here they are continuous"):
        coordinator_wire.parse_act(pb.Act(action=4), actions=BOAT, team_size=2)


def test_a_world_judges_and_replaces_each_kind(played: PlayedRun) -> None:
    world = played.plan.world("open")
    views = world.reset(3)
    assert [view.action_mask.tolist() for view in views if view is not None] == [[True] * 5, [True] * 2]
    assert world.is_legal(0, 4)
    assert world.is_legal(1, VECTOR)
    assert not world.is_legal(0, 5)
    assert not world.is_legal(0, VECTOR)
    assert not world.is_legal(1, 0)
    idle = [world.idle_action(slot) for slot in range(2)]
    assert idle[0] == 0
    np.testing.assert_array_equal(np.asarray(idle[1]), np.zeros(2, dtype=np.float32))
    after = world.advance([4, VECTOR]).views[0]
    assert after is not None
    assert after.action_mask.tolist() == [True] * 4 + [False]
    assert not world.is_legal(0, 4)


def test_a_recording_reads_back_and_can_be_rehearsed(played: PlayedRun) -> None:
    header, episode = played.trace.header, played.trace.episodes[2]
    assert header.continuous == (None, BOAT)
    assert header.rows == played.plan.rows
    steps: list[Any] = []
    LocalTeam(played.plan.bundles, run_seed=played.plan.run_seed, greedy=False).run_episode(
        played.plan.world("open"), episode=2, observe=steps.append, report_latents=True
    )
    assert episode.action.tobytes() == np.array([step.action for step in steps]).tobytes()
    assert episode.action_mask[0].astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1, 1]]
    again = CounterfactualReplay(played.plan.bundles, header)
    list(again.steps(played.trace.episodes))
    assert (again.decisions, again.differing) == (4 * 5 * 2, 0)
    assert read_language(played.trace, played.plan.bundles).influence is not None


@pytest.mark.parametrize(
    ("line", "old", "new", "complaint"),
    [
        (1, '"continuous":[null,', '"continuous":[', "bounds of each agent"),
        (1, '"continuous":[null,', '"continuous":[7,', "low, high and bits"),
        (1, '"actions":7', '"actions":2', "fewer than 2 numbers low and high"),
        (2, '"action":[[', '"action":[[0.5, 0, 0], [', "of shape"),
        (2, '"action":[[', '"action":[[9', "choices that exist"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(
    played: PlayedRun, tmp_path: Path, line: int, old: str, new: str, complaint: str
) -> None:
    assert played.plan.record is not None
    lines = played.plan.record.read_text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join(lines))
    with pytest.raises(SettingsError, match=f"line {line}: .*{complaint}"):
        read_trace(changed)


def test_bits_and_bytes_are_those_of_each_senders_kind(played: PlayedRun) -> None:
    summary = played.report.summaries[0]
    assert summary.message_bits == 4 * 3 + (3 + 2 * 8) / 2
    assert summary.bits_per_agent_step == summary.message_bits
    assert played.report.links is not None
    (recosted,) = recost(played.trace, ["bit-packed"])
    counted = np.sum([sizes.protobuf_bytes.sum(0) for sizes in recosted.episodes], axis=0)
    assert {(link.sender, link.receiver): link.sent_bytes for link in played.report.links} == {
        (0, 1): counted[0, 1],
        (1, 0): counted[1, 0],
    }
    assert counted[1, 0] > counted[0, 1]
    central = [row for row in alternatives(played.trace) if row.name == "central execution"]
    assert "at most 16 bits of action down" in central[0].formula


def test_the_page_is_told_a_number_and_a_vector(played: PlayedRun) -> None:
    records: list[Any] = []
    world = played.plan.world("open")
    LocalTeam(played.plan.bundles, run_seed=0, greedy=True).run_episode(world, episode=0, observe=records.append)
    number, vector = PageEvents(played.plan, world.spec, title="").steps("open", records)["action"]
    assert number == int(records[-1].action[0, 0])
    np.testing.assert_allclose(vector, records[-1].action[1, 1:], atol=5e-4)
    json.dumps([number, vector])


def test_the_audit_compares_both(exported: Exported) -> None:
    plan = make_plan(exported.bundles, permission=EVERYTHING, greedy=True)
    made = record(plan, scripts=1, others=1, steps=5)
    logits = OneProcess(plan, made.spec).replay(made.scripts[0], episode=0).logits
    assert logits is not None
    counting = plan.rows.counting_outputs(made.scripts[0].action_mask)
    assert counting[0].astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1, 1]]
    assert (logits[~counting][np.abs(logits[~counting]) < 1e9] == 0).all()
    row = np.zeros(9, dtype=np.float32)
    assert tied(plan, 0, row, np.float32([0, 0, 0]), np.float32([3, 0, 0]))
    assert not tied(plan, 0, row + np.eye(9, dtype=np.float32)[3], np.float32([0, 0, 0]), np.float32([3, 0, 0]))
    near, far = (np.float32([0, *BOAT.values(np.array([level, 7]))]) for level in (101, 102))
    one = np.float32([0, *BOAT.values(np.array([100, 7]))])
    assert tied(plan, 1, row, one, near)
    assert not tied(plan, 1, row, one, far)


def altered(bundle: Bundle, **changes: Any) -> Bundle:
    return make(replace(bundle.manifest, **changes), bundle.graph)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"team_actions": (CRANE,)}, "team_actions are of 1 agents in a team of 2"),
        ({"team_actions": (BOAT, CRANE)}, "team_actions of slot 0 are not its actions"),
        ({"team_actions": (CRANE, CRANE)}, "whose agents all act alike"),
        ({"message": None}, "for an agent that sends no messages"),
        ({"team_actions": (CRANE, BOAT, CRANE), "team_size": 3, "actions": BOAT}, "slot 0 are not its actions"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    exported: Exported, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        altered(exported.bundles[0], **changes)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("7", "team_actions is 7, expected a list"),
        (
            '[{"kind": "discrete", "count": 5}, {"kind": "discrete", "count": 0}]',
            r"team_actions\[1\]: actions.count .* 0",
        ),
        ("[1]", r"team_actions\[0\]: actions is 1, expected an object"),
    ],
)
def test_a_manifest_whose_list_makes_no_sense_is_refused(exported: Exported, written: str, told: str) -> None:
    values = json.loads(exported.bundles[0].manifest_bytes) | {"team_actions": json.loads(written)}
    with pytest.raises(BundleCorrupt, match=told):
        Manifest.from_bytes(json.dumps(values).encode())


def test_bundles_that_do_not_understand_one_another_are_no_team(exported: Exported, tmp_path: Path) -> None:
    other = replace(BOAT, high=(2.0, 2.0))
    exported.bundles[0].save(tmp_path / "agent-0")
    altered(exported.bundles[1], actions=other, team_actions=(CRANE, other)).save(tmp_path / "agent-1")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 1 write actions in different ways"):
        load_team(tmp_path)


def test_bundles_fit_the_kinds_of_their_world(exported: Exported) -> None:
    with pytest.raises(BundleMismatch, match=r"slot 1 is made for 8 bits .*has 6 bits"):
        make_plan(exported.bundles, permission=EVERYTHING, overrides=["action_bits=6"])
