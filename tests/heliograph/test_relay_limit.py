"""The best score on relay under losses: against a team that is played, and where it is plain."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.link_faults import Burst
from heliograph.relay_limit import MOST_AGENTS, Faults, Limit, relay_limit


def limit(agents: int, ring: bool = False, size: int = 3, length: int = 6, **faults: object) -> Limit:
    found = relay_limit(agents=agents, size=size, length=length, ring=ring, faults=Faults(**faults))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_without_faults_every_episode_can_be_won_and_without_messages_the_blind_bound_holds() -> None:
    for agents in (2, 3):
        assert limit(agents) == Limit(low=1.0, high=pytest.approx(1.0))
        blind = Limit(low=9.0 ** (1 - agents), high=9.0 ** (1 - agents))
        assert limit(agents, delay_steps=None) == limit(agents, erasure=1.0) == blind


def test_an_agent_that_learns_its_target_in_time_reaches_it() -> None:
    assert [limit(2, delay_steps=delay).low for delay in (1, 2, 3)] == [1.0, 1.0, 1.0]
    # One step is left, and five of nine cells are within one step of the middle.
    late = limit(2, delay_steps=4)
    assert late.low == pytest.approx((5 / 9) ** 2)
    assert late.high == pytest.approx(5 / 9)
    assert limit(2, delay_steps=5).low == pytest.approx(1 / 9)


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5, 0.7])
def test_two_agents_lose_messages_each_by_itself(loss: float) -> None:
    alone = 1 - loss**4 + loss**4 * (1 - loss) * 5 / 9 + loss**5 / 9
    found = limit(2, erasure=loss)
    assert found.low == pytest.approx(alone**2)
    assert found.low <= found.high < found.low + 0.006


def test_what_a_third_agent_passes_on_counts() -> None:
    assert (
        limit(3, erasure=0.5).low
        > limit(3, erasure=0.5, ring=True).low
        == pytest.approx(limit(2, erasure=0.5).low ** 1.5)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults", [{"erasure": 0.4}, {"burst": Burst(loss=0.4, mean_steps=2.5)}, {"erasure": 0.3, "delay_steps": 1}]
)
@pytest.mark.parametrize("agents", [2, 3])
def test_a_played_team_that_waits_in_the_middle_reaches_the_lower_end(agents: int, faults: dict) -> None:
    episodes = 40_000
    won = _played(np.random.default_rng(5), agents, Faults(**faults), episodes)
    found = limit(agents, **faults)
    error = np.sqrt(found.low * (1 - found.low) / episodes)
    assert np.mean(won) == pytest.approx(found.low, abs=4 * error)


def _played(
    random: np.random.Generator, agents: int, faults: Faults, episodes: int, length: int = 6
) -> npt.NDArray[np.bool_]:
    """Which episodes that team wins on 3 x 3 cells, bool [E]; messages tell all that is known."""
    slots, links = np.arange(agents), (episodes, agents, agents)
    place, target = random.integers(3, size=(2, episodes, agents, 2))
    known = [np.zeros(links, dtype=bool)]  # whose targets each knows, before the first step, then after each has heard
    known[0][:, slots, (slots + 1) % agents] = True
    bad = None
    for step in range(length):
        now = known[-1].copy()
        if step:
            draw = random.random(links)
            if faults.burst is not None:
                bad = (
                    draw < faults.burst.loss
                    if bad is None
                    else np.where(bad, draw >= faults.burst.to_good, draw < faults.burst.to_bad)
                )
            lost = (random.random(links) < faults.erasure) | (False if bad is None else bad)
            said = step - 1 - (faults.delay_steps or 0)
            if said >= 0:
                now |= (~lost[..., None] & known[said + 1][:, None]).any(2)
        known.append(now)
        goal = np.ones_like(place)
        if step == length - 1:
            guess = random.integers(3, size=place.shape)
            near = np.abs(guess - place).sum(-1, keepdims=True) <= 1
            goal = np.where(near, guess, place)
        way = np.where(now[:, slots, slots, None], target, goal) - place
        along_rows = way[..., 0] != 0
        place[..., 0] += np.sign(way[..., 0])
        place[..., 1] += np.where(along_rows, 0, np.sign(way[..., 1]))
    won: npt.NDArray[np.bool_] = (place == target).all((1, 2))
    return won


def test_more_agents_and_grids_too_large_for_an_episode_are_not_worked_out() -> None:
    assert relay_limit(agents=MOST_AGENTS + 1, faults=Faults(erasure=0.1)) is None
    for faults in (Faults(erasure=0.1), Faults(delay_steps=None)):
        assert relay_limit(agents=2, size=3, length=3, faults=faults) is None


@pytest.mark.slow
def test_a_large_grid_takes_little_memory() -> None:
    tracemalloc.start()
    found = limit(2, size=32, length=70, erasure=0.5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.9 < found.low <= found.high < 1 + 1e-9
    assert most < 20e6


@pytest.mark.slow
def test_what_would_take_minutes_is_left_out() -> None:
    both = Faults(erasure=0.1, burst=Burst(loss=0.1, mean_steps=3))
    assert relay_limit(agents=3, faults=both) is None
