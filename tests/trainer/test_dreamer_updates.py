"""How MAMBA, MAG and MABL are wired to their settings: windows and draws go in, parameters and counters come out.

Everything goes through `Algorithm`: `update`, `modules`, `optimisers`, `counters`.  Adam's first step moves every
parameter that has a gradient by the learning rate, whatever the gradient is, unless that is tiny; most tests read that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_dreamers import (
    BOUNDARY,
    POLICY,
    SIZES,
    SPEC,
    STEPS,
    WINDOWS,
    OneBatch,
    batch,
    everyone,
    made,
    mag,
    mamba,
)
from torch import Tensor

from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.interfaces import Algorithm
from trainer.algorithms.mag.mag import Mag
from trainer.experience.window import Window
from trainer.nets.means import Means
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import RandomDraws


def update(algorithm: Algorithm, replay: OneBatch | None = None, *, seed: int = 3) -> dict[str, float]:
    torch.manual_seed(seed)
    return algorithm.update(replay or OneBatch(), np.random.default_rng(seed))


def parameters(algorithm: Algorithm) -> dict[str, list[Tensor]]:
    """By network."""
    return {
        name: [parameter.detach().clone() for parameter in module.parameters()]
        for name, module in algorithm.modules().items()
    }


def moved(algorithm: Algorithm, replay: OneBatch | None = None) -> dict[str, float]:
    """The longest way that a parameter of each network went in one update."""
    before = parameters(algorithm)
    update(algorithm, replay)
    return {name: _farthest(before[name], now) for name, now in parameters(algorithm).items()}


def _farthest(before: list[Tensor], after: list[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True))


def steps_of(algorithm: Algorithm, name: str) -> int:
    """Gradient steps that a network has had."""
    counts = {int(state["step"]) for state in algorithm.optimisers()[name].state.values()}
    assert len(counts) == 1
    return counts.pop()


def rates(factor: float = 1.0) -> dict[str, float]:
    return {"model": 1e-3 * factor, "actor": 2e-3, "critic": 3e-3, "error_predictor": 4e-3}


def with_rates(**parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    own = {
        "optimiser": {"learning_rate": rates()["model"]},
        "policy": {"actor_learning_rate": rates()["actor"], "critic_learning_rate": rates()["critic"]},
        "planning": {"predictor_learning_rate": rates()["error_predictor"]},
    }
    return {name: {**own.get(name, {}), **parts.get(name, {})} for name in {*own, *parts}}


@everyone
def test_every_network_is_stepped_at_its_own_learning_rate(make: Callable[..., Dreamer]) -> None:
    went = moved(made(make, with_rates()))
    assert went == pytest.approx({name: rates()[name] for name in went}, rel=1e-2)


@everyone
def test_gradients_are_clipped_where_the_settings_say(make: Callable[..., Dreamer]) -> None:
    """To a norm far below Adam's epsilon, or nothing would be seen of it in a first step."""
    tiny = {"gradient_clip": 1e-13}
    for section, clipped in (("optimiser", {"model"}), ("policy", {"actor", "critic"})):
        algorithm = made(make, with_rates(**{section: tiny}))
        before = parameters(algorithm)
        metrics = update(algorithm)
        for name, now in parameters(algorithm).items():
            went = _farthest(before[name], now)
            if name in clipped:
                # Weight decay, which is no gradient of the loss, still moves the actor.
                assert name == "actor" or went < 1e-4 * rates()[name], name
            else:
                assert went == pytest.approx(rates()[name], rel=1e-2), name
        norms = {name: value for name, value in metrics.items() if "gradient_norm" in name}
        assert len(norms) == len(algorithm.modules())
        assert min(norms.values()) > 1e-3, "the norms that are told are those before clipping"


def test_the_actor_is_clipped_too() -> None:
    algorithm = made(mamba, with_rates(policy={"gradient_clip": 1e-13, "actor_weight_decay": 0.0}))
    went = moved(algorithm)
    assert went["actor"] < 1e-4 * rates()["actor"]


@everyone
def test_the_models_learning_rate_warms_up(make: Callable[..., Dreamer]) -> None:
    algorithm = made(make, with_rates(optimiser={"warm_up_updates": 4}))
    assert moved(algorithm)["model"] == pytest.approx(rates()["model"] / 4, rel=1e-2)
    told = []
    for _ in range(5):
        update(algorithm)
        told += [group["lr"] for group in algorithm.optimisers()["model"].param_groups]
    assert told == pytest.approx([rates()["model"] * share for share in (0.5, 0.75, 1.0, 1.0, 1.0)])


@everyone
def test_actor_and_critic_wait_until_the_model_has_warmed_up(make: Callable[..., Dreamer]) -> None:
    algorithm = made(make, with_rates(policy={"warm_up_updates": 4}), model_updates=2)
    went = moved(algorithm)
    assert went["model"] > 0
    assert went["actor"] == went["critic"] == 0
    went = moved(algorithm)
    assert min(went["actor"], went["critic"]) > 0
    assert algorithm.counters()["model_updates"] == 4


