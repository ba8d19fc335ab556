"""The world agent by agent: who hears whom, who is there, what an idle agent does."""

import numpy as np
import pytest

from coordinator.world.world import World
from heliograph.environments import registry
from heliograph.environments.vector import AgentInputs, EnvironmentSpec, Transition, VectorEnvironment
from heliograph.errors import WorldError


class Departing(VectorEnvironment):
    """Three agents, all in hearing; agent 2 is there only at steps 1 and 3; action 0 is illegal for agent 1."""

    def __init__(self, observation: float = 0.5) -> None:
        self.count = 1
        self._spec = EnvironmentSpec(
            id="departing",
            agents=3,
            observation_size=2,
            actions=3,
            episode_limit=5,
            complete_graph=True,
            outcome="return",
        )
        self._observation, self._step = observation, 0

    def reset(self, seeds, copies=None):
        self._step = 0
        return self._agent_inputs()

    def step(self, actions):
        self._step += 1
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=np.zeros((1, 3), dtype=np.float32),
            terminated=np.zeros((1, 3), dtype=bool),
            truncated=np.zeros(1, dtype=bool),
            over=np.zeros(1, dtype=bool),
            outcome=np.full(1, np.nan, dtype=np.float32),
            lost=np.zeros(1, dtype=bool),
        )

    def _agent_inputs(self):
        mask = np.ones((1, 3, 3), dtype=bool)
        mask[0, 1, 0] = False
        return AgentInputs(
            observation=np.full((1, 3, 2), self._observation, dtype=np.float32),
            action_mask=mask,
            hears=~np.eye(3, dtype=bool)[None],
            present=np.array([[True, True, self._step in (1, 3)]]),
        )


def test_heard_by_is_the_other_side_of_hears_on_a_directed_graph():
    world = World(registry.make("relay", count=1, parameters={"agents": 4, "hears": "range", "size": 4}))
    directed = False
    for seed in range(20):
        views = world.reset(seed)
        receives_from = {(view.slot, peer) for view in views for peer in view.receives_from}
        assert receives_from == {(peer, view.slot) for view in views for peer in view.sends_to}
        directed |= any((peer, slot) not in receives_from for slot, peer in receives_from)
    assert directed


def test_cut_links_leave_nobody_to_hear_and_change_nothing_else():
    worlds = [World(registry.make("relay", count=1), links_cut=cut) for cut in (False, True)]
    heard, deaf = (world.reset(7) for world in worlds)
    assert all(view.receives_from for view in heard)
    assert all(view.receives_from == view.sends_to == () for view in deaf)
    assert all(np.array_equal(a.observation, b.observation) for a, b in zip(heard, deaf, strict=True))


def test_an_absent_agent_neither_hears_nor_is_awaited_at_the_step_after():
    world = World(Departing())
    views = world.reset(0)
    assert views[2] is None
    views = world.advance([0, 1, 0]).views
    assert views[0].receives_from == (1,), "agent 2 was not there at step 0, so it has nothing to say at step 1"
    assert views[2].receives_from == (0, 1)
    views = world.advance([0, 1, 0]).views
    assert views[2] is None
    assert views[0].receives_from == (1, 2), "what agent 2 said at step 1 is read at step 2"
    assert views[0].sends_to == (1,)


def test_the_idle_action_is_legal():
    world = World(Departing())
    world.reset(0)
    assert [world.idle_action(slot) for slot in range(3)] == [0, 1, 0]
    assert not world.is_legal(1, 0)
    assert world.is_legal(1, 2)
    assert not world.is_legal(0, 3)
    assert not world.is_legal(2, 0), "agent 2 is not there"


def test_views_do_not_change_when_the_environment_goes_on():
    world = World(registry.make("relay", count=1))
    view = world.reset(3)[0]
    before = view.observation.copy(), view.action_mask.copy()
    for _ in range(3):
        world.advance([world.idle_action(slot) for slot in range(2)])
    assert np.array_equal(view.observation, before[0])
    assert np.array_equal(view.action_mask, before[1])


def test_an_observation_that_is_not_finite_is_told_with_its_agent():
    with pytest.raises(WorldError, match="'observation' of agent 0 in copy 0 is not finite"):
        World(Departing(observation=float("nan"))).reset(0)


def test_a_world_is_one_copy():
    with pytest.raises(WorldError, match="not 2"):
        World(registry.make("relay", count=2))


def test_a_new_episode_is_not_cut_because_the_one_before_was():
    world = World(Departing())
    world.reset(1)
    world.cut = True
    world.reset(2)
    assert not world.cut
