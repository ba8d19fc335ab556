"""The best score on relay under losses: against a team that is played, and where it is plain."""

from __future__ import annotations

from itertools import product

import numpy as np
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


@pytest.mark.parametrize(
    "faults", [{"erasure": 0.4}, {"burst": Burst(loss=0.4, mean_steps=2.5)}, {"erasure": 0.3, "delay_steps": 1}]
)
@pytest.mark.parametrize("agents", [2, 3])
def test_a_played_team_that_waits_in_the_middle_reaches_the_lower_end(agents: int, faults: dict) -> None:
    random, episodes = np.random.default_rng(5), 6_000
    won = [_played(random, agents, Faults(**faults)) for _ in range(episodes)]
    found = limit(agents, **faults)
    error = np.sqrt(found.low * (1 - found.low) / episodes)
    assert np.mean(won) == pytest.approx(found.low, abs=4 * error + 1e-3)


def _played(random: np.random.Generator, agents: int, faults: Faults, length: int = 6) -> bool:
    """One episode of that team on 3 x 3 cells; messages tell all that is known."""
    place, target = random.integers(3, size=(agents, 2)), random.integers(3, size=(agents, 2))
    known = [[{(slot + 1) % agents} for slot in range(agents)]]  # before the first step, then after each has heard
    bad = None
    for step in range(length):
        now = [set(each) for each in known[-1]]
        if step:
            draw = random.random((agents, agents))
            if faults.burst is not None:
                bad = (
                    draw < faults.burst.loss
                    if bad is None
                    else np.where(bad, draw >= faults.burst.to_good, draw < faults.burst.to_bad)
                )
            lost = (random.random((agents, agents)) < faults.erasure) | (False if bad is None else bad)
            said = step - 1 - (faults.delay_steps or 0)
            for receiver, sender in product(range(agents), repeat=2):
                if receiver != sender and said >= 0 and not lost[receiver, sender]:
                    now[receiver] |= known[said + 1][sender]
        known.append(now)
        for slot in range(agents):
            knows = slot in now[slot]
            goal = target[slot] if knows else np.array([1, 1])
            if not knows and step == length - 1:
                goal = random.integers(3, size=2)
                near = np.abs(goal - place[slot]).sum() <= 1
                goal = goal if near else place[slot]
            way = goal - place[slot]
            axis = 0 if way[0] else 1
            place[slot, axis] += np.sign(way[axis])
    return bool((place == target).all())


def test_more_agents_are_not_worked_out() -> None:
    assert relay_limit(agents=MOST_AGENTS + 1, faults=Faults(erasure=0.1)) is None
