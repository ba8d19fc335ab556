"""Central evaluation: episodes that are lost with their simulator."""

from __future__ import annotations

import losing_relay
import pytest
import torch
from tiny_team import small_team

from heliograph.environments.episodes import EpisodeResults
from heliograph.environments.relay import RelaySettings
from heliograph.errors import WorldError
from heliograph.seeds import episode_seed
from trainer.training.evaluation import evaluate

EPISODES = 5


def seed(episode: int) -> int:
    return episode_seed(run_seed=0, episode=episode)


def test_a_lost_episode_is_played_again_and_one_always_lost_ends_the_evaluation(monkeypatch):
    algorithm, _ = small_team("relay", {})

    def outcome(losses: dict[int, int]) -> EpisodeResults:
        monkeypatch.setattr(losing_relay, "LOSSES", losses)
        world = losing_relay.LosingRelay(RelaySettings(), id="relay", count=3)
        device = torch.device("cpu")
        return evaluate(algorithm.policy(), world, episodes=EPISODES, seed=0, greedy=False, device=device)

    whole, again = outcome({}), outcome({seed(0): 2, seed(4): 3, seed(EPISODES): 1})
    for name in ("outcome", "team_return", "length"):
        assert getattr(again, name).tolist() == getattr(whole, name).tolist()
    with pytest.raises(WorldError, match="episode 4 was lost 4 times"):
        outcome({seed(4): 4})
