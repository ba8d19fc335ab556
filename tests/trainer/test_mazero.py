"""MAZero beyond its golden numbers: its variants, what it acts on and learns from, runs that go on, teams that are
silent."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mazero_team import SEEING, SPEC, mazero
from tiny_team import SMALL_MAZERO, small_settings, start

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import SettingsError, TrainingError
from trainer.algorithms.mazero.found import found_by, tempered
from trainer.algorithms.mazero.loss import Unrolled, mazero_loss, unroll
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.outweighing import Outweighing
from trainer.algorithms.mazero.planning import PlanningModel, planned
from trainer.algorithms.mazero.self_play import temperature
from trainer.algorithms.mazero.settings import MazeroLossSettings, SelfPlaySettings
from trainer.algorithms.mazero.targets import advantages, value_targets
from trainer.algorithms.mazero.windows import Steps, steps_of
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows
from trainer.experience.settings import ReplaySettings
from trainer.policy.draws import GreedyDraws
from trainer.search.draws import RandomDraws
from trainer.training.preset import load_settings


def agent_inputs(**changes: Any) -> dict[str, Any]:
    return {
        "observation": torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(1)),
        "action_mask": torch.ones(1, 3, 4, dtype=torch.bool),
        "hears": None,
        "first": torch.ones(1, dtype=torch.bool),
        "draws": GreedyDraws(),
    } | changes


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize(("structure", "others"), [("communicating", True), ("separate", False), ("flat", True)])
def test_a_next_state_depends_on_the_others_where_the_structure_says_so_and_a_policy_never_does(
    structure: str, others: bool, shared: bool
) -> None:
    model = mazero(model={"structure": structure, "shared": shared}).model
    seen, action = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 0, 1]])
    hidden, other_action = model.represent(seen), action.clone()
    other_action[:, 1] = 3
    changed = model.advance(hidden, action).hidden != model.advance(hidden, other_action).hidden
    assert changed.flatten(2).any(-1).tolist() == [[others, True, others]] * 2
    seen[:, 1] = torch.randn(2, 5)
    policies = model.policy_logits(hidden), model.policy_logits(model.represent(seen))
    assert (policies[0] != policies[1]).any(-1).tolist() == [[False, True, False]] * 2
    own = model.policy_logits(model.represent(seen[:, :1].expand(2, 3, 5)))
    assert torch.equal(own[:, 0], own[:, 1]) == shared


def test_an_agent_sees_its_last_frames_its_last_action_and_who_it_is_where_the_settings_say_so() -> None:
    bare, seeing = mazero().policy(), mazero(model=SEEING).policy()
    for team, remembers in ((bare, False), (seeing, True)):
        before = team.act(team.initial_state(1), **agent_inputs())[1]
        again = agent_inputs(first=torch.zeros(1, dtype=torch.bool), observation=torch.ones(1, 3, 5))
        other = replace(before, done=(before.done + 1) % 4)
        frames = [team.act(state, **again)[1].frames for state in (before, other)]
        assert torch.equal(*frames) != remembers
        fresh = [team.act(state, **agent_inputs())[1].frames for state in (before, team.initial_state(1))]
        assert torch.equal(*fresh), "nothing is left of an episode before"
    assert seeing.initial_state(1).frames.shape == (1, 3, 3, 5 + 4)


@pytest.mark.parametrize("model", [{}, SEEING], ids=["bare", "seeing"])
def test_what_is_learned_from_is_what_was_acted_on(model: dict[str, Any]) -> None:
    world = registry.make("relay", count=3, parameters={"cue": "own"}, permission=EVERYTHING)
    algorithm = mazero(world.spec, model=model, targets={"steps": 2})
    replay_settings = ReplaySettings(capacity=300, window=2, batch=40, minimum=1, absorbing_rows=0)
    replay = Replay(replay_settings, world.spec, copies=3, columns=algorithm.columns())
    searched: dict[bytes, np.ndarray] = {}
    behaviour = algorithm.behaviour()
    find = type(behaviour).searched

    class Watched(type(behaviour)):  # type: ignore[misc]  # its class is known at run time alone
        def searched(self, frames: torch.Tensor, *rest: Any, **more: Any) -> Any:
            found = find(self, frames, *rest, **more)
            for prediction, each in zip(found.tree.prediction[:, 0], frames, strict=True):
                searched[prediction.numpy().tobytes()] = each.flatten(1).numpy()
            return found

    watched = Watched(**vars(behaviour))
    collector = Collector(world, watched, replay, seed=0, device=torch.device("cpu"))
    collector.collect(25, watched)
    collector.commit()
    steps = steps_of(algorithm.sample(replay, np.random.default_rng(0)), algorithm.settings, world.spec.actions)
    width, compared = next(iter(searched.values())).shape[1], 0
    for row, window in steps.taken.nonzero().tolist():
        acted_on = searched[steps.found["search.prediction"][row, window].numpy().tobytes()]
        assert np.array_equal(steps.seen[row, window, :, :width].numpy(), acted_on)
        compared += 1
    assert compared > 100


@pytest.mark.slow
@pytest.mark.arrays
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_value_targets_are_those_of_a_loop_over_steps(data: st.DataObject) -> None:
    algorithm = mazero(targets={"steps": 4, "stale_after": 10.0})
    unrolled, horizon = 3, 4
    rows = unrolled + horizon + 1
    length, dies = data.draw(st.integers(1, rows + 2)), data.draw(st.booleans())
    absorbing, age = data.draw(st.integers(0, 2)) * dies, data.draw(st.integers(1, 60))
    rewards = data.draw(st.lists(st.floats(-3, 3, width=32), min_size=rows, max_size=rows))
    steps = made_steps(algorithm, rewards=rewards, length=length, dies=dies, absorbing=absorbing, age=age)
    ours = value_targets(steps, algorithm.delayed, algorithm.settings)[:, 0]
    values = algorithm.delayed.values(algorithm.delayed.represent(steps.seen[:, 0])).tolist()
    count = max(1, min(horizon, horizon - age // 10))
    for row, found in enumerate(ours.tolist()):
        if row >= length:
            assert found == (0.0 if dies else pytest.approx(values[min(row, rows - 1)], abs=1e-5))
            continue
        expected, end = 0.0, min(row + count, length)
        for at in range(row, end):
            expected += 0.99 ** (at - row) * rewards[at]
        expected += 0.0 if dies and end == length else 0.99 ** (end - row) * values[end]
        assert found == pytest.approx(expected, abs=1e-4)


# Six parameters: what kind of episode it is.
def made_steps(
    algorithm: Mazero, *, rewards: list[float], length: int, dies: bool, absorbing: int = 0, age: int = 1
) -> Steps:
    """One window from the beginning of what `made_replay` holds."""
    replay = made_replay(algorithm, rewards=rewards, length=length, dies=dies, absorbing=absorbing)
    batch = replace(replay.sample(FirstStart(), length=len(rewards), pad=True), age=torch.tensor([age]))
    return steps_of(batch, algorithm.settings, SPEC.actions)


def made_replay(algorithm: Mazero, *, rewards: list[float], length: int, dies: bool, absorbing: int = 0) -> Replay:
    """One episode of `length` steps, which a time limit ends unless the team dies."""
    replay_settings = ReplaySettings(capacity=80, window=2, batch=1, minimum=1)
    replay = Replay(replay_settings, SPEC, copies=1, columns=algorithm.columns())
    rows = empty_rows(SPEC, length + 1 + absorbing + 1, columns=replay.columns)
    random = np.random.default_rng(length)
    rows.observation[:] = random.normal(size=rows.observation.shape)
    rows.action_mask[:], rows.present[: length + 1] = True, True
    rows.first[[0, -1]] = True
    rows.reward[1 : length + 1] = np.array([*rewards, *rewards])[:length, None]
    rows.terminated[length : length + 1 + absorbing] = dies
    replay.add(np.zeros(len(rows.first), dtype=np.int64), rows)
    return replay


class FirstStart:
    """A random generator that takes what comes first."""

    def integers(self, high: int, size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)


def reward_gradient(algorithm: Mazero, steps: Steps) -> torch.Tensor:
    """Of the reward head's last layer."""
    targets = algorithm.targets(steps)
    unrolled = unroll(algorithm.model, steps, algorithm.settings.unroll)
    loss = mazero_loss(algorithm.model, steps, unrolled, targets, algorithm.settings.loss)
    (gradient,) = torch.autograd.grad(loss.reward.sum(), [algorithm.model.reward[-1].weight])
    return gradient


