"""MAMBA, MAG and Attention-PPO with `communication = "none"`: nobody is read, in training and at execution alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from combinations import a_few
from tiny_team import small_team

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.settings import resolve
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.algorithms.model_free.attention_ppo import AttentionPpo
from trainer.algorithms.model_free.settings import AttentionPpoSettings
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.export.bundles import export_team
from trainer.export.tables import learned_tables
from trainer.policy.draws import GreedyDraws
from trainer.training.evaluation import evaluate

CPU, AGENTS = torch.device("cpu"), 3
WORLD: dict[str, Any] = {"agents": AGENTS}


def pair(**model: Any) -> tuple[Mamba, Mamba]:
    """A silent team, and one with the same weights that talks."""
    silent, _ = small_team("relay", WORLD, communication="none", **model)
    talking, _ = small_team("relay", WORLD, **model)
    for name, module in talking.modules().items():
        module.load_state_dict(silent.modules()[name].state_dict())
    return silent, talking


def collected(algorithm: Mamba | AttentionPpo) -> Replay:
    environment = registry.make("relay", count=4, parameters=WORLD)
    settings = ReplaySettings(capacity=400, window=6, batch=4, start="first", minimum=1)
    replay = Replay(settings, environment.spec, copies=4, columns=algorithm.columns())
    collector = Collector(environment, algorithm.behaviour(), replay, seed=2, device=CPU)
    collector.collect(14, algorithm.behaviour())
    collector.commit()
    return replay


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_it_acts_and_learns_as_a_team_that_receives_nothing(shared: bool) -> None:
    silent, talking = pair(shared=shared)
    world = registry.make("relay", count=8, parameters=WORLD)
    common: dict[str, Any] = {"episodes": 16, "seed": 3, "greedy": False, "device": CPU}
    alone = evaluate(silent.policy(), world, **common).team_return
    np.testing.assert_allclose(alone, evaluate(talking.policy(), world, links_cut=True, **common).team_return)
    assert not np.allclose(alone, evaluate(talking.policy(), world, **common).team_return)

    window = collected(silent).sample(np.random.default_rng(0)).window
    seen = silent.model.observe(window, GreedyDraws().latent)
    window.observation[:, :, 0] += 1.0
    again = silent.model.observe(window, GreedyDraws().latent)
    assert (seen.deter != again.deter).any(-1).any(0).any(0).tolist() == [True, False, False]
    # In imagination, too, an agent's next state is its own affair.
    start = silent.starts(window, seen, slice(1), silent.draws)
    actions = window.action[1].clone()
    other = actions.clone()
    other[:, 1] = (other[:, 1] + 1) % 5
    one, two = (silent.imagination().transition(start, each).deter for each in (actions, other))
    assert (one != two).any(-1).any(0).tolist() == [False, True, False]


def test_there_are_no_messages_and_so_no_tables_of_them() -> None:
    silent, _ = pair()
    assert silent.message is None
    assert silent.step_function(1).message is None
    assert learned_tables(silent, collected(silent)) is None
    values = {"model": {"communication": "none"}, "channel": {"share": 0.5, "erasure": 0.5}}
    with pytest.raises(SettingsError, match=r"model\.communication = ego"):
        resolve(MambaSettings, values, source="preset")


def attention_ppo() -> AttentionPpo:
    spec = registry.make("relay", count=1, parameters=WORLD).spec
    sizes = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "heads": 2, "posterior_scale": 20.0}
    torch.manual_seed(0)
    settings = AttentionPpoSettings.model_validate({"policy": sizes | {"communication": "none"}})
    return AttentionPpo(settings, spec, device=CPU)


@pytest.mark.slow
@pytest.mark.parametrize(
    "made", a_few(["mamba", "mamba of own parameters", "attention-ppo"], "mamba of own parameters", "attention-ppo")
)
def test_bundles_send_nothing_and_do_what_the_networks_do(tmp_path: Path, made: str) -> None:
    algorithm = attention_ppo() if made == "attention-ppo" else pair(shared=made == "mamba", communication_layers=1)[0]
    export_team(algorithm, algorithm.spec, tmp_path / "team", run_id="silent", training_step=0)
    bundles = load_team(tmp_path / "team")
    assert all(bundle.manifest.message is None for bundle in bundles)
    world = registry.make("relay", count=8, parameters=WORLD)
    central = evaluate(algorithm.policy(), world, episodes=24, seed=3, greedy=False, device=CPU)
    team, stage = LocalTeam(bundles, run_seed=3, greedy=False), World(registry.make("relay", count=1, parameters=WORLD))
    played = [team.run_episode(stage, episode=episode).result.team_return for episode in range(24)]
    np.testing.assert_allclose(played, central.team_return, rtol=0, atol=1e-5)
