"""Imagined beside real futures: which starts there are, what came of them, and what a rollout is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from collecting import collect, collector_of, episodes_in
from tiny_team import small_settings
from torch import Tensor

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.mamba.mamba import Mamba
from trainer.experience.batch import Batch
from trainer.experience.replay import Replay
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import discounted_return, survival
from trainer.training.calibration import (
    GROUPS,
    NEWEST,
    STARTS,
    Calibration,
    Futures,
    calibrate,
    led_up_to,
    real_futures,
)
from trainer.training.making import make_algorithm

pytestmark = pytest.mark.drawn

CPU = torch.device("cpu")
BEFORE, AFTER = 2, 3


def test_survival_and_return_are_those_of_a_loop() -> None:
    continuation = torch.tensor([[1.0, 0.5], [0.5, 0.0], [0.25, 1.0]])
    assert survival(continuation).tolist() == [[1.0, 1.0], [1.0, 0.5], [0.5, 0.0]]
    reward = torch.tensor([[1.0, 2.0], [10.0, 4.0], [100.0, 8.0]])
    assert discounted_return(reward, continuation, discount=0.5).tolist() == [1 + 5 + 12.5, 2 + 1.0]


@pytest.fixture(scope="module", params=["matrix-climbing", "relay"])
def replay(request: pytest.FixtureRequest) -> Replay:
    """Episodes that end of themselves, or at a time limit."""
    world = registry.make(request.param, count=3, parameters={}, permission=EVERYTHING)
    collector = collector_of(world)
    collect(collector, 40)
    return collector.replay


def futures(replay: Replay, *, newest: int = 10_000, batch: int = 10_000, seed: int = 0) -> Batch | None:
    return replay.futures(np.random.default_rng(seed), batch=batch, before=BEFORE, after=AFTER, newest=newest)


def test_starts_are_all_rows_whose_future_is_known_each_once(replay: Replay) -> None:
    found = futures(replay)
    expected, cut = [], 0
    for episode in episodes_in(replay):
        rows = episode.rows
        over = rows["terminated"].all(1)
        for at in range(len(over) - 1):
            if over[at]:
                continue
            if at + AFTER < len(over) or over[at + 1 :].any():
                earned = [float(rows["reward"][at + k, 0]) if at + k < len(over) else 0.0 for k in range(1, AFTER + 1)]
                goes_on = [float(not over[min(at + k, len(over) - 1)]) for k in range(1, AFTER + 1)]
                expected.append((rows["observation"][at].tobytes(), tuple(earned), tuple(goes_on)))
            else:
                cut += 1
    assert cut or expected
    if not expected:
        assert found is None
        return
    assert found is not None
    reward, goes_on = real_futures(found, BEFORE)
    told = [
        (
            found.window.observation[BEFORE, place].numpy().tobytes(),
            tuple(reward[:, place, 0].tolist()),
            tuple(goes_on[:, place, 0].tolist()),
        )
        for place in range(reward.shape[1])
    ]
    assert sorted(told) == sorted(expected)


def test_the_newest_alone_are_drawn_and_the_same_seed_draws_the_same() -> None:
    world = registry.make("relay", count=2, parameters={}, permission=EVERYTHING)
    collector = collector_of(world)
    collect(collector, 100)
    replay = collector.replay
    few = futures(replay, newest=40)
    assert few is not None
    assert int(few.age.max()) <= 40
    one, same, other = (futures(replay, batch=5, seed=seed) for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert torch.equal(one.window.observation, same.window.observation)
    assert not torch.equal(one.window.observation, other.window.observation)
    assert futures(replay, newest=0) is None


@dataclass
class Oracle:
    """Imagines what came, times a factor; it is handed what a model would have to know.

    Where it is given actions it pays by them: `replayed` times what came if they are those that were taken, else
    nothing.
    """

    replay: Replay
    factor: float = 1.0
    replayed: float = 1.0
    ready: bool = True

    @property
    def learning(self) -> PolicySettings:
        return PolicySettings(horizon=AFTER, discount=0.9)

    def model_is_ready(self) -> bool:
        return self.ready

    def leading_rows(self, window: int) -> int:
        return BEFORE

    def imagine_after(
        self, seen: Batch, draws: RandomDraws, *, horizon: int, actions: Tensor | None = None
    ) -> ImaginedRollout:
        index, ring = seen.index.at(-1), self.replay.capacity
        places = [(index.place + step)[None] % ring for step in range(1, AFTER + 1)]
        future = [self.replay._window(index.copy, place) for place in places]
        reward, ended = (torch.cat([getattr(rows, name) for rows in future]) for name in ("reward", "terminated"))
        assert horizon == AFTER
        assert seen.window.first.shape[0] == BEFORE + 1
        if actions is None:
            factor: Tensor | float = self.factor
        else:
            factor = self.replayed * (actions == torch.cat([rows.action for rows in future]))
        nothing = torch.zeros(AFTER + 1, *reward.shape[1:], 1)
        return ImaginedRollout(
            features=(nothing,),
            action=nothing[1:, ..., 0],
            logits=nothing[1:],
            available=None,
            reward=factor * reward,
            continuation=(~ended).float(),
        )


def calibrated(replay: Replay, **changes: Any) -> dict[str, float]:
    found = calibrate(Oracle(replay, **changes), replay, seed=(3, 4), device=CPU)  # type: ignore[arg-type]  # the part of one that is asked
    return {} if found is None else found.metrics()


@pytest.fixture(scope="module")
def signals() -> Replay:
    world = registry.make("relay", count=3, parameters={}, permission=EVERYTHING)
    collector = collector_of(world)
    collect(collector, 60)
    return collector.replay


def test_a_rollout_of_what_came_is_calibrated_and_one_that_pays_double_is_not(signals: Replay) -> None:
    exact, double = calibrated(signals), calibrated(signals, factor=2.0)
    assert exact["imagination/imagined_return"] == pytest.approx(exact["imagination/real_return"])
    assert exact["imagination/imagined_length"] == pytest.approx(exact["imagination/real_length"])
    assert exact["imagination/return_correlation"] == pytest.approx(1.0)
    assert exact["imagination/return_error"] == pytest.approx(0.0, abs=1e-12)
    assert double["imagination/imagined_return"] == pytest.approx(2 * double["imagination/real_return"])
    assert double["imagination/real_return"] == exact["imagination/real_return"] != 0
    groups = [
        (exact[f"imagination/imagined_return_{k}"], exact[f"imagination/real_return_{k}"]) for k in range(1, GROUPS + 1)
    ]
    assert groups == sorted(groups)
    assert all(imagined == pytest.approx(earned) for imagined, earned in groups)


def test_what_the_model_pays_for_the_actions_that_were_taken_is_told_apart(signals: Replay) -> None:
    """Of a policy that exploits its model: all is well with its own actions, and nothing with the real ones."""
    exact, exploited = calibrated(signals), calibrated(signals, replayed=0.25)
    assert exact["imagination/replayed_return"] == pytest.approx(exact["imagination/real_return"])
    assert exact["imagination/replayed_length"] == pytest.approx(exact["imagination/real_length"])
    assert exact["imagination/replayed_return_error"] == pytest.approx(0.0, abs=1e-12)
    assert exploited["imagination/replayed_return"] == pytest.approx(0.25 * exploited["imagination/real_return"])
    assert exploited["imagination/replayed_correlation"] == pytest.approx(1.0)
    starts, spread = (exploited[f"imagination/{name}"] for name in ("starts", "real_return_deviation"))
    error = 0.75 * spread / np.sqrt(starts - 1)  # the spread is that of the starts, the error of what they are drawn of
    assert exploited["imagination/replayed_return_error"] == pytest.approx(error)
    own = {name: value for name, value in exploited.items() if "replayed" not in name}
    assert own == {name: value for name, value in exact.items() if "replayed" not in name}


def test_figures_of_three_starts_are_those_by_hand() -> None:
    def futures(*earned: float, length: float) -> Futures:
        return Futures(earned=np.array(earned), length=np.full(len(earned), length))

    found = Calibration(
        imagined=futures(2.0, 2.0, 2.0, length=4.0),
        replayed=futures(1.0, 2.0, 3.0, length=5.0),
        real=futures(2.0, 2.0, 5.0, length=3.0),
        age_steps=7.0,
    ).metrics()
    assert found["imagination/replayed_return"] == 2.0
    assert found["imagination/replayed_length"] == 5.0
    assert found["imagination/replayed_return_error"] == pytest.approx(1 / np.sqrt(3))
    assert found["imagination/replayed_correlation"] == pytest.approx(np.sqrt(3) / 2)
    assert "imagination/return_correlation" not in found, "what is the same everywhere goes along with nothing"


def test_what_is_measured_of_the_policy_is_what_it_was_before_there_was_another_rollout(signals: Replay) -> None:
    """Starts and draws of it follow from the seed alone, in this order."""
    training = small_settings("relay")
    world = registry.make("relay", count=1, parameters={}, permission=EVERYTHING)
    algorithm = make_algorithm(training, world, CPU)
    assert isinstance(algorithm, Mamba)
    algorithm.model_update_count = 10**6
    found = calibrate(algorithm, signals, seed=(3, 4), device=CPU)
    assert found is not None
    random, horizon = np.random.default_rng((3, 4)), algorithm.learning.horizon
    before = algorithm.leading_rows(signals.settings.window)
    batch = signals.futures(random, batch=STARTS, before=before, after=horizon, newest=NEWEST)
    assert batch is not None
    draws = RandomDraws(torch.Generator().manual_seed(int(random.integers(2**63))))
    rollout = algorithm.imagine_after(led_up_to(batch, before), draws, horizon=horizon)
    assert algorithm.learning.reward_sharing == "team"
    reward = rollout.reward.mean(-1, keepdim=True).expand_as(rollout.reward).double()
    earned = discounted_return(reward, rollout.continuation.double(), discount=algorithm.learning.discount)
    assert np.array_equal(found.imagined.earned, earned.mean(-1).numpy())
    assert not np.array_equal(found.imagined.earned, found.replayed.earned)


def test_of_one_start_neither_an_error_nor_a_spread_is_known() -> None:
    one = Futures(earned=np.array([1.0]), length=np.array([2.0]))
    found = Calibration(imagined=one, replayed=one, real=one, age_steps=0.0).metrics()
    assert found["imagination/real_return"] == found["imagination/replayed_return"] == 1.0
    unknown = {"return_error", "replayed_return_error", "real_return_deviation", "replayed_correlation"}
    assert not {f"imagination/{name}" for name in unknown} & set(found)


def test_nothing_is_measured_before_the_policy_learns_from_what_is_imagined(signals: Replay) -> None:
    assert calibrated(signals, ready=False) == {}


def test_individual_rewards_are_each_agents_own_until_its_end() -> None:
    reward = torch.tensor([[[1.0, 3.0]], [[1.0, 3.0]]])
    goes_on = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    alive = torch.tensor([[True, True]])
    from trainer.training.calibration import _futures

    def earned(sharing: str, alive: Tensor = alive) -> float:
        settings = PolicySettings(discount=0.5, reward_sharing=sharing)  # type: ignore[arg-type]  # one of two
        return float(_futures(reward, goes_on, alive, settings).earned[0])

    assert earned("individual") == pytest.approx((1.5 + 3.0) / 2)
    assert earned("team") == pytest.approx((2 * 1.5 + 2.0) / 2)
    assert earned("individual", torch.tensor([[True, False]])) == pytest.approx(1.5)


def test_what_was_seen_ends_with_the_starts(signals: Replay) -> None:
    found = futures(signals)
    assert found is not None
    seen = led_up_to(found, BEFORE)
    assert seen.window.first.shape == seen.inside.shape == (BEFORE + 1, len(found.weight))
    assert torch.equal(seen.window.observation[-1], found.window.observation[BEFORE])
