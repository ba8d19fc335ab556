"""Teams in which some agents have numbered actions and others vectors: rows, masks, and what the environment gets."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from mixed_team import FIRST_PLACE, PLACES, MixedTeam

from heliograph.action_rows import ActionRows
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.parallel import ParallelVector, as_parallel
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.reference import RandomPolicy
from heliograph.environments.vector import EnvironmentSpec, checked_actions
from heliograph.environments.workers.group import WorkerGroup
from heliograph.errors import WorldError

FIVE = DiscreteActions(count=5)
PAIR = ContinuousActions(low=(-2.0, 0.0), high=(2.0, 1.0))
ROWS = ActionRows((FIVE, PAIR))


def make(*, count: int = 1, workers: int = 0, **parameters: Any) -> Any:
    return registry.make("mixed_team:make", count=count, parameters=parameters, workers=workers, permission=EVERYTHING)


def test_a_row_has_room_for_both_and_each_agent_has_its_part() -> None:
    vector = np.array([0.5, -0.25], dtype=np.float32)
    joint = ROWS.joint([3, vector])
    assert joint.tolist() == [[3, 0, 0], [0, 0.5, -0.25]]
    assert joint.dtype == np.float32
    assert ROWS.action(0, joint[0]) == 3
    assert isinstance(ROWS.action(0, joint[0]), int)
    np.testing.assert_array_equal(np.asarray(ROWS.action(1, joint[1])), vector)
    assert ROWS.whole_masks.astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1, 1]]
    assert ROWS.mask_row(1, np.array([True, False])).astype(int).tolist() == [1, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("spaces", "shape", "dtype"),
    [((FIVE, FIVE), (), np.int64), ((PAIR, PAIR), (2,), np.float32)],
    ids=["numbered", "vectors"],
)
def test_where_all_act_alike_a_row_is_the_action(spaces: tuple, shape: tuple[int, ...], dtype: type) -> None:
    rows = ActionRows(spaces)
    assert (rows.shape, rows.dtype, rows.mixed) == (shape, dtype, False)
    assert rows.whole_masks.all()
    done = np.array([1, 4]) if not shape else np.array([[0.5, 0.0], [0.0, 0.25]], dtype=np.float32)
    np.testing.assert_array_equal(rows.joint([rows.action(slot, row) for slot, row in enumerate(done)]), done)


def test_agents_of_a_kind_must_be_alike() -> None:
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        ActionRows((FIVE, DiscreteActions(count=4), PAIR))
    with pytest.raises(ValueError, match="dimensions and bits"):
        ActionRows((FIVE, PAIR, ContinuousActions(low=(0.0, 0.0), high=(1.0, 1.0), bits=4)))
    with pytest.raises(ValueError, match="of both kinds"):
        EnvironmentSpec(
            id="x", agents=2, observation_size=1, actions=5, mixed=(FIVE, FIVE), episode_limit=1,
            complete_graph=True, outcome="return",
        )  # fmt: skip


def test_the_spec_says_what_each_agent_can_do() -> None:
    spec = make(buoy=True).spec
    crane, boat, buoy, lamp = (spec.action_space(slot) for slot in range(4))
    assert crane == lamp == DiscreteActions(count=6), "as many as the one with most has"
    assert (boat.low, boat.high) == ((-2.0, 0.0), (2.0, 1.0))
    assert (buoy.low, buoy.high) == ((-1.0, 0.0), (1.0, 0.0))
    assert (spec.actions, spec.action_shape, spec.has_action_mask) == (6 + 2, (3,), True)
    assert spec.factors == ((5,), (), (), (3, 2))
    assert spec.observation_size == 2 + 4, "every agent is told which it is"


def test_each_agent_gets_an_action_of_its_own_space() -> None:
    world = make(buoy=True, masks=True)
    agent_inputs = world.reset(np.array([3]))
    own = world._copies[0]
    assert agent_inputs.action_mask[0].astype(int).tolist() == [
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0, 0, 1, 0],
        [1, 1, 1, 1, 1, 1, 0, 0],
    ]
    transition = world.step(np.array([[[4, 0, 0], [0, 0.5, -1], [0, -0.5, 0.9], [3, 0, 0]]], dtype=np.float32))
    given = own.given[0]
    assert given["crane"] == FIRST_PLACE + 4
    assert type(given["crane"]) is int
    np.testing.assert_allclose(given["boat"], [1.0, 0.0])
    np.testing.assert_allclose(given["buoy"], [-0.5])
    assert given["lamp"].tolist() == [1, 1]
    assert transition.agent_inputs.action_mask[0, 0].astype(int).tolist() == [1, 1, 1, 1, 0, 0, 0, 0], "its own mask"


@pytest.mark.parametrize(
    ("crane", "boat", "problem"),
    [
        ([4, 0, 0], [0, 0.0, 0.0], "action 4 of agent 0 in copy 0 is illegal"),
        ([5, 0, 0], [0, 0.0, 0.0], "outside 0..4"),
        ([-1, 0, 0], [0, 0.0, 0.0], "outside 0..4"),
        ([1.5, 0, 0], [0, 0.0, 0.0], "choice of agent 0 in copy 0 is 1.5, which is no whole number"),
        ([np.nan, 0, 0], [0, 0.0, 0.0], "is nan, which is no whole number"),
        ([1, 0, 0], [1, 0.0, 0.0], "action 1 of agent 1 in copy 0 is illegal"),
        ([1, 0, 0], [0, 1.5, 0.0], "is 1.5 in dimension 0, outside -1..1"),
        ([1, 0, 0], [0, 0.0, np.nan], "is nan in dimension 1"),
    ],
)
def test_what_is_no_legal_action_is_refused(crane: list[float], boat: list[float], problem: str) -> None:
    world = make(masks=True)
    world.reset(np.array([0]))
    world.step(np.zeros((1, 2, 3), dtype=np.float32))
    with pytest.raises(WorldError, match=problem):
        world.step(np.array([[crane, boat]], dtype=np.float32))


@pytest.mark.parametrize(
    ("actions", "problem"),
    [
        ({"agent_0": 1.7}, "agent 'agent_0' is 1.7, which is no integer"),
        ({"agent_0": np.float32(1)}, "'agent_0' is .*, which is no integer"),
        ({"agent_0": None}, "'agent_0' is None, which is no integer"),
        ({"agent_0": "1"}, "'agent_0' is '1', which is no integer"),
        ({"agent_0": 5}, r"'agent_0' is 5, outside 0\.\.4"),
        ({"agent_0": 2**70}, r"outside 0\.\.4"),
        ({"agent_0": -1}, r"'agent_0' is -1, outside 0\.\.4"),
        ({"agent_1": None}, r"'agent_1' has shape \(\), not \(2,\)"),
        ({"agent_1": [0.5, [0.5]]}, "'agent_1' is .*, which is no vector of numbers"),
        ({"agent_1": ["left", "right"]}, "'agent_1' is .*, which is no vector of numbers"),
        ({"agent_2": 1}, "no agent 'agent_2'. Its agents are agent_0, agent_1"),
    ],
)
def test_a_view_refuses_what_is_no_action_of_an_agent(actions: dict[str, Any], problem: str) -> None:
    view = as_parallel(make())
    view.reset(seed=0)
    with pytest.raises(WorldError, match=problem):
        view.step({"agent_0": 0, "agent_1": np.zeros(2, dtype=np.float32), **actions})
    view.step({"agent_0": np.int64(4), "agent_1": [0.5, 0.5]})


def test_actions_of_another_shape_are_refused() -> None:
    mask = np.broadcast_to(ROWS.whole_masks, (3, 2, 7))
    for bad in (np.zeros((3, 2), dtype=np.int64), np.zeros((3, 2, 3), dtype=np.int64), np.zeros((3, 2, 2))):
        with pytest.raises(WorldError, match=r"real numbers \(3, 2, 3\)"):
            checked_actions(bad, mask=mask, rows=ROWS)


def test_random_policies_take_legal_actions_of_each_kind() -> None:
    world = make(count=3, masks=True, buoy=True)
    team_policy, agent_inputs = RandomPolicy(world, seed=0), world.reset(np.arange(3))
    for copy in range(3):
        team_policy.begin(copy, episode=copy)
    for _ in range(5):
        agent_inputs = team_policy.step(agent_inputs).agent_inputs
    given = [each for copy in world._copies for each in copy.given]
    assert len({each["crane"] for each in given}) > 2
    assert np.std([each["boat"] for each in given]) > 0


def test_workers_play_the_same() -> None:
    alone, group = make(count=2, masks=True), make(count=2, masks=True, workers=1)
    assert isinstance(group, WorkerGroup) or group.spec == alone.spec
    try:
        joint = np.array([[[2, 0, 0], [0, 0.5, -0.5]]] * 2, dtype=np.float32)
        for world in (alone, group):
            world.reset(np.array([5, 6]))
        one, other = alone.step(joint), group.step(joint)
        np.testing.assert_array_equal(one.agent_inputs.observation, other.agent_inputs.observation)
        np.testing.assert_array_equal(one.reward, other.reward)
    finally:
        group.close()


def test_seen_as_a_pettingzoo_environment_each_agent_has_its_own() -> None:
    view = as_parallel(make(masks=True))
    assert [view.action_space(agent).shape for agent in view.possible_agents] == [(), (2,)]
    observations, infos = view.reset(seed=1)
    assert observations["agent_0"]["action_mask"].tolist() == [1] * PLACES
    assert observations["agent_1"].shape == (4,)
    assert "action_mask" not in infos["agent_1"]
    _, rewards, *_ = view.step({"agent_0": 4, "agent_1": np.array([2.0, 0.5], dtype=np.float32)})
    assert set(rewards) == {"agent_0", "agent_1"}
    inner = view._environment._copies[0].given[0]
    assert inner["crane"] == FIRST_PLACE + 4
    np.testing.assert_allclose(inner["boat"], [2.0, 0.5])
    again = ParallelVector(lambda: as_parallel(make(masks=True)), id="again", count=1)
    assert again.spec.mixed == make().spec.mixed


def printed(*arguments: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert main(["environments", *arguments]) == 0
    return out.getvalue()


def test_the_check_command_plays_it_and_finds_every_rule_kept() -> None:
    found = json.loads(printed("check", "mixed_team:make", "--set", "masks=true", "--set", "buoy=true", "--json"))
    assert found["keeps_all"], found["verdicts"]
    agents = {agent["agent"]: agent for agent in found["agents"]}
    assert {name: (agent["actions"], agent["continuous"]) for name, agent in agents.items()} == {
        "crane": (5, False), "boat": (2, True), "buoy": (1, True), "lamp": (6, False),
    }  # fmt: skip
    assert agents["crane"]["legal"] == [0, 1, 2, 3, 4]


def test_it_is_described_agent_by_agent() -> None:
    text = " ".join(printed("mixed_team:make", "--set", "buoy=true").split())
    assert "agent 0: 5 actions; agent 1: 2 numbers in -2 .. 2, 8 bits each; agent 2: 1 numbers in -1 .. 1" in text
    assert "agent 3: 3 x 2 = 6 joint actions" in text


def test_a_mask_of_a_vector_is_of_its_own_dimensions() -> None:
    class Masked(MixedTeam):
        def _infos(self, agents: list[str] | None = None) -> dict[str, dict[str, Any]]:
            infos = super()._infos(agents)
            infos["boat"]["action_mask"] = np.array([0, 1], dtype=np.int8)
            return infos

    world = ParallelVector(Masked, id="masked", count=1)
    assert world.reset(np.array([0])).action_mask[0].astype(int).tolist() == [
        [1, 1, 1, 1, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 1],
    ]
