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


@pytest.mark.slow
def test_smax_names_are_in_the_order_of_the_simulators():
    """Read off its lists of entries, since an episode would take half a minute to compile."""
    pytest.importorskip("jaxmarl")
    from heliograph.environments.smax.battle import battle

    rules = {"see_enemy_actions": True, "walls_cause_death": True, "enemy_shoots": True, "attack_mode": "closest"}
    game = battle("2s3z", **rules)._game
    ours = {"health": "health", "position_x": "x", "position_y": "y", "last_targeted": "last target"}
    ours |= {"last_movement_x": "last move x", "last_movement_y": "last move y", "weapon_cooldown": "cooldown"}
    ours |= {f"unit_type_bit{s}_{i}": f"type = {game.unit_type_names[i]}" for i in range(6) for s in ("", "s")}
    own, seen = ([ours[name] for name in names] for names in (game.own_features, game.unit_features))
    spec = registry.make("smax-2s3z", count=1).spec
    others = [*(f"ally {number}" for number in range(1, 5)), *(f"enemy {number}" for number in range(1, 6))]
    expected = [f"{unit} {entry}" for unit in others for entry in seen] + [f"own {entry}" for entry in own]
    assert list(spec.observation_names) == expected
    assert len(expected) == game.obs_size
    units = [*(f"agent {slot}" for slot in range(5)), *(f"enemy {number}" for number in range(1, 6))]
    assert list(spec.state_names[: len(units) * len(own)]) == [f"{unit} {entry}" for unit in units for entry in own]
    assert list(spec.state_names[len(units) * len(own) :: len(units)]) == ["agent 0 team", "agent 0 type number"]
    assert len(spec.state_names) == game.state_size


def test_flatland_names_tell_every_entry_apart():
    pytest.importorskip("flatland")
    spec = registry.make("flatland", count=1).spec
    assert len(set(spec.observation_names)) == spec.observation_size == 205
    assert spec.observation_names[9 + 14 * 2 + 1] == "way 1.1: cells to the first train"
