"""Other designs on the same trajectories: worked out by hand for a small team."""

import numpy as np
import pytest
from made_trace import made_trace

from analysis.bandwidth.alternatives import alternatives
from coordinator.recording.reader import Trace

SEARCH = "central search in the learned model"


def test_bits_per_agent_step_follow_from_who_told_whom():
    hears = np.zeros((2, 5, 3, 3), dtype=bool)
    hears[:, :, 0, 1] = True  # agent 1 alone is heard, by agent 0, at all of 2 x 5 steps: 10 messages of 30 agent-steps
    latents = np.zeros((2, 5, 3, 32), dtype=int)
    observation = np.zeros((2, 5, 3, 205), dtype=np.float32)
    trace = made_trace(latents, classes=32, hears=hears, observation=observation, recurrent_size=600, actions=3)
    found = {each.name.partition(" (")[0]: each.bits_per_agent_step for each in alternatives(trace)}
    assert found == pytest.approx(
        {
            "latent, bit-packed": 160 / 3,
            "latent as one-hot floats": 32 * 32 * 32 / 3,
            "recurrent state": 600 * 32 / 3,
            "raw observation": 205 * 32 / 3,
            "float vector as in CommNet": 128 * 32 / 3,
            "float vector as in TarMAC": 48 * 32 / 3,
            "attention vectors in 3 rounds": (160 + 2 * 256 * 32) / 3,
            "central execution": 205 * 32 + 2,
        }
    )
    assert {each.how for each in alternatives(trace)} == {"computed"}
    assert alternatives(trace)[1].ratio == pytest.approx(32 * 32 * 32 / 160)


def test_a_silent_team_sends_nothing_and_a_centre_that_plans_for_it_has_its_price():
    """Two agents, whose hidden states have 16 numbers; four actions, which are two bits."""
    trace = silent_trace()
    found = {each.name: each for each in alternatives(trace, planning_size=16)}
    assert {name: each.bits_per_agent_step for name, each in found.items()} == {
        "nothing: each agent acts alone (this team)": 0,
        "central execution": 7 * 32 + 2,
        "central search in the learned model": 16 * 32 + 2,
    }
    assert "16 floats of hidden state x 32 bits up, 2 bits of action down" in found[SEARCH].formula
    assert all(np.isnan(each.ratio) for each in found.values())
    assert SEARCH not in {each.name for each in alternatives(trace)}, "its algorithm plans nothing"


def test_a_centre_must_be_told_what_is_legal_where_that_changes():
    trace = silent_trace()
    trace.episodes[0].action_mask[1, 0, 2] = False
    found = {each.name: each for each in alternatives(trace, planning_size=16)}
    assert found[SEARCH].bits_per_agent_step == 16 * 32 + 4 + 2
    assert "+ 4 bits of action mask up" in found[SEARCH].formula


def silent_trace() -> Trace:
    observation = np.zeros((1, 2, 2, 7), dtype=np.float32)
    return made_trace(np.zeros((1, 2, 2, 4), dtype=int), classes=8, message=None, observation=observation, actions=4)
