"""The in-process team against the oracle: directed, changing hearing, absent members, both late policies of agents that
predict no messages (those that do: `tests/equivalence/test_channel_in_processes.py`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted_bundle import predict, scripted_team

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.in_process import InProcessTeam
from agent_node.inbox import LatePolicy
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
            receives_from = random.random((SIZE, SIZE)) < 0.6
            np.fill_diagonal(receives_from, False)
            away = {3} if random.random() < 0.25 else set()
            agent_inputs = [
                None
                if slot in away
                else AgentInput(
                    episode=episode,
                    step=step,
                    observation=random.standard_normal(6).astype(np.float32),
                    action_mask=np.ones(5, dtype=bool),
                    receives_from=tuple(np.flatnonzero(receives_from[slot]).tolist()),
                    sends_to=tuple(np.flatnonzero(receives_from[:, slot]).tolist()),
                    first=step == 0,
                )
                for slot in range(SIZE)
            ]
            for sender, spoken in enumerate(said):
                for receiver in range(SIZE):
                    now = sender not in away and receives_from[receiver, sender]
                    if spoken is not None and spoken[0] == step - 1 and (told_before[receiver, sender] or now):
                        reached.setdefault((receiver, sender), {})[spoken[0]] = spoken[1]
            decisions = team.step(agent_inputs)
            for slot, agent_input in enumerate(agent_inputs):
                if agent_input is None:
                    assert decisions[slot] is None
                    continue
                first = step == 0 or last_step[slot] != step - 1
                present: dict[int, tuple] = {}
                for peer in agent_input.receives_from:
                    known = reached.get((slot, peer), {})
                    if first:
                        present[peer] = ((0,) * 4, 0)
                    elif step - 1 in known:
                        present[peer] = known[step - 1]
                    elif late_policy is LatePolicy.HOLD and known:
                        present[peer] = known[max(known)]
                if not first:
                    assert team.masked[slot] == tuple(peer for peer in agent_input.receives_from if peer not in present)
                    present[slot] = said[slot][1]
                else:
                    assert team.masked[slot] == ()
                expected = predict(
                    agents[slot].manifest,
                    observation=agent_input.observation,
                    action_mask=agent_input.action_mask,
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
            told_before = receives_from & np.array([slot not in away for slot in range(SIZE)])


@pytest.mark.parametrize("late_policy", [LatePolicy.MASK, LatePolicy.HOLD])
@pytest.mark.parametrize("seed", range(3))
def test_a_changing_directed_team_follows_the_rules_exactly(late_policy: LatePolicy, seed: int) -> None:
    play(late_policy, seed=seed)


def agent_input(step: int, receives_from: tuple[int, ...]) -> AgentInput:
    return AgentInput(
        episode=0,
        step=step,
        observation=np.zeros(6, np.float32),
        action_mask=np.ones(5, bool),
        receives_from=receives_from,
        sends_to=receives_from,
    )


def test_counters_balance_without_a_network() -> None:
    agents = [Agent(bundle, run_seed=0, greedy=True) for bundle in scripted_team(team_size=2)]
    team = InProcessTeam(agents)
    for step in range(5):
        team.step([agent_input(step, (1,)), agent_input(step, (0,))])
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
        team.step([agent_input(0, (2,)), agent_input(0, (0,))])