def test_a_reward_of_zero_teaches_unless_the_published_rows_are_asked_for() -> None:
    gradients = {}
    for rows in ("sound", "published"):
        algorithm = mazero(loss={"two_hot": rows}, targets={"steps": 4})
        gradients[rows] = reward_gradient(algorithm, made_steps(algorithm, rewards=[0.0] * 8, length=12, dies=True))
    assert gradients["sound"].abs().max() > 0
    assert gradients["published"].abs().max() == 0


@pytest.mark.parametrize(
    ("dies", "beyond", "terms"), [(True, "absorbing", 3), (True, "masked", 1), (False, "absorbing", 1)]
)
def test_after_the_end_rewards_are_zero_or_unknown_and_after_a_time_limit_they_are_always_unknown(
    dies: bool, beyond: str, terms: int
) -> None:
    algorithm = mazero(loss={"beyond_end": beyond}, targets={"steps": 4})
    steps = made_steps(algorithm, rewards=[1.0] * 8, length=1, dies=dies)
    unrolled = unroll(algorithm.model, steps, 3)
    loss = mazero_loss(algorithm.model, steps, unrolled, algorithm.targets(steps), algorithm.settings.loss)
    assert int((loss.reward[:, 0] != 0).sum()) == terms
    assert int((loss.policy[:, 0] != 0).sum()) == 1
    assert (loss.consistency[:, 0] != 0).tolist() == [True, False, False], "the closing observation is the last one"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_windows_is_searched_anew_and_the_others_learn_what_was_found_when_they_were_played(
    share: float,
) -> None:
    algorithm = mazero(targets={"steps": 4, "reanalyse": share})
    one = made_steps(algorithm, rewards=[1.0] * 8, length=12, dies=True)

    def many(value: torch.Tensor) -> torch.Tensor:
        return value.repeat_interleave(4, dim=0 if value.dim() == 1 else 1)

    steps = replace(
        one,
        **{name: many(value) for name, value in vars(one).items() if name != "found"},
        found={name: many(column) for name, column in one.found.items()},
    )
    found = algorithm.targets(steps).policy
    assert found.valid.any(-1).all(0).tolist() == [True] * round(4 * share) + [False] * round(4 - 4 * share)


