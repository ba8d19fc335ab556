"""Settings with which one set of values suits worlds with any scale of rewards, and a policy learns from what is sure.

A head's scale, a held entropy, weights of survival, starts that are alive, and PPO on experience through the model.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_team import SMALL, SMALL_MABL, SMALL_MARIE, resume, small_settings, start
from torch import Tensor, nn

from heliograph.errors import SettingsError
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.recent import Recent, experience_batch
from trainer.experience.window import Window
from trainer.nets.means import Means
from trainer.nets.perceptron import perceptron
from trainer.nets.scaled_head import ScaledHead, TwoHotHead
from trainer.nets.value_codes import SpreadTwoHot
from trainer.policy.distributions import ILLEGAL_LOGIT, Categorical, ChoiceAndVector, SquashedGaussian
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.ppo import PolicyBatch, actor_loss, critic_loss, policy_batch, policy_loss
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import share_after_end
from trainer.training.preset import load_settings
from trainer.training.training import Training
from trainer.world_model.imagination import JointStates

torch.set_num_threads(1)

LEARNING = (
    "policy.experience_epochs=2",
    "policy.survival_weighting=true",
    "policy.start_alive=true",
    "policy.value_normalisation=true",
    "policy.entropy_target=0.4",
    "policy.reward_r2=-1e9",
)
WAYS = {
    "mamba": ("relay-signal", (*SMALL, 'mamba.model.reward_head="two_hot"', *(f"mamba.{each}" for each in LEARNING))),
    "mag": (
        "mag-relay",
        (
            *SMALL,
            *("mag.candidates=2", "mag.horizon=2", "mag.predictor_updates=1"),
            *('mamba.model.reward_head="scaled"', *(f"mamba.{each}" for each in LEARNING)),
        ),
    ),
    "mabl": ("mabl-relay", (*SMALL_MABL, 'mabl.model.reward_head="two_hot"', *(f"mabl.{each}" for each in LEARNING))),
    "marie": ("marie-relay", (*SMALL_MARIE, *(f"marie.{each}" for each in LEARNING))),
}


@given(st.lists(st.floats(-140, 140), min_size=1, max_size=6))
@settings(max_examples=50)
def test_the_mean_of_values_is_the_mean_of_their_codes(given_values: list[float]) -> None:
    """Which it is not on a squashed scale: what is rare and large would read too small."""
    code, values = SpreadTwoHot(points=63, reach=5.0), torch.tensor(given_values, dtype=torch.float64)
    codes = code.encode(values)
    assert torch.allclose(codes.sum(-1), torch.ones_like(values))
    torch.testing.assert_close(code.decode(codes), values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(code.decode(codes.mean(0)), values.mean(), rtol=1e-5, atol=1e-5)


def test_what_is_beyond_the_points_is_held_at_their_end() -> None:
    code = SpreadTwoHot(points=11, reach=3.0)
    assert code.decode(code.encode(torch.tensor([1e6, -1e6]))).tolist() == pytest.approx([math.e**3 - 1, 1 - math.e**3])


def learned(head: ScaledHead | TwoHotHead, *, unit: float) -> Tensor:
    """What a head says of features [64, 3], in units of the rewards, after it has learned them."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(64, 3, generator=generator)
    reward = unit * (features[:, 0] > 1).float() * 5  # rare, and all that there is
    optimiser = torch.optim.Adam(head.network.parameters(), lr=1e-2)
    for _ in range(60):
        head.scale.see(reward)
        if isinstance(head, TwoHotHead):
            loss = head.loss(head.network(features), reward).mean()
        else:
            told = head(features).squeeze(-1)
            loss = (head.scale.to_scale(told) - head.scale.to_scale(reward)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (head(features).squeeze(-1) / unit).detach()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ScaledHead, TwoHotHead])
