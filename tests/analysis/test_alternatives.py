"""Other designs on the same trajectories: worked out by hand for a small team."""

import numpy as np
import pytest
from made_trace import made_trace

from analysis.bandwidth.alternatives import alternatives
from heliograph.errors import SettingsError


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


def test_without_messages_there_is_nothing_to_compare():
    trace = made_trace(np.zeros((1, 2, 2, 4), dtype=int), classes=8, message=None)
    with pytest.raises(SettingsError, match="without messages"):
        alternatives(trace)