def test_advantages_have_no_mean_and_one_deviation_over_what_was_sampled_in_the_whole_batch() -> None:
    algorithm = mazero(targets={"steps": 4})
    found = algorithm.targets(made_steps(algorithm, rewards=[1.0] * 8, length=12, dies=True)).policy
    normalised, raw = advantages(found, normalised=True)[found.valid], advantages(found, normalised=False)
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalised.std(correction=0)) == pytest.approx(1, abs=1e-3)
    assert torch.equal(raw[found.valid], (found.q - found.prediction.unsqueeze(-1))[found.valid])


def test_a_support_that_the_targets_outgrow_is_told_once_and_again_when_twice_as_many_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    algorithm = mazero()
    small, large = torch.zeros(50), torch.full((50,), 80.0)
    with caplog.at_level(logging.WARNING):
        shares = [
            algorithm._clipping.see(algorithm.model, value=values, reward=small)
            for values in (small, torch.cat([large[:5], small[:45]]), torch.cat([large[:7], small[:43]]), large)
        ]
    assert shares == pytest.approx([0.0, 0.05, 0.07, 0.5])
    assert [record.message.split("share=")[1].split()[0] for record in caplog.records] == ["0.050", "0.500"]
    assert all("widen mazero.model.value_support" in record.message for record in caplog.records)


