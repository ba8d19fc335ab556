"""Names of observation and state entries stand for what is at their places."""

import numpy as np
import pytest

from heliograph.environments import registry
from heliograph.environments.vector import EnvironmentSpec


def test_names_that_do_not_fit_are_refused():
    sizes = {"agents": 2, "actions": 2, "episode_limit": 1, "complete_graph": True, "outcome": "won"}
    with pytest.raises(ValueError, match="observation_names are 1, but there are 2"):
        EnvironmentSpec(id="odd", observation_size=2, observation_names=("x",), **sizes)


@pytest.mark.parametrize(
    ("environment", "parameters"), [("relay", {"agents": 3}), ("relay-signal", {"agents": 3, "symbols": 5})]
)
def test_a_cue_is_named_as_what_the_next_agent_must_do(environment, parameters):
    made = registry.make(environment, count=1, parameters=parameters)
    observation = made.reset(np.array([7])).observation[0]
    seen = [{n for n, v in zip(made.spec.observation_names, row, strict=True) if v} for row in observation]
    state = {n for n, v in zip(made.spec.state_names, made.state()[0], strict=True) if v}
    for slot in range(3):
        if environment == "relay":
            cell, cue = (next(name for name in seen[slot] if name.startswith(start)) for start in ("own ", "next "))
            assert f"agent {slot} {cell.removeprefix('own ')}" in state
            assert f"agent {(slot + 1) % 3} target = {cue.partition(' = ')[2]}" in state
        else:
            (cue,) = seen[slot]
            assert f"agent {(slot - 1) % 3} must play = {cue.partition(' = ')[2]}" in state


def test_flatland_names_tell_every_entry_apart():
    pytest.importorskip("flatland")
    spec = registry.make("flatland", count=1).spec
    assert len(set(spec.observation_names)) == spec.observation_size == 205
    assert spec.observation_names[9 + 14 * 2 + 1] == "way 1.1: cells to the first train"