@everyone
def test_weight_decay_is_the_actors_alone(make: Callable[..., Dreamer]) -> None:
    """What has no gradient, such as the rows of latents that never came up, stays unless it decays."""
    kept, decayed = (made(make, with_rates(policy={"actor_weight_decay": decay})) for decay in (0.0, 1e-2))
    before = parameters(kept)
    for algorithm in (kept, decayed):
        update(algorithm)
    for name, start in before.items():
        idle_weights = 0
        for weights, without, now in zip(start, parameters(kept)[name], parameters(decayed)[name], strict=True):
            idle = (weights == without) & (weights.abs() > 1e-2)
            idle_weights += int(idle.sum())
            if name == "actor":
                assert (now.abs() < weights.abs())[idle].all()
            else:
                assert torch.equal(now[idle], weights[idle]), name
        assert idle_weights > 20 or name not in ("actor", "critic"), name


@everyone
@pytest.mark.parametrize("drop_last_row", [False, True], ids=["all rows", "without the last"])
def test_rounds_epochs_and_minibatches_are_those_of_the_settings(
    make: Callable[..., Dreamer], drop_last_row: bool
) -> None:
    policy = {"rounds": 2, "epochs": 3, "minibatch": 7, "entropy_decay": 0.99, "entropy_scale": 0.1}
    algorithm = made(make, {"policy": policy, "loss": {"drop_last_row": drop_last_row}}, model_updates=5)
    replay = OneBatch()
    metrics = update(algorithm, replay)
    imagined = (STEPS - drop_last_row) * WINDOWS * POLICY["horizon"]
    steps = 2 * 3 * math.ceil(imagined / 7)
    assert (steps_of(algorithm, "model"), steps_of(algorithm, "actor"), steps_of(algorithm, "critic")) == (
        5,
        steps,
        steps,
    )
    assert replay.asked == 5 + 2 + isinstance(algorithm, Mag)
    counters = algorithm.counters()
    assert counters["entropy_scale"] == pytest.approx(0.1 * 0.99**steps)
    assert counters["model_updates"] == 5
    assert metrics["policy/entropy_scale"] == pytest.approx(0.1 * (0.99 ** (steps / 2) + 0.99**steps) / 2)


@everyone
def test_imagination_may_teach_the_critic_alone(make: Callable[..., Dreamer]) -> None:
    learned = {}
    for whom in ("both", "critic"):
        policy = {"imagination_teaches": whom, "experience_epochs": 1, "entropy_decay": 0.5}
        algorithm = made(make, with_rates(policy=policy))
        before, scale = parameters(algorithm), algorithm.entropy_scale
        torch.manual_seed(5)
        metrics = Means()
        algorithm.learn_policy(algorithm.imagine_from(batch()), metrics)
        learned[whom] = parameters(algorithm)
        went = {name: _farthest(before[name], now) for name, now in learned[whom].items()}
        assert went["critic"] > 0
        assert (went["actor"] > 0) == (algorithm.entropy_scale != scale) == (whom == "both")
        assert ("policy/surrogate" in metrics.result()) == (whom == "both")
    assert all(map(torch.equal, learned["both"]["critic"], learned["critic"]["critic"])), (
        "as it learns beside the actor"
    )


def test_an_actor_that_nothing_would_teach_is_refused() -> None:
    with pytest.raises(ValueError, match="experience_epochs = 0: the actor would learn from nothing"):
        made(mamba, {"policy": {"imagination_teaches": "critic"}})


@everyone
def test_the_entropy_scale_never_falls_below_its_floor(make: Callable[..., Dreamer]) -> None:
    policy = {"epochs": 5, "entropy_decay": 0.5, "entropy_scale": 0.1, "entropy_floor": 0.02}
    algorithm = made(make, {"policy": policy})
    scales = []
    for _ in range(2):
        update(algorithm)
        scales.append(algorithm.counters()["entropy_scale"])
    assert scales == [0.02, 0.02]


def test_the_entropy_bonus_counts_as_much_as_its_scale_says() -> None:
    """A bonus past all advantages makes the policy more uniform, none leaves that to the advantages."""
    policy = {"epochs": 12, "actor_learning_rate": 3e-2, "entropy_decay": 1.0, "actor_weight_decay": 0.0}
    entropies = []
    for scale in (0.0, 100.0):
        algorithm = made(mamba, {"policy": {**policy, "entropy_scale": scale}})
        for _ in range(2):
            metrics = update(algorithm)
        entropies.append(metrics["policy/entropy"])
    assert entropies[0] + 0.02 < entropies[1] < math.log(SPEC.actions)


def test_imagination_starts_from_as_many_states_as_the_settings_allow() -> None:
    policy = {"minibatch": 1, "start_states": 4}
    algorithm = made(mamba, {"policy": policy})
    update(algorithm)
    assert steps_of(algorithm, "actor") == 4 * POLICY["horizon"]


