"""Copies shared among worker processes: the experience of one process, and losses that stay where they happen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from collecting import collect, collector_of, episodes_in

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import SettingsError, UnknownEnvironment
from trainer.experience.replay import Replay

GAME, COPIES = "waiting_game:make", 5


@pytest.fixture(scope="module")
def pool() -> Iterator[VectorEnvironment]:
    made = registry.make(GAME, count=COPIES, workers=2, permission=EVERYTHING)
    yield made
    made.close()


def assert_same(one: Replay, other: Replay) -> None:
    for name, array in one.state().items():
        assert np.array_equal(array, other.state()[name]), name


def test_workers_collect_what_one_process_would_and_are_restored_like_it(pool: VectorEnvironment) -> None:
    alone, shared = collector_of(registry.make(GAME, count=COPIES, permission=EVERYTHING)), collector_of(pool)
    assert pool.spec == alone.environment.spec
    assert collect(alone, 12) == collect(shared, 12)
    assert_same(alone.replay, shared.replay)
    state, rows = alone.state(), {name: array.copy() for name, array in alone.replay.state().items()}
    restored = collector_of(pool)
    restored.replay.restore(rows)
    restored.restore(state)
    restored.rerun_episodes()
    assert restored.lost_episodes == 0
    assert collect(alone, 7) == collect(restored, 7)
    assert_same(alone.replay, restored.replay)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_the_episodes_of_its_own_copies(pool: VectorEnvironment) -> None:
    collector = collector_of(pool)
    collect(collector, 1)
    before = {episode.copy: episode.rows["observation"][0].copy() for episode in episodes_in(collector.replay)}
    os.kill(pool.workers[1].pid, signal.SIGKILL)
    collect(collector, 1)
    assert collector.lost_episodes == 2
    kept = [episode for episode in episodes_in(collector.replay) if episode.start == 0]
    unharmed = [np.array_equal(episode.rows["observation"][0], before[episode.copy]) for episode in kept]
    assert unharmed == [True, True, True, False, False]
    collect(collector, 20)
    assert collector.lost_episodes == 2


@pytest.mark.slow
def test_there_are_never_more_workers_than_copies() -> None:
    made = registry.make("relay-signal", count=2, workers=7)
    try:
        assert [worker.count for worker in made.workers] == [1, 1]
    finally:
        made.close()


@pytest.mark.slow
def test_workers_are_refused_where_they_have_nothing_to_add() -> None:
    with pytest.raises(SettingsError, match="smax-3m steps all its copies in one compiled call"):
        registry.make("smax-3m", count=4, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "parameters", "error"), [("relais", {}, UnknownEnvironment), ("relay", {"sice": 3}, SettingsError)]
)
def test_what_is_wrong_with_the_environment_is_said_as_without_workers(
    environment: str, parameters: dict[str, int], error: type[Exception]
) -> None:
    said = []
    for workers in (0, 1):
        with pytest.raises(error) as caught:
            registry.make(environment, count=2, parameters=parameters, workers=workers, permission=EVERYTHING)
        said.append(str(caught.value))
    assert said[0] == said[1]