def test_a_head_learns_the_same_whatever_the_unit_of_rewards(kind: type[ScaledHead] | type[TwoHotHead]) -> None:
    said = []
    for unit in (1e-2, 1.0, 1e3):
        torch.manual_seed(0)
        said.append(learned(kind(perceptron([3, 16, 63 if kind is TwoHotHead else 1], nn.ReLU)), unit=unit))
    for one in said[1:]:
        torch.testing.assert_close(one, said[0], rtol=1e-2, atol=2e-2)
    rewards = 5 * (torch.randn(64, 3, generator=torch.Generator().manual_seed(1))[:, 0] > 1)
    assert (said[0] - rewards).square().mean() < 0.3 * rewards.float().var()


def test_the_largest_entropy_is_that_of_what_is_legal() -> None:
    logits = torch.tensor([[3.0, -1.0, 0.5, ILLEGAL_LOGIT], [0.0, ILLEGAL_LOGIT, ILLEGAL_LOGIT, ILLEGAL_LOGIT]])
    assert Categorical(4).largest_entropy(logits).tolist() == pytest.approx([math.log(3), 0.0])
    vector = SquashedGaussian(2, 256)
    outputs = vector.masked(torch.tensor([0.3, -2.0, 50.0, 0.0]), torch.tensor([True, False]))
    assert float(vector.largest_entropy(outputs)) == pytest.approx(float(vector.entropy(outputs)), abs=1e-6)
    both = ChoiceAndVector(Categorical(4), vector)
    joint = torch.cat([logits[0], outputs])
    assert float(both.largest_entropy(joint)) == pytest.approx(
        math.log(3) + float(vector.largest_entropy(outputs)), abs=1e-6
    )


