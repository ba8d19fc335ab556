"""IPPO: its critic is told nothing that the agent itself is not."""

from __future__ import annotations

from dataclasses import replace

import torch
from made_up_team import MADE_UP as SPEC

from trainer.algorithms.ippo.ippo import Ippo
from trainer.algorithms.model_free.critics import OwnCritic
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.training.preset import load_settings


def test_the_critic_values_an_agent_by_what_it_sees_itself_and_by_who_it_is() -> None:
    torch.manual_seed(0)
    critic = OwnCritic(SPEC, hidden=16)
    observation, state = torch.randn(2, 1, 5).expand(2, 3, 5), torch.randn(2, 7)
    values = critic(observation, state)
    assert values.shape == (2, 3)
    assert len(values[0].unique()) == 3
    moved = observation.clone()
    moved[:, 1] += 1
    assert (critic(moved, state) != values).all(0).tolist() == [False, True, False]
    assert torch.equal(critic(observation, state + 1), values)
    assert torch.equal(critic(observation, None), values)


def test_replay_keeps_no_global_state_for_it() -> None:
    algorithm = Ippo(MappoSettings(), SPEC, device=torch.device("cpu"))
    assert algorithm.columns().keys() == {"carried"}
    alone = Ippo(MappoSettings(), replace(SPEC, agents=1), device=torch.device("cpu"))
    assert alone.critic(torch.randn(4, 1, 5), None).shape == (4, 1)


def test_its_presets_are_mappos() -> None:
    for name in ("relay", "smax-3m-cpu", "smac-3m-paper", "mujoco-halfcheetah-2x3"):
        ours, theirs = load_settings(f"ippo-{name}", []), load_settings(f"mappo-{name}", [])
        assert ours.ippo == theirs.mappo
        assert (ours.environment, ours.schedule, ours.replay) == (theirs.environment, theirs.schedule, theirs.replay)
