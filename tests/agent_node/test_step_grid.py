"""The step grid of nodes without a coordinator: the same steps everywhere, none twice, none after its time."""

from __future__ import annotations

import asyncio

import pytest

from agent_node import standalone_world
from agent_node.standalone_world import StepGrid
from heliograph.errors import SettingsError


class Clock:
    """Wall time and sleep under the test's control."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    async def sleep(self, pause_s: float) -> None:
        self.now += pause_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1000.0)
    monkeypatch.setattr(standalone_world, "time", clock)
    monkeypatch.setattr(standalone_world.asyncio, "sleep", clock.sleep)
    return clock


def test_steps_start_on_the_grid_whenever_one_asks(clock: Clock) -> None:
    grid = StepGrid(period_s=0.5, origin_unix_s=1010.0, episode_steps=3)
    for tick in range(7):
        assert asyncio.run(grid.next_step()) == divmod(tick, 3)
        assert clock.now == pytest.approx(1010.0 + 0.5 * tick)
        clock.now += 0.1 * (tick % 4)  # whatever the step took


def test_missed_steps_are_left_out(clock: Clock) -> None:
    grid = StepGrid(period_s=0.5, origin_unix_s=1000.0)
    assert asyncio.run(grid.next_step()) == (0, 0)
    clock.now += 5.2
    assert asyncio.run(grid.next_step()) == (0, 11)
    assert clock.now == pytest.approx(1005.5)


def test_a_node_that_was_stopped_in_its_sleep_wakes_up_in_the_present(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = StepGrid(period_s=0.5, origin_unix_s=1000.0)
    assert asyncio.run(grid.next_step()) == (0, 0)

    async def stopped(pause_s: float) -> None:
        clock.now += pause_s + 30.1

    monkeypatch.setattr(standalone_world.asyncio, "sleep", stopped)
    assert asyncio.run(grid.next_step()) == (0, 61)


@pytest.mark.parametrize("arguments", [{"period_s": 0.0}, {"period_s": 1.0, "episode_steps": 0}])
def test_grids_that_cannot_be_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="cannot be"):
        StepGrid(origin_unix_s=0.0, **arguments)