class Linear(nn.Module):
    """Actor and critic of features [..., 3]."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, out)

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.layer(features)
        return outputs if outputs.shape[-1] > 1 else outputs.squeeze(-1)


def rollout(*, after: float) -> ImaginedRollout:
    """Three steps of four states and two agents, certain to end after the second; `after` is the reward then."""
    generator = torch.Generator().manual_seed(3)
    continuation, reward = torch.ones(3, 4, 2), torch.randn(3, 4, 2, generator=generator)
    continuation[1] = 0
    reward[2] = after
    return ImaginedRollout(
        features=(torch.randn(4, 4, 2, 3, generator=generator),),
        action=torch.randint(3, (3, 4, 2), generator=generator),
        logits=torch.randn(3, 4, 2, 3, generator=generator),
        available=None,
        reward=reward,
        continuation=continuation,
    )


def test_what_is_imagined_after_the_end_counts_for_nothing() -> None:
    torch.manual_seed(0)
    actor, critic, actions = Linear(3), Linear(1), Categorical(3)
    losses = []
    for weighting in (True, False):
        policy = PolicySettings(survival_weighting=weighting)
        for after in (0.0, 50.0):
            batch = policy_batch(rollout(after=after), critic, policy, actions)
            loss = actor_loss(actor, batch, actions, clip=0.2, entropy_scale=0.1)
            losses.append((loss.loss.item(), critic_loss(critic, batch).item()))
    assert losses[0] == pytest.approx(losses[1])
    assert losses[2] != pytest.approx(losses[3])


def test_rows_that_count_for_nothing_are_not_told_as_learned_from_after_the_end() -> None:
    certain, likely = rollout(after=0.0).continuation, torch.full((2, 1, 1), 0.5)
    assert float(share_after_end(certain, weighted=False)) == pytest.approx(1 / 3)
    assert float(share_after_end(certain, weighted=True)) == 0.0
    assert float(share_after_end(likely, weighted=True)) == pytest.approx(0.25 / 1.5)


def test_what_does_not_count_is_not_counted_as_clipped() -> None:
    old, now = torch.zeros(4), torch.tensor([0.0, 1.0, 1.0, 1.0])
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    loss = policy_loss(now, old, advantage=old, entropy=old, clip=0.2, entropy_scale=0.0, weight=weight)
    assert float(loss.clipped) == 0.5


def run(path: Path, way: str, *changes: str, stop_after: int) -> Training:
    preset, small = WAYS[way]
    section = "mamba" if way == "mag" else way
    given = small_settings(preset, *(f"{section}.{each}" for each in changes), env_steps=10_000, small=small)
    training = start(path, given, stop_after=stop_after)
    training.run()
    training.close()
    return training


@pytest.mark.slow
def test_the_entropy_is_steered_to_its_target_and_the_scale_is_bounded(tmp_path: Path) -> None:
    scales = {}
    for target in (0.0, 1.0):
        algorithm = run(
            tmp_path / str(target), "mamba", f"policy.entropy_target={target}", "policy.entropy_rate=0.5", stop_after=5
        ).algorithm
        scales[target] = algorithm.counters()["entropy_scale"]
    assert scales[0.0] < 0.05 < scales[1.0] + 0.05
    assert scales[0.0] < scales[1.0]
    assert scales[0.0] >= 1e-4
    assert scales[1.0] <= 1


@pytest.mark.slow
def test_no_round_is_imagined_before_new_rewards_are_told_well_enough(tmp_path: Path) -> None:
    for r2, imagines in ((-1e9, True), (2.0, False)):
        path = tmp_path / str(r2)
        training = run(path, "mamba", f"policy.reward_r2={r2}", stop_after=6)
        history = training.folder.history()
        assert any("policy/imagined_return" in record for record in history) == imagines
        assert any("policy/entropy" in record for record in history), "what was collected is learned from all the same"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path, way: str) -> None:
    run(tmp_path / "whole", way, stop_after=5)
    run(tmp_path / "parts", way, stop_after=3)
    again = resume(tmp_path / "parts", stop_after=5)
    again.run()
    again.close()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("policy/imagined_return" in record for record in again.folder.history())


def test_imagination_starts_from_nothing_that_has_ended(tmp_path: Path) -> None:
    training = run(tmp_path / "run", "mamba", stop_after=3)
    algorithm = training.algorithm
    assert isinstance(algorithm, Mamba)
    window = training.replay.sample(np.random.default_rng(0)).window
    window.first[:], window.terminated[:] = False, True
    window.terminated[2, 1] = False
    starts: list[JointStates] = []
    algorithm._roll_out = lambda world, start, predict: starts.append(start)
    torch.manual_seed(5)
    algorithm.imagine_from(window)
    torch.manual_seed(5)
    alive = algorithm.features(window)[1][2, 1]
    assert starts[0].deter.shape[0] == window.first.numel(), "as many as without, so that shapes never change"
    assert (starts[0].deter == alive).all()


def test_experience_is_that_of_the_newest_policy() -> None:
    """As with algorithms that learn from nothing else: what is collected ahead is of the one before."""
    for preset, small in WAYS.values():
        with pytest.raises(SettingsError, match=r"newest policy too, with policy\.experience_epochs"):
            small_settings(preset, "schedule.overlap=true", small=small)
        assert not small_settings(preset, small=small).overlaps("cuda")
    assert small_settings("relay-signal").overlaps("cuda")


def test_experience_is_seen_with_all_that_the_policy_had_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a window of the model, where more observations are stacked."""
    training = run(tmp_path / "run", "marie", "policy.stack=9", stop_after=3)
    algorithm, replay, asked = training.algorithm, training.replay, list[int]()
    assert isinstance(algorithm, Marie)

    def unlearned(*, leading: int) -> tuple[Window, Tensor]:
        asked.append(leading)
        return replay.unread(leading=leading)

    monkeypatch.setattr(replay, "unlearned", unlearned)
    algorithm.learn_from_experience(replay, Means())
    assert replay.settings.window == 4
    assert asked == [8]


