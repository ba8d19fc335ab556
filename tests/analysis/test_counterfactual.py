"""Agents led through a trace decide as they did, and can be asked what they would have decided."""

from dataclasses import replace

import numpy as np
import pytest
from relay_team import relay_plan

from analysis.bandwidth.language.counterfactual import CounterfactualReplay
from coordinator.channel import Channel
from coordinator.recording.reader import read_trace
from coordinator.running.local import evaluate
from heliograph.errors import BundleMismatch


@pytest.fixture(scope="module", params=[True, False], ids=["greedy", "sampled"])
def played(tmp_path_factory, request):
    record = tmp_path_factory.mktemp("replay") / "trace.jsonl"
    plan = relay_plan(
        3, episodes=2, greedy=request.param, record=record, conditions=("open", "cut"), hears="range", size=3, length=8
    )
    evaluate(plan)
    return plan, read_trace(record)


def test_every_decision_is_that_of_the_trace(played):
    plan, trace = played
    replay = CounterfactualReplay(plan.bundles, trace.header)
    heard = 0
    for asked in replay.steps(trace.episodes):
        step, episode = asked.agent_input.step, trace.episodes[asked.agent_input.episode]
        assert sorted(asked.messages) == np.flatnonzero(episode.received[step, asked.slot]).tolist()
        before = asked.consider({})
        assert before.action == episode.action[step, asked.slot]
        heard += len(asked.messages)
    assert heard > 20
    assert (replay.decisions, replay.differing) == (4 * 8 * 3, 0)


def test_questions_change_answers_and_nothing_else(played):
    """By the scripted graph's formula: one more of id k of slot j adds (j + 1)(k + 1) to the score."""
    plan, trace = played
    replay = CounterfactualReplay(plan.bundles, trace.header)
    asked = 0
    for step in replay.steps(trace.episodes):
        for peer, message in step.messages.items():
            latent = message.latent.copy()
            latent[1] = (latent[1] + 1) % 8
            score, other = (step.consider(said).action for said in ({}, {peer: latent}))
            moved = (peer + 1) * 2 * (int(latent[1]) - int(message.latent[1]))
            if step.agent_input.action_mask.all():
                assert (score + moved) % 5 == other
                asked += 1
    assert asked > 0
    assert replay.differing == 0


def test_what_was_withheld_stays_withheld(played):
    plan, trace = played
    whole = trace.episodes[0]
    absent = replace(whole, masked=whole.hears)
    replay = CounterfactualReplay(plan.bundles, trace.header)
    assert not any(step.messages for step in replay.steps([absent]))
    assert replay.differing > 0, "it was recorded with messages"
    held = CounterfactualReplay(plan.bundles, trace.header.model_copy(update={"late_policy": "hold"}))
    late = replace(whole, delay=np.where(whole.hears, 1, 0))
    stale = {(each.slot, each.agent_input.step): set(each.messages) for each in held.steps([late]) if each.messages}
    assert stale, "what was late before stands in"
    assert all(step >= 2 for _, step in stale)


@pytest.mark.parametrize("late_policy", ["mask", "hold"])
@pytest.mark.parametrize("codec", ["bit-packed", "repeats"])
def test_a_faulty_channel_is_replayed_as_it_was(tmp_path, late_policy, codec):
    channel = Channel.parse("erasure=0.2,delay-ms=120,jitter-ms=110")
    plan = replace(
        relay_plan(3, episodes=4, hears="range", size=3, length=20, late_policy=late_policy),
        record=tmp_path / "trace.jsonl.gz",
        channel=channel,
        codec=codec,
    )
    evaluate(plan)
    trace = read_trace(plan.record)
    assert (Channel.parse(trace.header.channel), trace.header.codec) == (channel, codec)
    assert all(sum(getattr(e, name).sum() for e in trace.episodes) > 20 for name in ("lost", "late", "received"))
    assert max(episode.delay.max() for episode in trace.episodes) > 1
    replay = CounterfactualReplay(plan.bundles, trace.header)
    list(replay.steps(trace.episodes))
    assert replay.decisions == 4 * 20 * 3
    assert replay.differing == 0


def test_other_bundles_are_refused(played):
    plan, trace = played
    with pytest.raises(BundleMismatch, match="other bundles"):
        CounterfactualReplay(plan.bundles[::-1], trace.header)
