"""The tables of an export count what the team would say, and touch nothing that training goes on from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_team import small_team

from heliograph import codecs
from heliograph.codecs import LatentTables
from trainer.algorithms.dreamer.execution import TeamState
from trainer.algorithms.mamba.mamba import Mamba
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.export.tables import learned_tables
from trainer.policy.draws import GreedyDraws

STEPS = 20


class Listening:
    """A `Behaviour`: the team, deciding greedily; keeps every latent."""

    def __init__(self, algorithm: Mamba) -> None:
        self.team = algorithm.behaviour()
        self.initial_state, self.columns = self.team.initial_state, self.team.columns
        self.heard: list[np.ndarray] = []

    def act(self, state: TeamState, **seen: Any) -> tuple[torch.Tensor, TeamState]:
        action, state = self.team.act(state, **(seen | {"draws": GreedyDraws()}))
        self.heard.append(state.ids.numpy().copy())
        return action, state


@pytest.mark.parametrize(
    "parameters", [{"agents": 2}, {"agents": 3, "hears": "range", "range": 1}], ids=["complete", "changing graph"]
)
def test_counts_are_those_of_what_the_team_says(parameters: dict[str, Any]) -> None:
    algorithm, environment = small_team("relay", parameters)
    replay = Replay(ReplaySettings(capacity=4000, window=4, minimum=1), environment.spec, copies=environment.count)
    assert learned_tables(algorithm, replay) is None, "nothing was observed yet"
    actor = Listening(algorithm)
    collector = Collector(environment, actor, replay, seed=7, device=torch.device("cpu"))
    collector.collect(STEPS, actor)
    collector.commit()
    random = torch.get_rng_state()
    tables = learned_tables(algorithm, replay)
    assert torch.equal(torch.get_rng_state(), random)
    assert tables is not None
    said = np.concatenate(actor.heard).reshape(-1, 4)  # [messages, K]
    newest = algorithm.latents(replay.newest_window(4000), GreedyDraws())[-1].reshape(-1, 4).numpy()
    running = np.concatenate([said, newest])
    assert tables == LatentTables(np.stack([np.bincount(column, minlength=8) for column in running.T]))
    codec = codecs.make("entropy", algorithm.step_function(0).message, tables)
    assert np.mean([codec.size_bits(latent) for latent in said.astype(np.int32)]) < 4 * 3
