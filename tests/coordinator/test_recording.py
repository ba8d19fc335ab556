"""What is recorded reads back as it happened, and what is not a recording is refused."""

import json

import numpy as np
import pytest
from relay_team import relay_plan

from coordinator.evaluation import evaluate
from coordinator.local import LocalTeam
from coordinator.recording import read_recording
from heliograph.errors import SettingsError


@pytest.mark.parametrize("name", ["episodes.jsonl", "episodes.jsonl.gz"])
def test_a_recording_holds_every_step_exactly(tmp_path, name):
    world = {"hears": "ring", "observation_noise": 0.1}
    plan = relay_plan(3, episodes=2, passes=("open", "cut"), record=tmp_path / name, **world)
    evaluate(plan)
    header, *lines = read_recording(plan.record)
    assert (header["agents"], header["actions"], header["message"]) == (3, 5, {"categoricals": 4, "classes": 8})
    assert header["bundles"] == [bundle.digest for bundle in plan.bundles]

    played = []
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
    for name in plan.passes:
        for episode in (0, 1) if name == "open" else (2, 3):
            team.play(plan.world(name), episode=episode, observe=played.append, report_latents=True)
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == len(played) == 4 * 6
    for line, record in zip(steps, played, strict=True):
        assert (line["episode"], line["step"]) == (record.episode, record.step)
        assert np.array_equal(np.array(line["observation"], dtype=np.float32), record.observation)
        assert np.array_equal(np.array(line["reward"], dtype=np.float32), record.reward)
        assert line["latent"] == record.latent.tolist()
        assert line["hears"] == [np.flatnonzero(row).tolist() for row in record.hears]
    episodes = [line for line in lines if line["kind"] == "episode"]
    assert [(line["pass"], line["episode"]) for line in episodes] == [("open", 0), ("open", 1), ("cut", 2), ("cut", 3)]
    assert len({line["seed"] for line in episodes}) == 4


def test_something_else_is_refused(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"kind": "header", "format": "heliograph-recording", "version": 2}) + "\n")
    with pytest.raises(SettingsError, match="of version 1"):
        next(read_recording(other))


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot record to"):
        evaluate(relay_plan(2, episodes=1, record=tmp_path / "file" / "episodes.jsonl"))
