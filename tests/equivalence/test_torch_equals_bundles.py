"""The trainer's networks, all agents in one batch, and exported bundles, each agent alone, play the same episodes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from combinations import a_few

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.export.bundles import export_team
from trainer.training.evaluation import evaluate

pytestmark = pytest.mark.slow

EPISODES, SEED = 24, 11

TEAMS = {
    "two agents, complete graph": ("relay", {}),
    "three agents, directed and changing graph": ("relay", {"agents": 3, "hears": "range", "range": 0}),
    "agents that leave early": ("waiting_game:make", {"all_heard": True}),
    "vectors of unequal sizes": ("steering_team:make", {}),
}


@pytest.fixture(scope="module", params=TEAMS.values(), ids=TEAMS)
def team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mamba, Any, Any]:
    """An untrained team, its world's name and parameters, and its bundles as a node reads them."""
    environment, parameters = request.param
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "heads": 2, "posterior_scale": 20.0}
    settings = MambaSettings.model_validate({"model": model, "policy": {"critic_heads": 2}})
    spec = registry.make(environment, count=1, parameters=parameters, permission=EVERYTHING).spec
    algorithm = Mamba(settings, spec, device=torch.device("cpu"))
    with torch.no_grad():  # a policy that follows what it hears, so that one wrong message changes the episode
        # Large means would all be squashed to the same bounds.
        for module, factor in ((algorithm.actor, 1.5 if spec.continuous else 6.0), (algorithm.model.rssm.cell, 4.0)):
            for parameter in module.parameters():
                parameter.mul_(factor if parameter.dim() > 1 else 0.0)
    folder = tmp_path_factory.mktemp("bundles")
    export_team(algorithm, spec, folder, run_id="equal", training_step=0)
    return algorithm, request.param, load_team(folder)


# A landing plays every team under either of both, and the night under each with each.
@pytest.mark.parametrize(
    "way",
    a_few(itertools.product((True, False), (False, True)), (True, False), (False, True)),
    ids=["greedy-open", "greedy-cut", "sampled-open", "sampled-cut"],
)
def test_every_episode_ends_the_same(team: tuple[Mamba, Any, Any], way: tuple[bool, bool]) -> None:
    greedy, links_cut = way
    algorithm, (environment, parameters), bundles = team
    central = evaluate(
        algorithm.policy(),
        registry.make(environment, count=16, parameters=parameters, permission=EVERYTHING),
        episodes=EPISODES,
        seed=SEED,
        greedy=greedy,
        device=torch.device("cpu"),
        links_cut=links_cut,
    )
    world = World(
        registry.make(environment, count=1, parameters=parameters, permission=EVERYTHING), links_cut=links_cut
    )
    alone = LocalTeam(bundles, run_seed=SEED, greedy=greedy)
    results = [alone.run_episode(world, episode=episode).result for episode in range(EPISODES)]
    assert [result.steps for result in results] == central.length.tolist()
    assert [result.outcome for result in results] == central.outcome.tolist()
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-5)
    assert len(np.unique(central.team_return.round(4))) >= 8, "the episodes differ from one another"


def test_messages_change_the_episodes(team: tuple[Mamba, Any, Any]) -> None:
    """Guards the test above: a team that did not listen would pass it too."""
    algorithm, (environment, parameters), _ = team
    policy = algorithm.policy()
    world = registry.make(environment, count=EPISODES, parameters=parameters, permission=EVERYTHING)
    played = [
        evaluate(policy, world, episodes=EPISODES, seed=SEED, greedy=True, device=torch.device("cpu"), links_cut=cut)
        for cut in (False, True)
    ]
    assert (np.abs(played[0].team_return - played[1].team_return) > 1e-3).mean() > 0.2
