"""QMIX by itself: its mixer, its targets, its exploration, and which episodes it learns from."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_team import MADE_UP as TEAM
from replay_model import COPIES, SPEC, Episodes, replay_of

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from trainer.algorithms.qmix.epsilon_greedy import EpsilonGreedy
from trainer.algorithms.qmix.exploring import EPSILON, Exploring, epsilon_after, latest_epsilon
from trainer.algorithms.qmix.mixer import MonotonicMixer, SumMixer
from trainer.algorithms.qmix.qmix import Qmix
from trainer.algorithms.qmix.settings import ExplorationSettings, MixerSettings, QmixSettings, TdSettings
from trainer.algorithms.qmix.targets import TeamSteps, chosen_values, td_loss, td_targets, team_steps
from trainer.experience.batch import Batch
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.nets.means import Means
from trainer.policy.draws import RandomDraws

SMALL = {"hidden": 12, "recurrent": 10, "mixer": {"width": 6, "hypernetwork": 8}}


def mixer_of(seed: int, spec: EnvironmentSpec, *, hypernetwork: int = 8, state: str = "squashed") -> MonotonicMixer:
    torch.manual_seed(seed)
    settings = MixerSettings.model_validate({"width": 6, "hypernetwork": hypernetwork, "state": state})
    return MonotonicMixer(settings, spec, hidden=8)


@given(st.integers(0, 2**16), st.sampled_from([0, 8]), st.sampled_from([7, 0]), st.integers(0, 2), st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_teams_value_never_falls_where_an_agents_rises(
    seed: int, hypernetwork: int, state_size: int, agent: int, more: float
) -> None:
    spec = replace(TEAM, state_size=state_size)
    mixer, random = mixer_of(seed, spec, hypernetwork=hypernetwork), torch.Generator().manual_seed(seed)
    values, observation = 3 * torch.randn(20, 3, generator=random), torch.randn(20, 3, 5, generator=random)
    state = 3 * torch.randn(20, 7, generator=random) if state_size else None
    raised = values.clone()
    raised[:, agent] += more
    assert (mixer(raised, observation, state) >= mixer(values, observation, state) - 1e-4).all()


def test_every_agents_best_action_makes_the_best_joint_action() -> None:
    random = torch.Generator().manual_seed(3)
    for seed in range(20):
        mixer, values = mixer_of(seed, TEAM), torch.randn(3, 4, generator=random)
        joint = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [64, 3]
        state = torch.randn(1, 7, generator=random).expand(64, 7)
        team = mixer(values.gather(1, joint.t()).t(), torch.zeros(64, 3, 5), state)
        assert joint[team.argmax()].tolist() == values.argmax(1).tolist()


@pytest.mark.parametrize("hypernetwork", [0, 8])
@pytest.mark.parametrize("state_size", [7, 0])
@pytest.mark.parametrize("squashed", [True, False], ids=["squashed", "plain"])
def test_the_mixer_is_the_papers(hypernetwork: int, state_size: int, squashed: bool) -> None:
    """Written out number by number: absolute weights, ELU, a bias of one layer, a last one of two."""
    read_as = "squashed" if squashed else "plain"
    mixer = mixer_of(1, replace(TEAM, state_size=state_size), hypernetwork=hypernetwork, state=read_as)
    random = np.random.default_rng(0)
    values, observation, state = random.normal(size=3), random.normal(size=(3, 5)), random.normal(size=7)
    read = state if state_size else observation.reshape(-1)
    if squashed:
        read = np.array([np.log(1 + number) if number > 0 else -np.log(1 - number) for number in read])

    def layers(network: torch.nn.Sequential) -> np.ndarray:
        row = read
        linear = [module for module in network if isinstance(module, torch.nn.Linear)]
        for place, layer in enumerate(linear):
            row = layer.weight.detach().double().numpy() @ row + layer.bias.detach().double().numpy()
            row = row if place == len(linear) - 1 else np.maximum(row, 0)
        return row

    first, bias, last = layers(mixer.first_weights), layers(mixer.first_bias), layers(mixer.last_weights)
    total = 0.0
    for unit in range(6):
        inner = bias[unit] + sum(values[agent] * abs(first[agent * 6 + unit]) for agent in range(3))
        total += abs(last[unit]) * (inner if inner > 0 else np.expm1(inner))
    total += layers(mixer.last_bias)[0]
    given_state = torch.from_numpy(state).float() if state_size else None
    with torch.no_grad():
        found = mixer(torch.from_numpy(values).float(), torch.from_numpy(observation).float(), given_state)
    assert float(found) == pytest.approx(total, abs=1e-5)


def test_vdn_is_the_sum_whatever_the_state() -> None:
    values = torch.randn(4, 3)
    torch.testing.assert_close(SumMixer()(values, torch.randn(4, 3, 5), torch.randn(4, 7)), values.sum(-1))


def steps_by_hand(*, ended: bool) -> TeamSteps:
    """Three steps that earn 1, 2 and 3, in the first of two episodes; the second has one step, which earns 5."""
    return TeamSteps(
        taken=torch.tensor([[True, True], [True, False], [True, False]]),
        reward=torch.tensor([[1.0, 5.0], [2.0, 0.0], [3.0, 0.0]]),
        ended=torch.tensor([[False, True], [False, False], [ended, False]]),
    )


VALUE = torch.tensor([[10.0, 1.0], [20.0, 90.0], [30.0, 90.0], [40.0, 90.0]])


@pytest.mark.parametrize(
    ("trace", "ended", "expected"),
    [
        (0.0, True, [1 + 0.5 * 20, 2 + 0.5 * 30, 3]),
        (0.0, False, [1 + 0.5 * 20, 2 + 0.5 * 30, 3 + 0.5 * 40]),  # cut by time: the last row has a value
        (1.0, True, [1 + 0.5 * (2 + 0.5 * 3), 2 + 0.5 * 3, 3]),
        # 3; 2 + 0.5 (0.5 * 30 + 0.5 * 3) = 10.25; 1 + 0.5 (0.5 * 20 + 0.5 * 10.25) = 8.5625
        (0.5, True, [8.5625, 10.25, 3]),
    ],
)
def test_targets_are_those_made_by_hand(trace: float, ended: bool, expected: list[float]) -> None:
    steps = steps_by_hand(ended=ended)
    target = td_targets(steps, VALUE, TdSettings(discount=0.5, trace=trace))
    assert target[:, 0].tolist() == pytest.approx(expected)
    assert float(target[0, 1]) == 5.0
    loss = td_loss(torch.zeros(3, 2), target, steps.taken)
    assert float(loss) == pytest.approx((sum(each**2 for each in expected) + 25) / 4)


def test_who_is_gone_has_no_value_and_an_illegal_action_is_never_the_best() -> None:
    values = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert chosen_values(values, torch.tensor([[2, 0]]), torch.tensor([[True, False]])).tolist() == [[3.0, 0.0]]
    legal = torch.tensor([[[True, True, False], [True, False, False]]])
    masked = EpsilonGreedy(3).masked(values, legal)
    assert masked.argmax(-1).tolist() == [[1, 0]]


def played(world: str, **changes: Any) -> tuple[Qmix, Replay]:
    """A team that has not learned, and what it has done in a world of episodes of all lengths and ends."""
    environment = registry.make(world, count=4, permission=EVERYTHING)
    torch.manual_seed(0)
    algorithm = Qmix(QmixSettings.model_validate(SMALL | changes), environment.spec, device=torch.device("cpu"))
    rows = ReplaySettings(capacity=800, window=2, batch=16, minimum=1, absorbing_rows=2)
    replay = Replay(rows, environment.spec, copies=4, columns=algorithm.columns())
    collector = Collector(environment, algorithm.behaviour(), replay, seed=5, device=torch.device("cpu"))
    collector.collect(40, algorithm.behaviour())
    collector.commit()
    return algorithm, replay


def test_steps_are_those_that_agents_made_and_the_end_of_all_is_the_only_end() -> None:
    _, replay = played("waiting_game:make")
    batch = replay.episodes(np.random.default_rng(0), batch=60)
    window, steps = batch.window, team_steps(batch, TdSettings(reward_scale=2.0))
    assert window.first[0].all()
    assert not window.first[1:].any()
    for episode in range(60):
        seed = round(float(window.observation[0, episode, 0, 0]) * 1000)
        taken = steps.taken[:, episode]
        length = int(taken.sum())
        assert taken[:length].all()
        assert window.observation[: length + 1, episode, 0, 1].tolist()[:length] == list(range(length))
        assert steps.ended[: length - 1, episode].sum() == 0
        cut = bool(window.present[length, episode].any())
        assert bool(steps.ended[length - 1, episode]) == (not cut)
        torch.testing.assert_close(steps.reward[:length, episode], 2 * window.reward[1 : length + 1, episode].mean(-1))
        assert seed >= 0
    assert steps.taken.sum(0).unique().numel() >= 3
    assert steps.ended.any(0).float().mean() not in (0.0, 1.0)


def test_the_online_network_chooses_what_the_target_network_values() -> None:
    algorithm, replay = played("waiting_game:make", mixer={"kind": "sum"})
    torch.manual_seed(9)
    for values in algorithm.target.parameters():
        torch.nn.init.normal_(values, std=0.5)
    batch = replay.episodes(np.random.default_rng(0))
    window, steps = batch.window, team_steps(batch, algorithm.settings.td)
    with torch.no_grad():
        value, target = algorithm.values_and_targets(window, steps)
        online, theirs = algorithm.team.agent_values(window), algorithm.target.agent_values(window)
    differ = 0
    for row, episode in steps.taken.nonzero().tolist():
        done, following = 0.0, 0.0
        for agent in range(2):
            if window.present[row, episode, agent]:
                done += float(online[row, episode, agent, window.action[row + 1, episode, agent]])
            if window.present[row + 1, episode, agent]:
                best = int(online[row + 1, episode, agent].argmax())
                following += float(theirs[row + 1, episode, agent, best])
                differ += best != int(theirs[row + 1, episode, agent].argmax())
        expected = float(steps.reward[row, episode]) + (0 if steps.ended[row, episode] else 0.99 * following)
        assert float(value[row, episode]) == pytest.approx(done, abs=1e-5)
        assert float(target[row, episode]) == pytest.approx(expected, abs=1e-4)
    assert differ > 5


def test_the_values_that_are_learned_are_those_that_were_acted_by() -> None:
    """Along whole episodes the recurrent states are those that agents carried."""
    algorithm, replay = played("waiting_game:make", exploration={"begin": 0.0, "end": 0.0})
    batch = replay.episodes(np.random.default_rng(0))
    taken = team_steps(batch, TdSettings()).taken
    best = algorithm.team.agent_values(batch.window)[:-1].argmax(-1)
    acted = taken.unsqueeze(-1) & batch.window.present[:-1]
    assert torch.equal(best[acted], batch.window.action[1:][acted])


@pytest.mark.parametrize(("share", "every"), [(1.0, 2), (0.25, 1)])
def test_the_target_network_is_renewed_at_once_or_softly(share: float, every: int) -> None:
    algorithm, replay = played("waiting_game:make", td={"target_every": every, "target_share": share})
    before = [each.clone() for each in algorithm.target.parameters()]
    random = np.random.default_rng(0)
    algorithm.learn(replay.episodes(random), Means())
    if every == 2:
        assert all(torch.equal(*pair) for pair in zip(before, algorithm.target.parameters(), strict=True))
        algorithm.learn(replay.episodes(random), Means())
    for old, now, online in zip(before, algorithm.target.parameters(), algorithm.team.parameters(), strict=True):
        torch.testing.assert_close(now, old + share * (online - old))


def test_epsilon_falls_over_the_steps_of_all_copies_and_is_noted_in_every_row() -> None:
    schedule = ExplorationSettings(begin=1.0, end=0.2, steps=80)
    assert [epsilon_after(steps, schedule) for steps in (0, 40, 80, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    _, replay = played("waiting_game:make", exploration=schedule.model_dump())
    noted = replay.newest_window(800)
    assert noted is not None
    acted = ~noted.first & noted.present.any(-1)
    expected = np.array([epsilon_after(4 * step, schedule) for step in range(40)])
    for epsilon in noted.columns[EPSILON][acted].unique().tolist():
        assert np.abs(expected - epsilon).min() < 1e-6
    assert latest_epsilon(replay) == pytest.approx(0.2)
    empty = Replay(replay.settings, registry.make("relay", count=1).spec, copies=4, columns=replay.columns)
    assert latest_epsilon(empty) == 0.0


def test_actions_are_drawn_as_often_as_epsilon_says_and_only_legal_ones() -> None:
    actions = EpsilonGreedy(4, 0.3)
    values = actions.masked(torch.tensor([5.0, 9.0, 1.0, 7.0]), torch.tensor([True, False, True, True]))
    expected = [0.1, 0.0, 0.1, 0.8]
    assert actions.probabilities(values).tolist() == pytest.approx(expected)
    drawn = RandomDraws(torch.Generator().manual_seed(0)).action(values.expand(20_000, 4), actions)
    counts = torch.bincount(drawn, minlength=4).numpy()
    assert counts[1] == 0
    deviation = np.sqrt(20_000 * np.array(expected) * (1 - np.array(expected)))
    assert (np.abs(counts - 20_000 * np.array(expected)) <= 4 * deviation).all()
    assert int(actions.mode(values)) == 3
    assert float(actions.entropy(values)) == pytest.approx(-(0.2 * np.log(0.1) + 0.8 * np.log(0.8)))
    assert float(actions.log_probability(values, torch.tensor(3))) == pytest.approx(np.log(0.8))


def test_exploring_a_copy_of_the_network_keeps_its_own_count() -> None:
    algorithm, _ = played("waiting_game:make")
    team: Exploring = algorithm.behaviour()
    state = team.initial_state(3)
    shown = {
        "observation": torch.zeros(3, 2, 4),
        "action_mask": torch.ones(3, 2, 3, dtype=torch.bool),
        "hears": None,
        "first": torch.ones(3, dtype=torch.bool),
    }
    for step in range(4):
        assert state.steps.tolist() == [step] * 3
        _, state = team.act(state, **shown, draws=RandomDraws())


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, COPIES - 1), st.integers(1, 9), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_episodes_from_replay_are_whole_and_there_are_no_others(writes: list[tuple[int, int, bool]]) -> None:
    replay = replay_of()
    written = Episodes(replay)
    wholes: list[list[list[int]]] = [[] for _ in range(COPIES)]
    for copy, length, lost in writes:
        begun = written.serial
        for row in range(length):
            written.write(copy, first=row == 0)
        if lost:
            written.lose(copy)
        else:
            wholes[copy].append(list(range(begun, written.serial)))
    expected = set()
    for copy in range(COPIES):
        intact = written.intact(copy)
        # The last one that was begun is over only when another begins.
        expected |= {tuple(rows) for rows in wholes[copy][:-1] if set(rows) <= set(intact)}
    assert replay.whole_episodes() == len(expected)
    if not expected:
        return
    batch: Batch = replay.episodes(np.random.default_rng(0), batch=400)
    serials, found = batch.window.observation[:, :, 0, 1].long(), set()
    assert batch.inside[0].all()
    for column, inside in zip(serials.t(), batch.inside.t(), strict=True):
        length = int(inside.sum())
        assert (column[length:] == column[length - 1]).all(), "its last row is repeated"
        found.add(tuple(column[:length].tolist()))
    assert found == expected
    assert bool(batch.inside[-1].any()), "as long as the longest and no longer"


def test_a_replay_in_which_no_episode_fits_is_told() -> None:
    algorithm = Qmix(QmixSettings.model_validate(SMALL), SPEC, device=torch.device("cpu"))
    replay = replay_of(columns=algorithm.columns())
    written = Episodes(replay)
    random = np.random.default_rng(0)
    written.write(0, first=True)
    assert algorithm.update(replay, random) == {}
    for copy in range(COPIES):
        for _ in range(replay.capacity + 1):
            written.write(copy, first=False)
    with pytest.raises(SettingsError, match="12 rows per copy, in which no episode is whole"):
        algorithm.update(replay, random)
