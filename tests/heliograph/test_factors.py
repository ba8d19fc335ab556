"""Actions of several factors: their numbers both ways, their masks, what the environment gets, refusals."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import factored_team
import numpy as np
import pytest
from bent_team import Bent
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.factors import MOST_JOINT_ACTIONS, Factors
from heliograph.environments.parallel import ParallelVector, as_parallel
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.reference import RandomPolicy
from heliograph.errors import WorldError

NAME = "factored_team:make"
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@given(SIZES)
def test_numbers_and_choices_are_one_to_one_with_the_last_factor_fastest(sizes: tuple[int, ...]) -> None:
    factors = Factors(sizes=sizes)
    combinations = list(itertools.product(*map(range, sizes)))
    assert factors.count == len(combinations)
    assert [factors.choices(action) for action in range(factors.count)] == combinations
    assert [factors.action(choices) for choices in combinations] == list(range(factors.count))


@given(st.data(), SIZES)
def test_a_joint_action_is_legal_if_each_choice_is(data: st.DataObject, sizes: tuple[int, ...]) -> None:
    factors = Factors(sizes=sizes)
    masks = [data.draw(nps.arrays(bool, size)) for size in sizes]
    joint = factors.joint_mask(masks)
    assert (joint.dtype, joint.shape) == (bool, (factors.count,))
    for action in range(factors.count):
        assert joint[action] == all(mask[choice] for mask, choice in zip(masks, factors.choices(action), strict=True))


@given(st.data(), SIZES)
def test_masks_of_factors_are_found_in_every_form(data: st.DataObject, sizes: tuple[int, ...]) -> None:
    factors = Factors(sizes=sizes)
    masks = [data.draw(nps.arrays(np.int8, size, elements=st.integers(0, 1))) for size in sizes]
    nested = (masks[0], tuple(masks[1:])) if len(masks) > 1 else tuple(masks)
    forms: list[Any] = [tuple(masks), masks, [mask.tolist() for mask in masks], nested]
    forms += [] if factors.ambiguous else [np.concatenate(masks), np.concatenate(masks).tolist()]
    for form in forms:
        parts = factors.mask_parts(form)
        assert parts is not None
        assert [np.asarray(part).tolist() for part in parts] == [mask.tolist() for mask in masks]
    if factors.count != sum(sizes) or factors.ambiguous:
        assert factors.mask_parts(np.ones(factors.count)) is None, "it is of the joint actions"


@pytest.mark.parametrize("kind", factored_team.SPACES)
def test_the_environment_gets_a_sample_of_its_own_space_for_every_number(kind: str) -> None:
    inner = factored_team.make(kind=kind, masks="")
    world = ParallelVector(lambda: inner, count=1)
    sizes = tuple(factored_team.SIZES[kind].values())
    assert world.spec.factors == sizes
    assert world.spec.actions == int(np.prod(sizes[0]))
    assert world.reset(np.array([0])).action_mask.sum(-1).tolist() == [[np.prod(each) for each in sizes]]
    for action in range(world.spec.actions):
        if action % factored_team.STEPS == 0:
            world.reset(np.array([0]))
        world.step(np.array([[action, action % 4]]))
        for agent, number in (("crane", action), ("loader", action % 4)):
            chosen = tuple(inner.choices(agent, inner.given[-1][agent]))
            assert chosen == np.unravel_index(number, inner._sizes[agent])


@pytest.mark.parametrize("kind", factored_team.SPACES)
@pytest.mark.parametrize("masks", ["parts", "row", "joint"])
def test_masks_are_those_of_the_joint_actions_however_they_are_told(kind: str, masks: str) -> None:
    world = registry.make(NAME, count=1, parameters={"kind": kind, "masks": masks}, permission=EVERYTHING)
    policy, legal = RandomPolicy(world, seed=0), []
    agent_inputs = world.reset(np.array([0]))
    policy.begin(0, episode=0)
    while not (transition := policy.step(agent_inputs)).over[0]:  # the environment itself checks each action
        legal.append(agent_inputs.action_mask[0].sum(-1).tolist())
        agent_inputs = transition.agent_inputs
    crane = 6 if kind == "multi" else 12
    assert legal == [[crane, 4], [crane * 2 // 3, 4 if masks == "row" else 2]] * 2


@pytest.mark.parametrize("kind", factored_team.SPACES)
def test_the_test_world_ends_whoever_gives_another_form_or_what_is_illegal(kind: str) -> None:
    inner = factored_team.make(kind=kind)
    right = {agent: space.sample() for agent, space in factored_team.SPACES[kind].items()}
    wrong = [3, [2, 1], np.array([2, 1], dtype=np.int32), (2, 0), (np.int64(5), np.zeros(2, dtype=np.int32))]
    for action in wrong:
        inner.reset(seed=0)
        with pytest.raises(SystemExit, match="no action of crane"):
            inner.step({**right, "crane": action})
    inner.reset(seed=0)
    inner.step(right)
    last = {"multi": np.array([3, 0], dtype=np.int8), "tuple": (np.int64(7), np.zeros(2, dtype=np.int64))}
    with pytest.raises(SystemExit, match=r"illegal: .*crane"):
        inner.step({**right, "crane": last[kind]})


def bent(space: spaces.Space, mask: Any = None, promised: spaces.Space | None = None) -> ParallelVector:
    """A team whose carrier has that action space and is told that mask."""
    told = {"scout": {"action_mask": np.ones(2)}, "carrier": {"action_mask": mask}}
    options: dict[str, Any] = {} if mask is None else {"after_reset": lambda answer: (answer[0], told)}
    team = Bent(acts=space, **options)
    if promised is not None:
        team._observed["carrier"] = spaces.Dict({"observation": spaces.Box(0, 1, (3, 1)), "action_mask": promised})
    return ParallelVector(lambda: team, count=1, id="bent:make")


@pytest.mark.parametrize(
    ("space", "complaint"),
    [
        (
            spaces.MultiDiscrete([33, 32]),
            r"has 33 x 32 = 1056 joint actions, more than the 1024 .*Give coarser factors",
        ),
        (
            spaces.MultiDiscrete([99] * 40),
            r"99 x 99 x \.\.\. = about 10\^80 joint actions, more than the 1024 that are numbered",
        ),
        (spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,)))), r"holds Box.*Give numbered levels in its place"),
        (
            spaces.Tuple((spaces.Discrete(2), spaces.MultiBinary(3))),
            "holds MultiBinary.*Give MultiDiscrete, of 3 factor",
        ),
        (spaces.Tuple(()), r"is empty: there is nothing to choose. Give .* Discrete\(1\)"),
    ],
)
def test_what_cannot_be_numbered_is_refused_with_what_could(space: spaces.Space, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of 'bent:make': action space .*of agent 'carrier'.*{complaint}"):
        bent(space)


def test_as_many_combinations_as_are_allowed_are_numbered() -> None:
    assert bent(spaces.MultiDiscrete([32, 32])).spec.actions == MOST_JOINT_ACTIONS
    assert bent(spaces.MultiDiscrete([1] * 99 + [2])).spec.actions == 2
    assert Factors(sizes=(1,) * 99 + (2,)).choices(1) == (0,) * 99 + (1,)
    assert bent(spaces.Discrete(MOST_JOINT_ACTIONS + 1)).spec.actions == MOST_JOINT_ACTIONS + 1, "no combination of any"


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (np.ones(7), r"has shape \(7,\), its action space has 5 x 3 = 15 joint actions.*15 in all, or a tuple of one"),
        ((np.ones(5), np.ones(4)), r"has shape \(4,\), its action space has 3 in factor 1. .*3 in all"),
        ((np.ones(5), np.full(3, 2)), "holds 2. Return 1 for legal"),
        ((np.ones(5), np.zeros(3)), "allows no action"),
        (np.ones((3, 5)), r"has shape \(3, 5\), its action space has 5 x 3"),
        ((np.ones(5), [[1], [1, 0]]), "differ in length|has shape"),
    ],
)
def test_a_mask_of_neither_form_is_refused(mask: Any, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"field 'action_mask' of agent 'carrier' .*{complaint}"):
        bent(spaces.MultiDiscrete([5, 3]), mask).reset(np.array([0]))


def test_a_mask_may_be_promised_in_every_form_and_in_no_other() -> None:
    several = spaces.Tuple((spaces.MultiBinary(5), spaces.MultiBinary(3)))
    for promised in (spaces.MultiBinary(15), spaces.MultiBinary(8), several):
        assert bent(spaces.MultiDiscrete([5, 3]), promised=promised).spec.has_action_mask
    with pytest.raises(
        WorldError, match=r"has 5 x 3 = 15 joint actions. .*MultiBinary\(15\), or a Tuple of one per fac"
    ):
        bent(spaces.MultiDiscrete([5, 3]), promised=spaces.MultiBinary(9))


def test_factors_are_told_in_words(capsys: pytest.CaptureFixture[str], parallel_api_test: Callable[..., None]) -> None:
    assert main(["environments", NAME, "--set", "kind=tuple"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "agent 0: 3 x 2 x 2 = 12 joint actions; agent 1: 2 x 2 = 4 joint actions, some illegal at times" in told
    assert main(["environments", "check", NAME]) == 0
    told = capsys.readouterr().out
    assert "3 x 2 = 6 joint actions" in told
    assert "an action mask of loader in one row counts for its 2 x 2 = 4 joint actions" in told
    assert main(["environments", "check", NAME, "--json"]) == 0
    assert [agent["factors"] for agent in json.loads(capsys.readouterr().out)["agents"]] == [[3, 2], [2, 2]]
    view = as_parallel(registry.make(NAME, count=1, permission=EVERYTHING))
    parallel_api_test(view, num_cycles=20)
    assert view.metadata["joint_actions"] == {
        "agent_0": "3 x 2 = 6 joint actions",
        "agent_1": "2 x 2 = 4 joint actions",
    }
