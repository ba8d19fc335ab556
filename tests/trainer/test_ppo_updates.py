"""An update of MAPPO, IPPO, HAPPO, CommNet and Attention-PPO: who is stepped, how often, how far, and towards what."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.commnet.commnet import CommNet
from trainer.algorithms.happo.happo import Happo
from trainer.algorithms.ippo.ippo import Ippo
from trainer.algorithms.model_free.attention_ppo import AttentionPpo
from trainer.algorithms.model_free.mappo import Mappo
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.settings import AttentionPpoSettings, MappoSettings, MessagingSettings
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings

CPU = torch.device("cpu")
STEPS = 24
RECURRENT: dict[str, type[Mappo | Ippo | Happo]] = {"mappo": Mappo, "ippo": Ippo, "happo": Happo}
NETWORKS = ("policy", "critic")
everyone = pytest.mark.parametrize("name", [*RECURRENT, "commnet", "attention-ppo"])


def made(name: str, **ppo: Any) -> tuple[OnPolicy, Replay]:
    """An untrained team, and a replay with what it has just done."""
    world = relay()
    algorithm = untrained(name, world, **ppo)
    replay = empty_replay(algorithm, world)
    replay.restore(collected(name))
    return algorithm, replay


@cache
def collected(name: str) -> dict[str, np.ndarray]:
    """The state of a replay with what a team has done; how it learns makes no difference to that."""
    world = relay()
    algorithm = untrained(name, world)
    replay, behaviour = empty_replay(algorithm, world), algorithm.behaviour()
    collector = Collector(world, behaviour, replay, seed=5, device=CPU)
    collector.collect(STEPS, behaviour)
    collector.commit()
    return replay.state()


def relay() -> VectorEnvironment:
    return registry.make("relay", count=3, parameters={"agents": 2}, permission=EVERYTHING)


def empty_replay(algorithm: OnPolicy, world: VectorEnvironment) -> Replay:
    settings = ReplaySettings(capacity=1000, window=2, minimum=1)
    return Replay(settings, world.spec, copies=world.count, columns=algorithm.columns())


def untrained(name: str, world: VectorEnvironment, **ppo: Any) -> OnPolicy:
    values = {"sequence": 6, "epochs": 1, "actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3} | ppo
    torch.manual_seed(0)
    if name in RECURRENT:
        settings = MappoSettings.model_validate({"hidden": 16, "recurrent": 12, "ppo": values})
        return RECURRENT[name](settings, world.spec, device=CPU)
    if name == "commnet":
        own = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "gate": True, "ppo": values}
        return CommNet(MessagingSettings.model_validate(own), world.spec, device=CPU)
    sizes = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "heads": 2}
    talking = AttentionPpoSettings.model_validate({"policy": sizes, "ppo": values})
    return AttentionPpo(talking, world.spec, device=CPU)


def update(algorithm: OnPolicy, replay: Replay) -> dict[str, float]:
    return algorithm.update(replay, np.random.default_rng(1))


def parameters(algorithm: OnPolicy, network: str) -> torch.Tensor:
    return torch.cat([each.detach().flatten().clone() for each in algorithm.modules()[network].parameters()])


def moved(name: str, **ppo: Any) -> dict[str, float]:
    """The longest way that a parameter of each network went in one update."""
    algorithm, replay = made(name, **ppo)
    before = {network: parameters(algorithm, network) for network in NETWORKS}
    update(algorithm, replay)
    return {network: float((parameters(algorithm, network) - before[network]).abs().max()) for network in NETWORKS}


@pytest.mark.slow
@everyone
def test_each_network_is_stepped_at_its_own_learning_rate(name: str) -> None:
    # Adam's first step is as long as the rate, whatever the gradient.
    assert moved(name) == pytest.approx({"policy": 1e-3, "critic": 1e-3}, rel=1e-2)
    assert moved(name, actor_learning_rate=4e-3) == pytest.approx({"policy": 4e-3, "critic": 1e-3}, rel=1e-2)
    assert moved(name, critic_learning_rate=4e-3) == pytest.approx({"policy": 1e-3, "critic": 4e-3}, rel=1e-2)


@everyone
def test_gradients_of_both_are_clipped_where_the_settings_say(name: str) -> None:
    # So short a gradient is nothing beside Adam's epsilon.
    assert max(moved(name, gradient_clip=1e-12).values()) < 1e-5


@everyone
def test_there_is_a_step_for_each_part_of_the_sequences_in_each_epoch(name: str) -> None:
    algorithm, replay = made(name, epochs=3, minibatches=2)
    update(algorithm, replay)
    for optimiser in algorithm.optimisers().values():
        assert {int(state["step"]) for state in optimiser.state.values()} == {6}


@everyone
def test_the_first_step_is_taken_where_the_policy_is_still_the_one_that_acted(name: str) -> None:
    algorithm, replay = made(name)
    first = update(algorithm, replay)
    assert first["policy/clipped"] == 0.0
    # Normalised advantages are zero on average; of HAPPO's second agent they have a factor of about 1.
    assert first["policy/surrogate"] == pytest.approx(0.0, abs=5e-3 if name == "happo" else 1e-4)
    algorithm, replay = made(name, epochs=12, actor_learning_rate=3e-2)
    assert update(algorithm, replay)["policy/clipped"] > 0.02


@everyone
def test_what_earned_more_becomes_likelier(name: str) -> None:
    algorithm, replay = made(name, epochs=20, reward_sharing="individual", discount=0.0, entropy_scale=0.0)
    state = {key: array.copy() for key, array in replay.state().items()}
    state["reward"] = (state["action"] == 0).astype(np.float32)
    replay.restore(state)
    sequences = algorithm.sequences(*replay.unread())
    good = sequences.counts & (sequences.action == 0)
    assert 0 < int(good.sum()) < int(sequences.counts.sum())

    def chances() -> tuple[float, float]:
        with torch.no_grad():
            found = algorithm.decisions(sequences).log_probability.exp()
        return float(found[good].mean()), float(found[sequences.counts & ~good].mean())

    before = chances()
    replay.restore(state)
    update(algorithm, replay)
    after = chances()
    assert after[0] > before[0] + 0.01
    assert after[1] < before[1]


@pytest.mark.slow
@everyone
def test_the_critic_comes_closer_to_the_returns(name: str) -> None:
    losses = []
    for epochs in (1, 30):
        chosen = {"critic_learning_rate": 3e-3, "value_normalisation": False, "discount": 0.0}
        algorithm, replay = made(name, epochs=epochs, **chosen)
        state = {key: array.copy() for key, array in replay.state().items()}
        state["reward"][:] = 1.0
        replay.restore(state)
        losses.append(update(algorithm, replay)["policy/critic_loss"])
    # Of all epochs the mean, so of the last of many it is far less.
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.slow
@everyone
def test_an_entropy_bonus_keeps_the_policy_wide(name: str) -> None:
    left = [
        update(*made(name, epochs=15, actor_learning_rate=1e-2, entropy_scale=scale))["policy/entropy"]
        for scale in (0.0, 1.0)
    ]
    assert left[1] > left[0]


@everyone
def test_what_was_learned_from_once_is_not_learned_from_again(name: str) -> None:
    algorithm, replay = made(name)
    assert update(algorithm, replay)
    before = {network: parameters(algorithm, network) for network in NETWORKS}
    assert update(algorithm, replay) == {}
    assert all(torch.equal(parameters(algorithm, network), before[network]) for network in NETWORKS)


@everyone
def test_returns_that_are_not_finite_stop_it_before_anything_moves(name: str) -> None:
    algorithm, replay = made(name)
    state = {key: array.copy() for key, array in replay.state().items()}
    state["reward"][0, 5] = np.nan
    replay.restore(state)
    before = {network: parameters(algorithm, network) for network in NETWORKS}
    with pytest.raises(NonFiniteLoss, match="returns of what was collected"):
        update(algorithm, replay)
    assert all(torch.equal(parameters(algorithm, network), before[network]) for network in NETWORKS)


@everyone
def test_returns_are_scaled_for_the_critic_only_where_the_settings_say(name: str) -> None:
    for wanted in (True, False):
        algorithm, replay = made(name, value_normalisation=wanted)
        update(algorithm, replay)
        assert bool(algorithm.scale.weight > 0) == wanted
