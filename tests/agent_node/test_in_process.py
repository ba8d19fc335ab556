"""The in-process team against the oracle: directed, changing hearing, absent members, both late policies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted_bundle import predict, scripted_team

from agent_node.agent import Agent
from agent_node.in_process import InProcessTeam
from agent_node.inbox import LatePolicy
from agent_node.percept import Percept
from heliograph import noise
from heliograph.errors import SettingsError, WorldError
from heliograph.link_counters import LinkCounters

SIZE, STEPS = 4, 12


def play(late_policy: LatePolicy, *, seed: int) -> None:
    """Two episodes; at each step slot 3 may be absent.  What reaches whom is worked out here from the rules alone."""
    agents = [Agent(bundle, run_seed=9, greedy=False) for bundle in scripted_team(team_size=SIZE)]
    team = InProcessTeam(agents, late_policy=late_policy)
    random = np.random.default_rng(seed)
    for episode in range(2):
        counters, last_step = [0] * SIZE, [-9] * SIZE
        said: list[tuple[int, tuple[tuple[int, ...], int]] | None] = [None] * SIZE  # (step, (latent, action))
        reached: dict[tuple[int, int], dict[int, tuple]] = {}  # [receiver, sender][step]
        told_before = np.zeros((SIZE, SIZE), dtype=bool)
        for step in range(STEPS):
            hears = random.random((SIZE, SIZE)) < 0.6
            np.fill_diagonal(hears, False)
            away = {3} if random.random() < 0.25 else set()
            percepts = [
                None
                if slot in away
                else Percept(
                    episode=episode,
                    step=step,
                    observation=random.standard_normal(6).astype(np.float32),
                    action_mask=np.ones(5, dtype=bool),
                    hears=tuple(np.flatnonzero(hears[slot]).tolist()),
                    heard_by=tuple(np.flatnonzero(hears[:, slot]).tolist()),
                    first=step == 0,
                )
                for slot in range(SIZE)
            ]
            for sender, spoken in enumerate(said):
                for receiver in range(SIZE):
                    now = sender not in away and hears[receiver, sender]
                    if spoken is not None and spoken[0] == step - 1 and (told_before[receiver, sender] or now):
                        reached.setdefault((receiver, sender), {})[spoken[0]] = spoken[1]
            decisions = team.step(percepts)
            for slot, percept in enumerate(percepts):
                if percept is None:
                    assert decisions[slot] is None
                    continue
                first = step == 0 or last_step[slot] != step - 1
                present: dict[int, tuple] = {}
                for peer in percept.hears:
                    known = reached.get((slot, peer), {})
                    if first:
                        present[peer] = ((0,) * 4, 0)
                    elif step - 1 in known:
                        present[peer] = known[step - 1]
                    elif late_policy is LatePolicy.HOLD and known:
                        present[peer] = known[max(known)]
                if not first:
                    assert team.masked[slot] == tuple(peer for peer in percept.hears if peer not in present)
                    present[slot] = said[slot][1]
                else:
                    assert team.masked[slot] == ()
                expected = predict(
                    agents[slot].manifest,
                    observation=percept.observation,
                    action_mask=percept.action_mask,
                    inbox=present,
                    counter=counters[slot],
                    first=first,
                    greedy=False,
                    noise=noise.uniform(run_seed=9, slot=slot, episode=episode, step=step, size=5),
                )
                decision = decisions[slot]
                assert decision.action == expected.action, (episode, step, slot)
                assert tuple(decision.message.latent.tolist()) == expected.latent, (episode, step, slot)
                counters[slot], last_step[slot] = expected.counter, step
                said[slot] = (step, (expected.latent, expected.action))
            told_before = hears & np.array([slot not in away for slot in range(SIZE)])


@pytest.mark.parametrize("late_policy", list(LatePolicy))
@pytest.mark.parametrize("seed", range(3))
def test_a_changing_directed_team_follows_the_rules_exactly(late_policy: LatePolicy, seed: int) -> None:
    play(late_policy, seed=seed)


def percept(step: int, hears: tuple[int, ...]) -> Percept:
    return Percept(
        episode=0,
        step=step,
        observation=np.zeros(6, np.float32),
        action_mask=np.ones(5, bool),
        hears=hears,
        heard_by=hears,
    )


def test_counters_balance_without_a_network() -> None:
    agents = [Agent(bundle, run_seed=0, greedy=True) for bundle in scripted_team(team_size=2)]
    team = InProcessTeam(agents)
    for step in range(5):
        team.step([percept(step, (1,)), percept(step, (0,))])
    for slot in range(2):
        (counters,) = team.counters(slot).values()
        assert counters.delivered_bytes == counters.sent_bytes > 5 * 2
        assert replace(counters, sent_bytes=0, delivered_bytes=0) == LinkCounters(
            sent=5, sent_bits=5 * 4 * 3, delivered=5, read=4, read_bits=4 * 4 * 3
        )


def test_teams_and_percepts_that_do_not_fit_are_refused() -> None:
    agents = [Agent(bundle, run_seed=0, greedy=True) for bundle in scripted_team(team_size=2)]
    with pytest.raises(SettingsError, match="are not one team"):
        InProcessTeam(agents[::-1])
    with pytest.raises(SettingsError, match="are not one team"):
        InProcessTeam(agents[:1])
    team = InProcessTeam(agents)
    with pytest.raises(SettingsError, match="3 observations for a team of 2"):
        team.step([None, None, None])
    with pytest.raises(WorldError, match="names slot 2 as a neighbour"):
        team.step([percept(0, (2,)), percept(0, (0,))])
