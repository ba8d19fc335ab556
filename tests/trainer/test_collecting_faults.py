"""Simulators that die, cannot repeat an episode or break their contract: what the collector makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collecting import collect, collector_of, episodes_in
from losing_relay import LOSSES
from tiny_team import resume, small_settings, start

from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE, Entry
from heliograph.environments.vector import AgentInputs, Transition, VectorEnvironment
from heliograph.errors import WorldError
from heliograph.seeds import episode_seed
from trainer.experience.collector import LOST_AT_MOST
from trainer.training.run_folder import RunFolder
from trainer.training.summary import in_words

Losing = Callable[[int, Iterable[int]], VectorEnvironment]
LENGTH = 6
"""Steps of an episode of relay; a lost one makes two."""
LOST = (0, 2, 5, 6, 9)
"""Episodes that are lost with their simulator."""


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Losing:
    """Makes so many copies of relay in which the episodes of a run with seed 7 are lost that have these numbers."""

    def make(count: int, lost: Iterable[int]) -> VectorEnvironment:
        for number in lost:
            monkeypatch.setitem(LOSSES, episode_seed(run_seed=7, episode=number), 1)
        return registry.make("losing-relay", count=count)

    entry = Entry(summary="dies", adapter="losing_relay:LosingRelay", settings=CATALOGUE["relay"].settings)
    monkeypatch.setitem(CATALOGUE, "losing-relay", entry)
    return make


@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_rows_of_a_lost_episode_leave_replay_whether_they_were_there_already_or_not(losing: Losing, steps: int) -> None:
    collector = collector_of(losing(3, LOST))
    parts = [collect(collector, steps) for _ in range(30 // steps)]
    assert collector.lost_episodes == parts[-1].lost_episodes == len(LOST)
    episodes = list(episodes_in(collector.replay))
    assert len(episodes) == collector.episodes_started - len(LOST)
    assert all(episode.steps == LENGTH for episode in episodes if not episode.running)
    lengths = [length for part in parts for length in part.length]
    assert lengths == [LENGTH] * sum(not episode.running for episode in episodes)
    assert np.isfinite([value for part in parts for value in part.outcome + part.team_return]).all()
    assert collector.env_steps == 90, "a simulator's work counts, whatever comes of it"
    alone = registry.make("relay", count=1)
    begun = {row.tobytes() for row in (episode.rows["observation"][0] for episode in episodes)}
    for number in range(collector.episodes_started):
        shown = alone.reset(np.array([episode_seed(run_seed=7, episode=number)])).observation[0]
        assert (shown.tobytes() in begun) == (number not in LOST)


def test_a_simulator_that_only_dies_stops_the_run(losing: Losing) -> None:
    collector = collector_of(losing(2, range(100)))
    with pytest.raises(WorldError, match=f"relay.*{2 * LOST_AT_MOST + 2} episodes in a row were lost"):
        collect(collector, 100)


def test_losses_in_a_row_are_counted_from_the_last_episode_that_ended(losing: Losing) -> None:
    """The fourth ends, so as many more must be lost as if nothing had been before."""
    collector = collector_of(losing(1, {*range(3), *range(4, 100)}))
    with pytest.raises(WorldError, match=f"{LOST_AT_MOST + 1} episodes in a row were lost"):
        collect(collector, 200)
    assert collector.lost_episodes == 3 + LOST_AT_MOST + 1


class Changed(VectorEnvironment):
    """Relay, changed on the way out by `change`, which gets the inputs or transition and the step since the reset."""

    def __init__(self, change: Callable[[Any, int], Any], *, count: int = 2) -> None:
        self.count, self._change, self._step = count, change, 0
        self._inner = registry.make("relay", count=count)
        self._spec = self._inner.spec

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> AgentInputs:
        return self._inner.reset(seeds, copies)

    def step(self, actions: np.ndarray) -> Transition:
        self._step += 1
        return self._change(self._inner.step(actions), self._step)


def test_a_world_that_announced_a_state_and_has_none_is_told_so() -> None:
    with pytest.raises(WorldError, match=r"adapter of 'relay': no state, though 36 numbers"):
        collector_of(Changed(lambda transition, _step: transition), keeps_state=True)


def perceived(transition: Transition, **changes: Any) -> Transition:
    return replace(transition, agent_inputs=replace(transition.agent_inputs, **changes))


def broken(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[1, 0] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: perceived(t, observation=broken(t.agent_inputs.observation, np.nan)),
            "'observation' of agent 0 in copy",
        ),
        (lambda t: replace(t, reward=broken(t.reward, -np.inf)), "'reward' of agent 0 in copy 1"),
        (lambda t: perceived(t, observation=t.agent_inputs.observation[..., :-1]), r"'observation' has shape \(2, 2, "),
        (lambda t: perceived(t, action_mask=t.agent_inputs.action_mask[:1]), r"'action_mask' has shape \(1, 2, 5\)"),
        (lambda t: perceived(t, hears=t.agent_inputs.hears[:, 0]), r"'hears' has shape \(2, 2\)"),
        (lambda t: perceived(t, present=t.agent_inputs.present[:, :1]), r"'present' has shape \(2, 1\)"),
        (lambda t: replace(t, reward=t.reward[:, :1]), r"'reward' has shape \(2, 1\)"),
    ],
)
def test_a_broken_contract_is_told_with_adapter_and_field(change: Callable[[Transition], Any], message: str) -> None:
    collector = collector_of(Changed(lambda transition, step: change(transition) if step == 3 else transition))
    with pytest.raises(WorldError, match=f"adapter of 'relay': field {message}"):
        collect(collector, 5)


def test_what_a_dead_simulator_shows_need_not_be_finite() -> None:
    def die(transition: Transition, step: int) -> Transition:
        if step != 3:
            return transition
        lost = np.array([False, True])
        nothing = perceived(transition, observation=broken(transition.agent_inputs.observation, np.nan))
        outcome = np.full(2, np.nan, dtype=np.float32)
        return replace(nothing, lost=lost, over=lost, outcome=outcome, reward=broken(transition.reward, np.nan))

    collector = collector_of(Changed(die))
    collect(collector, 3)
    assert collector.lost_episodes == 1
    assert np.isfinite(collector.replay.state()["observation"]).all()
    assert np.isfinite(collector.replay.state()["reward"]).all()


def test_an_episode_that_cannot_be_repeated_is_lost_when_the_run_is_resumed(caplog: pytest.LogCaptureFixture) -> None:
    saved = collector_of(registry.make("relay", count=2))
    collect(saved, 3)
    state, rows = saved.state(), {name: array.copy() for name, array in saved.replay.state().items()}

    def drift(transition: Transition, step: int) -> Transition:
        """Copy 1 comes to another place than it did."""
        return perceived(transition, observation=broken(transition.agent_inputs.observation, 0.5))

    resumed = collector_of(Changed(drift))
    resumed.replay.restore(rows)
    resumed.restore(state)
    resumed.rerun_episodes()
    assert resumed.lost_episodes == 1
    assert "copies=[1]" in caplog.text
    assert [len(resumed.replay.running_actions(copy)) for copy in range(2)] == [3, 0]
    assert resumed.episodes_started == saved.episodes_started + 1


@pytest.mark.slow
@pytest.mark.parametrize("overlap", ["false", "true"])
def test_a_run_goes_on_without_the_episodes_that_it_lost(tmp_path: Path, losing: Losing, overlap: str) -> None:
    losing(1, (5, 7, 9))
    settings = small_settings(
        "relay", "seed=7", 'environment.id="losing-relay"', f"schedule.overlap={overlap}", env_steps=120
    )
    path = tmp_path / "run"
    start(path, settings, stop_after=5).run()
    training = resume(path)
    summary = training.run()
    assert summary.reason == "steps"
    assert summary.lost_episodes == 3
    folder = RunFolder.open(path)
    told = [record.get("collect/lost_episodes", 0) for record in folder.history()]
    assert told[0] == 0
    assert told == sorted(told)
    assert told[-1] == 3
    assert all(np.isfinite(record["collect/outcome"]) for record in folder.history() if "collect/outcome" in record)
    assert "episodes lost with their simulator, which count nowhere: 3" in in_words(folder, summary)