def test_actions_are_drawn_from_visits_at_temperatures_that_follow_one_another() -> None:
    play = SelfPlaySettings(temperatures=(1.0, 0.5, 0.25), temperature_updates=30)
    assert [temperature(play, updates) for updates in (0, 9, 10, 19, 20, 1000)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("waits", [False, True], ids=["newest", "waiting"])
def test_the_delayed_network_is_renewed_with_the_newest_weights_or_those_of_one_renewal_before(waits: bool) -> None:
    algorithm = mazero(target_every=2, target_waits=waits)
    weight = algorithm.model.value[-1].bias
    delayed = []
    for update in range(1, 7):
        with torch.no_grad():
            weight.fill_(update)
        algorithm.learned.updates = update
        algorithm._renew()
        delayed.append(float(algorithm.delayed.value[-1].bias[0]))
    assert delayed == ([0, 0, 0, 2, 2, 4] if waits else [0, 2, 2, 4, 4, 6])


def test_settings_that_cannot_be_are_refused_in_a_sentence() -> None:
    for override, told in (
        ("model.heads=3", "hidden is 128, which 3 heads do not divide"),
        ("model.value_support={low=5, high=-5}", "a support from 5 to -5 has no two bins"),
        ("play.temperatures=[]", "at least 1 item"),
    ):
        with pytest.raises(SettingsError, match=told):
            load_settings("relay", ["algorithm=mazero", f"mazero.{override}"])


def test_a_world_with_continuous_actions_is_refused_in_a_sentence(tmp_path: Path) -> None:
    chosen = small_settings(
        "relay",
        "algorithm=mazero",
        "environment.id=steering_team:make",
        "environment.parameters={}",
        small=SMALL_MAZERO,
    )
    with pytest.raises(SettingsError, match="mazero knows discrete actions alone"):
        start(tmp_path / "run", chosen)


def test_a_model_that_is_broken_is_told_by_the_search_that_meets_it() -> None:
    algorithm = mazero()
    with torch.no_grad():
        algorithm.model.reward[-1].bias[0] = torch.nan
    team = algorithm.searching_policy(torch.Generator())
    state = team.initial_state(1)
    with pytest.raises(TrainingError, match="not finite in simulation 1 of root 0"):
        team.act(state, **agent_inputs())


@pytest.mark.slow
def test_a_search_finds_the_same_whenever_it_begins_with_the_same_numbers() -> None:
    algorithm = mazero()
    teams = [algorithm.searching_policy(torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)]
    found = [team.act(team.initial_state(1), **agent_inputs())[1] for team in teams]
    assert torch.equal(found[0].q, found[1].q)
    assert not torch.equal(found[0].q, found[2].q)


@pytest.mark.parametrize("root", ["puct", "halving"])
def test_a_joint_action_without_visits_is_worth_nothing_as_released_or_what_the_root_is_under_halving(
    root: str,
) -> None:
    algorithm = mazero(search={"simulations": 3, "samples": 4, "root": root}, targets={"steps": 4})
    seen, legal = torch.randn(20, 3, 5), torch.ones(20, 3, 4, dtype=torch.bool)
    chosen = algorithm.settings.search
    planning, draws = PlanningModel(model=algorithm.model), RandomDraws(torch.Generator().manual_seed(0))
    result = planned(planning, planning.root(seen, legal), chosen, draws, noise=True).result()
    found = found_by(result, chosen)
    unvisited = result.valid & (result.visits == 0)
    advantage = advantages(found, normalised=False)
    expected = torch.zeros_like(found.prediction) if root == "halving" else -found.prediction
    assert int(unvisited.sum()) >= 10
    assert torch.equal(advantage[unvisited], expected.unsqueeze(-1).expand_as(advantage)[unvisited])
    visited = result.visits > 0
    assert torch.equal(found.q[visited], result.q[visited])
    assert not found.q[~found.valid].any()


def test_an_advantage_that_outweighs_all_else_is_told_once_and_again_when_it_is_ten_times_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    algorithm = mazero(targets={"steps": 4}, loss={"alpha": 2.0})
    found = algorithm.targets(made_steps(algorithm, rewards=[1.0] * 8, length=4, dies=True))
    outweighing, chosen = Outweighing(), algorithm.settings.loss

    def seen(advantage: float, settings: MazeroLossSettings = chosen) -> float:
        rest = torch.where(found.policy.valid, -1.0, 99.0)  # what is not valid counts for nothing
        rest[tuple(found.policy.valid.nonzero()[0])] = advantage
        return outweighing.see(replace(found, advantage=rest), settings)

    with caplog.at_level(logging.WARNING):
        assert [seen(each) for each in (0.0, 9.0, 10.0, 11.0, 14.0)] == pytest.approx(
            [math.exp(each / 2) for each in (0.0, 9.0, 10.0, 11.0, 14.0)]
        )
        assert seen(99.0, chosen.model_copy(update={"weight_clip": 3.0})) == 3
        assert seen(99.0, chosen.model_copy(update={"policy": "bc"})) == 1, "all alike"
        none = replace(found.policy, valid=torch.zeros_like(found.policy.valid))
        assert outweighing.see(replace(found, policy=none), chosen) == 1
    assert [record.message.split("factor=")[1].split()[0] for record in caplog.records] == ["148.4"]
    assert "set mazero.loss.weight_clip" in caplog.records[0].message
    with caplog.at_level(logging.WARNING):
        seen(15.0)
    assert len(caplog.records) == 2


def test_metrics_are_of_steps_and_legal_actions_and_in_the_rewards_of_the_world() -> None:
    narrow = {"value_support": {"low": -1, "high": 1}, "reward_support": {"low": -1, "high": 1}}
    algorithm = mazero(targets={"steps": 4, "reward_scale": 10.0}, model=narrow)
    replay = made_replay(algorithm, rewards=[1.0] * 8, length=1, dies=True)
    replay._rows.action_mask[..., 1:] = False
    told = algorithm.learn(replay.sample(FirstStart(), length=8, pad=True), replay)
    assert told["policy/return"] == pytest.approx(1.0), "not 10, and no zeros of after the end"
    assert told["policy/entropy"] == 0, "there was no choice"
    assert told["model/clipped_targets"] == 1
    assert told["policy/largest_weight"] == 1, "and no advantage"


def test_what_a_support_cannot_hold_is_no_error_unless_the_published_rows_are_asked_for() -> None:
    priorities = {}
    for rows in ("sound", "published"):
        algorithm = mazero(loss={"two_hot": rows}, targets={"steps": 4})
        steps = made_steps(algorithm, rewards=[1.0] * 8, length=1, dies=True)
        targets = replace(algorithm.targets(steps), value=torch.full((4, 1), 90.0))
        certain = torch.full((4, 1, 11), -1e4)
        certain[..., -1] = 1e4
        unrolled = unroll(algorithm.model, steps, 3)
        said = Unrolled(**vars(unrolled) | {"value": certain})
        priorities[rows] = float(algorithm.priorities(said, targets))
    end = float(algorithm.model.value_support.within(torch.tensor(90.0)))
    assert priorities == {"sound": pytest.approx(1e-6, abs=1e-5), "published": pytest.approx(90 - end, abs=1e-4)}
    assert end == pytest.approx(34.6, abs=0.1)


def test_shares_of_visits_at_a_low_temperature_are_certain_and_never_none() -> None:
    shares = torch.tensor([[0.25, 0.5, 0.25], [0.4, 0.4, 0.2]])
    assert tempered(shares, 0.002).tolist() == [[0, 1, 0], [0.5, 0.5, 0]]
    assert torch.allclose(tempered(shares, 1.0), shares)
