"""What is recorded reads back as it happened, with the messages that were sent and read."""

import json
from dataclasses import fields

import numpy as np
import pytest
from relay_team import relay_plan

from coordinator.recording import schema
from coordinator.recording.reader import TraceEpisode, read_trace
from coordinator.running.in_process import LocalTeam
from coordinator.running.local import evaluate
from coordinator.world.trajectory import StepRecord
from heliograph.errors import SettingsError


@pytest.mark.parametrize("name", ["episodes.jsonl", "episodes.jsonl.gz"])
def test_a_recording_holds_every_step_exactly(tmp_path, name):
    world = {"hears": "range", "size": 4, "observation_noise": 0.1}
    plan = relay_plan(3, episodes=2, conditions=("open", "cut"), record=tmp_path / name, **world)
    evaluate(plan)
    trace = read_trace(plan.record)
    spec = plan.world("open").spec
    assert (trace.header.agents, trace.header.actions) == (3, 5)
    assert trace.header.message == plan.manifest.message
    assert trace.header.bundles == tuple(bundle.digest for bundle in plan.bundles)
    assert trace.header.observation_names == spec.observation_names
    assert trace.header.recurrent_size == 1

    numbers = [(episode.pass_name, episode.episode) for episode in trace.episodes]
    assert numbers == [("open", 0), ("open", 1), ("cut", 2), ("cut", 3)]
    assert len({episode.seed for episode in trace.episodes}) == 4
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
    for read in trace.episodes:
        steps = []
        played = team.run_episode(
            plan.world(read.pass_name), episode=read.episode, observe=steps.append, report_latents=True
        )
        assert played.result.outcome == read.outcome
        sent = read.sent().sum(0)
        assert {(link.sender, link.receiver): link.sent for link in played.links} == {
            (i, j): sent[i, j] for i, j in np.ndindex(3, 3) if i != j
        }
        assert len(steps) == read.steps == 6
        for field in fields(StepRecord):
            # When something was, and how long it took, is of the run, and not of the episode.
            if field.name not in ("episode", "step", "asked_ns", "latency_s", "waited_s"):
                recorded = np.array([getattr(step, field.name) for step in steps])
                assert np.array_equal(getattr(read, field.name), recorded), field.name
    assert trace.episodes[0].state.shape == (6, spec.state_size)


def test_a_trace_says_who_was_sent_and_who_read_a_message(tmp_path):
    """Against the plain rule of the protocol, message by message, on a graph that changes as the agents move."""
    plan = relay_plan(4, episodes=3, record=tmp_path / "moving.jsonl", hears="range", size=4, length=8)
    evaluate(plan)
    changes = 0
    for episode in read_trace(plan.record).episodes:
        sent, heard, hears = episode.sent(), episode.received, episode.hears
        changes += (hears[1:] != hears[:-1]).sum()
        for step, i, j in np.ndindex(sent.shape):
            last = step + 1 == episode.steps
            assert sent[step, i, j] == (hears[step, j, i] or (not last and hears[step + 1, j, i]))
            assert heard[step, i, j] == (step > 0 and hears[step, i, j])
    assert changes > 0


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot record to"):
        evaluate(relay_plan(2, episodes=1, record=tmp_path / "file" / "episodes.jsonl"))


def test_every_field_of_the_format_is_described():
    for line in schema.LINES:
        assert line.__doc__
        assert not [name for name, field in line.model_fields.items() if not field.description]


def test_every_line_has_the_fields_of_the_schema_in_their_order(tmp_path):
    plan = relay_plan(2, episodes=1, record=tmp_path / "episode.jsonl")
    evaluate(plan)
    models = {line.model_fields["kind"].default: line for line in schema.LINES}
    written = [json.loads(line) for line in plan.record.read_text().splitlines()]
    assert [line["kind"] for line in written] == ["header", *["step"] * (len(written) - 3), "episode", "end"]
    for line in written:
        fields_there = models[line["kind"]].model_fields
        assert list(line) == [field.alias or name for name, field in fields_there.items()]


def test_an_episode_has_every_array_of_its_steps():
    assert set(schema.STEP_ARRAYS) <= {field.name for field in fields(TraceEpisode)}
    assert set(schema.STEP_ARRAYS) <= {field.name for field in fields(StepRecord)}
