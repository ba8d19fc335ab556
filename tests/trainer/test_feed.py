"""Collecting ahead of learning: what it acts with, what it waits for, what it raises; whole runs: test_checkpoints."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import Any

import pytest
import torch
from collecting import Counting, collector_of
from tiny_team import small_team

from heliograph.environments import registry
from heliograph.errors import WorldError
from trainer.experience.collector import Collector
from trainer.experience.overlap import Feed
from trainer.policy.draws import GreedyDraws

WAIT_S = 20.0


class Versions(Counting):
    """Remembers which version of the networks acted, and in which thread."""

    version = 0

    def __init__(self) -> None:
        self.acted: list[tuple[int, bool]] = []
        self.free = threading.Event()
        self.free.set()

    def __deepcopy__(self, _memo: dict[int, Any]) -> Versions:
        copy = Versions()
        copy.version, copy.acted, copy.free = self.version, self.acted, self.free
        return copy

    def act(self, state: Any, **perceived: Any) -> Any:
        assert self.free.wait(WAIT_S)
        self.acted.append((self.version, threading.current_thread() is threading.main_thread()))
        return super().act(state, **perceived)


def feed_of(algorithm: Versions, *, overlap: bool, until: int = 1000) -> tuple[Feed, Collector]:
    collector = collector_of(registry.make("relay", count=2))
    return Feed(collector, algorithm, steps_per_copy=2, until=until, overlap=overlap), collector


def test_ahead_acts_with_the_networks_from_before_the_update_and_rows_come_when_they_are_asked_for() -> None:
    algorithm = Versions()
    feed, collector = feed_of(algorithm, overlap=True)
    first = feed.next()
    rows = len(collector.replay)
    algorithm.free.clear()
    algorithm.version = 1  # learned from the first experience, while the second is being collected
    assert len(collector.replay) == rows
    algorithm.free.set()
    second = feed.next()
    assert (first.env_steps, second.env_steps) == (4, 8)
    assert len(collector.replay) == rows + 4
    third = feed.next()
    feed.close()
    assert third.env_steps == 12
    assert algorithm.acted[:6] == [(0, False)] * 4 + [(1, False)] * 2


def test_in_turn_acts_with_what_was_just_learned() -> None:
    algorithm = Versions()
    feed, _ = feed_of(algorithm, overlap=False)
    feed.next()
    algorithm.version = 1
    feed.next()
    feed.settle()
    feed.close()
    assert algorithm.acted == [(0, True)] * 2 + [(1, True)] * 2
    assert feed.ahead is None


def test_what_is_settled_is_handed_out_before_more_is_collected() -> None:
    feed, collector = feed_of(Versions(), overlap=True)
    feed.next()
    feed.settle()
    rows = len(collector.replay)
    assert feed.ahead is not None
    assert feed.ahead.env_steps == 8
    ahead = feed.ahead
    assert feed.next() == ahead
    assert len(collector.replay) == rows
    feed.close()


def test_nothing_is_collected_after_the_last_iteration() -> None:
    feed, collector = feed_of(Versions(), overlap=True, until=8)
    assert [feed.next().env_steps for _ in range(2)] == [4, 8]
    feed.close()
    assert collector.env_steps == 8


def test_what_goes_wrong_in_the_thread_is_raised_where_its_rows_are_asked_for() -> None:
    algorithm = Versions()
    feed, collector = feed_of(algorithm, overlap=True)
    feed.next()
    feed.settle()
    collector.environment.step = lambda actions: (_ for _ in ()).throw(WorldError("the world has ended"))
    feed.next()
    with pytest.raises(WorldError, match="the world has ended"):
        feed.next()
    feed.close()


def test_a_copy_for_acting_stays_what_it_was() -> None:
    algorithm, environment = small_team("relay", {}, copies=3)
    agent_inputs = environment.reset(torch.arange(3).numpy())
    perceived = {
        "observation": torch.from_numpy(agent_inputs.observation),
        "action_mask": torch.from_numpy(agent_inputs.action_mask),
        "hears": None,
        "first": torch.ones(3, dtype=torch.bool),
        "draws": GreedyDraws(),
    }
    live = algorithm.behaviour()
    copy = deepcopy(live)
    _, before = live.act(live.initial_state(3), **perceived)
    with torch.no_grad():
        for module in algorithm.modules().values():
            for parameter in module.parameters():
                parameter.mul_(1.5)
    _, after = live.act(live.initial_state(3), **perceived)
    _, copied = copy.act(copy.initial_state(3), **perceived)
    assert torch.equal(copied.deter, before.deter)
    assert not torch.equal(after.deter, before.deter)
