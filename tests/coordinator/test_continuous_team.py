"""Continuous actions in the coordinator: worlds, plans, recordings, books, the audit's and the page's view of them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from relay_team import relay_plan
from steering_bundles import steering_bundles, steering_plan

from analysis.audit.answers import difference
from analysis.audit.input_sequence import perturbed, record
from analysis.audit.networks import tied
from analysis.audit.one_process import OneProcess
from analysis.bandwidth.alternatives import alternatives
from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.counterfactual import CounterfactualReplay
from analysis.bandwidth.recost import recost
from coordinator.plan.plan import make_plan
from coordinator.recording.reader import read_trace
from coordinator.running.in_process import LocalTeam
from coordinator.running.local import evaluate
from coordinator.serving import wire
from coordinator.watch.events import PageEvents
from heliograph.actions import DiscreteActions
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import BundleMismatch, MessageError, SettingsError
from heliograph.pb import coordination_pb2 as pb

BUNDLES = steering_bundles()
MAST = BUNDLES[0].manifest.actions


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    plan = steering_plan(record=tmp_path_factory.mktemp("steering") / "trace.jsonl", episodes=4)
    return plan, evaluate(plan), read_trace(plan.record)


def test_a_world_judges_and_replaces_vectors():
    world = steering_plan().world("open")
    world.reset(3)
    there = np.float32([0.2, 0.0])
    assert world.is_legal(0, there)
    assert world.is_legal(1, there)
    assert not world.is_legal(1, np.float32([0.2, 0.2])), "the second agent lacks that dimension"
    assert not world.is_legal(0, np.float32([1.0, 0.0]))
    assert not world.is_legal(0, np.float32([np.nan, 0.0]))
    assert not world.is_legal(0, 3)
    idle = world.idle_action(1)
    assert (idle.dtype, idle.tolist()) == (np.float32, [0.0, 0.0])
    assert np.isfinite(world.advance([there, idle]).reward).all()


def test_bundles_fit_bounds_and_bits_of_their_world():
    with pytest.raises(BundleMismatch, match=r"slot 0 is made for 8 bits .*has 6 bits"):
        make_plan(BUNDLES, permission=EVERYTHING, overrides=["action_bits=6"])
    swapped = [replace(BUNDLES[0], manifest=replace(BUNDLES[0].manifest, actions=BUNDLES[1].manifest.actions))]
    with pytest.raises(BundleMismatch, match=r"slot 0 is made for 8 bits for each of 0 \.\. 0\.5, 0 \.\. 0"):
        make_plan([*swapped, BUNDLES[1]], permission=EVERYTHING)


def test_acts_are_read_strictly():
    done = MAST.snapped(np.array([0.2, -0.7]))
    act = wire.parse_act(pb.Act(levels=MAST.pack(done)), actions=MAST, team_size=2)
    assert act.action.tobytes() == done.tobytes()
    for bad in (pb.Act(), pb.Act(action=1), pb.Act(levels=b"\0"), pb.Act(levels=b"\xff\xff")):
        with pytest.raises(MessageError):
            wire.parse_act(bad, actions=MAST, team_size=2)
    with pytest.raises(MessageError, match="here they are numbered"):
        wire.parse_act(pb.Act(levels=b"\0\0"), actions=DiscreteActions(count=5), team_size=2)


def test_a_recording_reads_back_and_can_be_rehearsed(played):
    plan, _, trace = played
    assert trace.header.continuous == tuple(bundle.manifest.actions for bundle in BUNDLES)
    steps = []
    LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy).run_episode(
        plan.world("open"), episode=2, observe=steps.append, report_latents=True
    )
    assert trace.episodes[2].action.dtype == np.float32
    assert trace.episodes[2].action.tobytes() == np.array([step.action for step in steps]).tobytes()
    replay = CounterfactualReplay(plan.bundles, trace.header)
    list(replay.steps(trace.episodes))
    assert (replay.decisions, replay.differing) == (4 * 5 * 2, 0)


def test_bits_and_bytes_of_actions_are_counted(played):
    plan, report, trace = played
    summary = report.summaries[0]
    assert plan.manifest.actions.message_bits == 2 * 8
    assert summary.message_bits == 4 * 3 + 2 * 8
    (recosted,) = recost(trace, ["bit-packed"])
    counted = sum(int(sizes.protobuf_bytes.sum()) for sizes in recosted.episodes)
    assert counted == sum(link.sent_bytes for link in report.links)
    central = [row for row in alternatives(trace) if row.name == "central execution"]
    assert "16 bits of action down" in central[0].formula


def test_what_receivers_act_on_is_found_for_vectors_too(played):
    plan, _, trace = played
    found = read_language(trace, plan.bundles).influence
    assert found.differing == 0
    assert found.message.mean > 0.5


def test_the_page_is_told_vectors_in_few_digits(played):
    plan, _, _ = played
    records = []
    world = plan.world("open")
    LocalTeam(plan.bundles, run_seed=0, greedy=True).run_episode(world, episode=0, observe=records.append)
    event = PageEvents(plan, world.spec, title="").steps("open", records)
    assert np.allclose(event["action"], records[-1].action, atol=5e-4)
    assert len(json.dumps(event["action"])) < 50


def test_the_audit_compares_vectors():
    plan = steering_plan(greedy=True)
    made = record(plan, scripts=1, others=2, steps=5)
    alone, script = OneProcess(plan, made.spec), made.scripts[0]
    plain = alone.replay(script, episode=0)
    assert plain.logits.shape == (5, 2, 4)
    assert not difference(plain, alone.replay(script, episode=0)).message.any()
    other = perturbed(script, agent=0, start=1, moments=made.moments, random=np.random.default_rng(0))
    found = difference(plain, alone.replay(other, episode=0))
    assert found.action.shape == (5, 2)
    assert found.first().tolist() == [1, 2], "the hearer follows one step later"


def test_rounding_may_decide_between_neighbouring_levels_alone():
    plan = steering_plan()
    one, near, far = (MAST.values(np.array([level, 7])) for level in (100, 101, 102))
    assert tied(plan, 0, np.zeros(4), one, near)
    assert not tied(plan, 0, np.zeros(4), one, far)


@pytest.mark.parametrize(
    ("line", "change", "match"),
    [
        (1, {"action": [0, 5]}, "line 2: has action of shape"),
        (1, {"action": [[0.5, 0.5], [1.0, 0.0]]}, "line 2: has action .* numbers between -1 and 1"),
        (0, {"continuous": []}, "line 2: has action of shape"),
        (0, {"continuous": [{"low": [0], "high": [1], "bits": 8}] * 2}, "line 1: has continuous .* 2 numbers"),
        (0, {"continuous": [{"low": [0, 9], "high": [1, 1], "bits": 8}] * 2}, "line 1: .* is above"),
        (0, {"continuous": [{"low": [0, 0], "high": [1, 1]}] * 2}, "line 1: has continuous"),
        (0, {"continuous": 3}, "line 1: has continuous 3"),
        (0, {"version": 2}, "line 1: has fields that do not belong there"),
    ],
)
def test_a_damaged_recording_is_refused(tmp_path, played, line, change, match):
    lines = [json.loads(text) for text in played[0].record.read_text().splitlines()]
    lines = copy.deepcopy(lines)
    lines[line] |= change
    path = tmp_path / "damaged.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    with pytest.raises(SettingsError, match=match):
        read_trace(path)


def test_recordings_of_the_version_before_are_still_read(tmp_path):
    plan = relay_plan(2, episodes=1, record=tmp_path / "new.jsonl")
    evaluate(plan)
    header, *rest = plan.record.read_text().splitlines()
    old = {name: value for name, value in json.loads(header).items() if name != "continuous"} | {"version": 2}
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join([json.dumps(old), *rest]) + "\n")
    assert read_trace(path).header == read_trace(plan.record).header