def test_what_the_policy_would_never_have_done_in_the_latents_as_drawn_now_teaches_nothing() -> None:
    """Latents are drawn anew for experience; a sharp policy may have acted far away in the ones that it had."""
    actions, steps = SquashedGaussian(1, 255), 4
    acts = actions.mode(torch.tensor([[0.0, 0.0], [0.1, 0.0], [2.0, 0.0], [-0.2, 0.0], [0.2, 0.0]]))
    window = Window(
        observation=torch.zeros(steps + 1, 1, 1, 1),
        action_mask=torch.ones(steps + 1, 1, 1, 1, dtype=torch.bool),
        hears=None,
        present=torch.ones(steps + 1, 1, 1, dtype=torch.bool),
        first=torch.zeros(steps + 1, 1, dtype=torch.bool),
        action=acts.reshape(steps + 1, 1, 1, 1),
        reward=torch.tensor([0.0, 1.0, 500.0, -1.0, 3.0]).reshape(steps + 1, 1, 1),
        terminated=torch.zeros(steps + 1, 1, 1, dtype=torch.bool),
    )

    def learned_from(actor: nn.Module) -> PolicyBatch:
        return experience_batch(
            Recent(window=window, new=torch.ones(steps + 1, 1, dtype=torch.bool)),
            (torch.zeros(steps + 1, 1, 1, 1),),
            actor=actor,
            value=lambda feature: feature.flatten(1),
            settings=PolicySettings(discount=0.0),
            actions=actions,
            masks=False,
        )

    actor = nn.Linear(1, 2)
    for raw, weights in ((0.0, [1, 1, 1, 1]), (-10.0, [1, 0, 1, 1])):  # 2.0 is 3.6 deviations away, and 20
        with torch.no_grad():
            actor.bias.copy_(torch.tensor([0.0, raw]))
        batch = learned_from(actor)
        assert batch.weight is not None
        assert batch.weight.flatten().tolist() == weights
    kept = batch.advantage.flatten()[[0, 2, 3]]
    torch.testing.assert_close(kept, torch.tensor([0.0, -1.2247, 1.2247]), atol=1e-3, rtol=0)


def test_only_a_world_model_has_a_reward_head_to_choose() -> None:
    for name, section in (("relay-signal", "mamba"), ("mag-relay", "mamba"), ("mabl-relay", "mabl")):
        load_settings(name, [f"{section}.model.reward_head=scaled"])
    with pytest.raises(SettingsError, match=r"unknown key attention_ppo\.policy\.reward_head"):
        load_settings("attention-ppo-relay", ["attention_ppo.policy.reward_head=scaled"])


def test_a_train_ratio_makes_as_many_updates_a_step_and_keeps_the_rounds_in_proportion() -> None:
    small = (*SMALL, "mamba.model_updates=4", "mamba.policy.rounds=2", "environment.copies=4")
    for ratio, updates, rounds in ((0.5, 6, 3), (2.0, 24, 12), (0.01, 1, 1)):
        given = small_settings("relay-signal", f"mamba.train_ratio={ratio}", env_steps=100, small=small)
        (section,) = given.sections()
        assert (section.model_updates, section.policy.rounds) == (updates, rounds)
    (section,) = small_settings("relay-signal", env_steps=100, small=small).sections()
    assert (section.model_updates, section.policy.rounds) == (4, 2)


def test_an_action_that_has_become_likelier_by_any_factor_leaves_finite_gradients() -> None:
    """As of a Gaussian policy whose mean has moved to an action far out: the ratio of densities is past float32."""
    now = torch.tensor([-1.0, -1.0, -1.0], requires_grad=True)
    old, advantage = torch.tensor([-200.0, -200.0, -1.1]), torch.tensor([1.0, -1.0, 1.0])
    policy_loss(now, old, advantage=advantage, entropy=old, clip=0.2, entropy_scale=0.0).loss.backward()
    assert now.grad is not None
    assert now.grad[:2].tolist() == [0.0, 0.0]
    assert float(now.grad[2]) == pytest.approx(-math.exp(0.1) / 3)