@everyone
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "published"])
def test_the_action_before_an_episode_counts_only_where_the_settings_let_it(
    make: Callable[..., Dreamer], reset: bool
) -> None:
    """In the model's update, in the states that imagination starts from, and in what MAG's predictor learns."""
    window = batch()
    other = window.action.clone()
    other[BOUNDARY] = (other[BOUNDARY] + 1) % SPEC.actions
    windows = (window, replace(window, action=other))
    ways: dict[str, Callable[[Any, Window], None]] = {
        "update_model": lambda algorithm, given: algorithm.update_model(given, Means()),
        "imagine_from": lambda algorithm, given: algorithm.learn_policy(algorithm.imagine_from(given), Means()),
        "update_predictor": lambda algorithm, given: algorithm.update_predictor(given, Means()),
    }
    for name, learn in ways.items():
        after = []
        for given in windows:
            algorithm = made(make, {"loss": {"reset_action_on_first": reset, "across_episodes": False}})
            if not hasattr(algorithm, name):
                continue
            torch.manual_seed(3)
            learn(algorithm, given)
            after.append(parameters(algorithm))
        if after:
            same = all(_farthest(after[0][network], after[1][network]) == 0 for network in after[0])
            assert same == reset, name


@everyone
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "published"])
def test_the_action_before_an_episode_counts_no_more_where_the_model_is_only_asked(
    make: Callable[..., Dreamer], reset: bool
) -> None:
    """In what it predicts of held-out experience, in what it dreams on, and in the latents that are sent."""
    window = batch()
    other = window.action.clone()
    other[BOUNDARY] = (other[BOUNDARY] + 1) % SPEC.actions
    ways: dict[str, Callable[[Any, Window], Tensor]] = {
        "predict": lambda algorithm, given: algorithm.predict(given, RandomDraws()).reward,
        "imagine_after": lambda algorithm, given: (
            algorithm.imagine_after(OneBatch(given).sample(np.random.default_rng(3)), RandomDraws(), horizon=2).reward
        ),
        "latents": lambda algorithm, given: _chances(algorithm.latents, given),
    }
    for name, ask in ways.items():
        told = []
        for given in (window, replace(window, action=other)):
            algorithm = made(make, {"loss": {"reset_action_on_first": reset}})
            if not hasattr(algorithm, name):
                continue
            algorithm.model_update_count = 1
            torch.manual_seed(3)
            told.append(ask(algorithm, given))
        if told:
            assert torch.equal(*told) == reset, name


class Chances(RandomDraws):
    """Keeps what latents are drawn from."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []

    def latent(self, probabilities: Tensor) -> Tensor:
        self.asked.append(probabilities)
        return super().latent(probabilities)


def _chances(ask: Callable[[Window, RandomDraws], Any], window: Window) -> Tensor:
    draws = Chances()
    ask(window, draws)
    return torch.stack(draws.asked)


class Script:
    """Draws the likeliest latents, but for the last of all: that one is given, and what it was drawn from is kept."""

    def __init__(self, *, count: int, last: Tensor) -> None:
        self.left, self.last = count, last
        self.asked: list[Tensor] = []

    def latent(self, probabilities: Tensor) -> Tensor:
        self.left -= 1
        self.asked.append(probabilities)
        return probabilities.argmax(-1) if self.left else self.last

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        raise AssertionError("the predictor learns from what was done")

    def available(self, probabilities: Tensor) -> Tensor:
        raise AssertionError("the predictor asks for no masks")


def test_mags_predictor_learns_on_latents_of_the_prior() -> None:
    """It is shown what imagination will show it, and not the posteriors that it could have had."""
    algorithm = made(mag, {})
    rows = (STEPS - 1, WINDOWS, SPEC.agents, SIZES["categoricals"])
    given = torch.randint(SIZES["classes"], rows, generator=torch.Generator().manual_seed(4))
    algorithm.draws = Script(count=STEPS + 1, last=given)
    shown: list[tuple[Tensor, Tensor]] = []
    algorithm.modules()["error_predictor"].register_forward_hook(lambda _, seen, __: shown.append(seen))
    algorithm.update_predictor(batch(), Means())
    assert algorithm.draws.left == 0
    assert algorithm.draws.asked[-1].shape == (*rows, SIZES["classes"])
    ((ids, deter),) = shown
    assert torch.equal(ids, given)
    # The prior sees no observation: other ones at the last but one row change it nowhere before the row after.
    window = batch()
    observation = window.observation.clone()
    observation[-2] += 3.0
    again = made(mag, {})
    again.draws = Script(count=STEPS + 1, last=given)
    again.update_predictor(replace(window, observation=observation), Means())
    assert torch.equal(again.draws.asked[-1], algorithm.draws.asked[-1])
    assert not torch.equal(again.draws.asked[-3], algorithm.draws.asked[-3]), "the posterior does see it"
    assert deter.shape == (STEPS - 1, WINDOWS, SPEC.agents, SIZES["recurrent"])
