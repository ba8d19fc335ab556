"""An episode that is lost with its simulator is played again and counts once; one always lost ends the evaluation."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import losing_relay
import pytest
from relay_team import relay_plan

from coordinator.running.local import evaluate
from heliograph.environments.catalogue import CATALOGUE
from heliograph.errors import WorldError
from heliograph.seeds import episode_seed

EPISODES = 5


def seed(episode: int) -> int:
    return episode_seed(run_seed=0, episode=episode)


@pytest.fixture
def losses(monkeypatch):
    """A relay whose episodes are lost as often as a test writes down here, by seed."""
    monkeypatch.setitem(CATALOGUE, "relay", replace(CATALOGUE["relay"], adapter="losing_relay:LosingRelay"))
    monkeypatch.setattr(losing_relay, "LOSSES", {})
    return losing_relay.LOSSES


def played(plan):
    """What does not depend on the clock."""
    (summary,) = evaluate(plan).summaries
    return {name: getattr(summary, name) for name in ("episodes", "outcome", "team_return", "steps", "messages")}


def test_a_lost_episode_is_played_again_from_its_seed(losses, tmp_path: Path):
    plan = relay_plan(2, episodes=EPISODES)
    whole = played(replace(plan, record=tmp_path / "whole.jsonl.gz"))
    losses |= {seed(0): 1, seed(3): 3}
    again = played(replace(plan, record=tmp_path / "again.jsonl.gz", frames=tmp_path / "film"))
    assert again == whole
    files = [gzip.decompress((tmp_path / f"{name}.jsonl.gz").read_bytes()) for name in ("whole", "again")]
    assert files[0] == files[1], "steps of a lost episode are recorded nowhere"
    records = [json.loads(line) for line in files[0].splitlines()]
    steps = [record for record in records if record["kind"] == "step" and record["episode"] == 0]
    assert len(list((tmp_path / "film").iterdir())) == len(steps) + 1 > 3


def test_an_episode_that_is_always_lost_ends_the_evaluation(losses):
    losses[seed(1)] = 4
    with pytest.raises(WorldError, match="episode 1 was lost 4 times"):
        evaluate(relay_plan(2, episodes=EPISODES))
