"""Images of a foreign environment: in one row, scaled, channels last; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from camera_team import make
from gymnasium import spaces

from heliograph.environments.images import LARGEST_IMAGE, image_space
from heliograph.environments.parallel import ParallelVector, as_parallel
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import WorldError


def world(**parameters: Any) -> ParallelVector:
    return ParallelVector(lambda: make(**parameters), count=1, id="camera_team:make")


def first(**parameters: Any) -> np.ndarray:
    return world(**parameters).reset(np.array([3])).observation[0]


def test_the_spec_keeps_the_shape_and_observations_are_one_row_of_zero_to_one() -> None:
    spec = world(sides=(6, 9)).spec
    assert (spec.image, spec.observation_size) == ((6, 9, 3), 6 * 9 * 3)
    seen = first(sides=(6, 9)).reshape(2, 6, 9, 3)
    assert seen.dtype == np.float32
    assert seen.sum(axis=(1, 2)).tolist() == [[1, 0, 0], [0, 1, 0]]  # one lit pixel, of the slot's colour
    assert np.argwhere(seen)[:, 2].tolist() == [column * 3 for column in np.argwhere(seen)[:, 2] // 3]


@pytest.mark.parametrize("other", [{"channels_first": True}, {"kind": "float32"}, {"kind": "int16"}])
def test_channels_first_and_other_types_come_to_the_same(other: dict[str, Any]) -> None:
    assert world(**other).spec.image == (8, 8, 3)
    np.testing.assert_array_equal(first(**other), first())


def test_unequal_actions_put_the_identity_behind_the_image() -> None:
    spec = world(unequal=True).spec
    assert (spec.image, spec.observation_size, spec.has_action_mask) == ((8, 8, 3), 8 * 8 * 3 + 2, True)
    np.testing.assert_array_equal(first(unequal=True)[:, -2:], np.eye(2))
    np.testing.assert_array_equal(first(unequal=True)[:, :-2], first())


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"sides": (84, 84)}, f"'left' is an image of 84 x 84 x 3, 21168 numbers; .* at most {LARGEST_IMAGE}.*smaller"),
        ({"fault": "mixed"}, "'left' observes an image of 8 x 8 x 3, agent 'right' .* 8 x 9 x 3.*images of one size"),
        ({"fault": "vector"}, r"'left' observes an image .*agent 'right' .*Box of shape \(5,\).*or vectors"),
        ({"fault": "part"}, r"'left' holds a picture of \(8, 8, 3\) numbers.*Let the agent observe the picture alone"),
    ],
)
def test_what_no_network_is_built_for_is_refused(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WorldError, match=complaint):
        world(**parameters)


@pytest.mark.parametrize(
    ("space", "image"),
    [
        (spaces.Box(0, 1, (5, 5, 7)), (5, 5, 7)),
        (spaces.Box(0, 1, (4, 9, 5)), (9, 5, 4)),
        (spaces.Box(0, 1, (3, 3, 3)), (3, 3, 3)),
        (spaces.Box(0, 255, (16, 16), np.uint8), None),
        (spaces.Box(-np.inf, np.inf, (2, 2, 2)), None),
        (spaces.Discrete(3), None),
    ],
)
def test_a_bounded_box_of_three_dimensions_is_an_image(space: spaces.Space, image: Any) -> None:
    found = image_space(space)
    assert (None if found is None else found.shape) == image


def test_an_entry_whose_bounds_are_equal_is_zero() -> None:
    space = spaces.Box(np.array([[[1.0], [0.0]]]), np.array([[[1.0], [4.0]]]), dtype=np.float64)
    found = image_space(space)
    assert found is not None
    assert found.numbers(np.array([[[1.0], [1.0]]])).tolist() == [0.0, 0.25]


def test_a_spec_with_an_image_larger_than_its_observations_is_no_spec() -> None:
    with pytest.raises(ValueError, match="more numbers than the 11 observed"):
        EnvironmentSpec(
            id="odd",
            agents=2,
            observation_size=11,
            image=(2, 2, 3),
            actions=2,
            episode_limit=3,
            complete_graph=True,
            outcome="return",
        )


def test_a_view_shows_an_image_that_is_all_as_one_and_others_as_vectors() -> None:
    view = as_parallel(world(sides=(6, 9)))
    seen, _ = view.reset(seed=3)
    assert view.observation_space("agent_0") == spaces.Box(0, 1, (6, 9, 3), np.float32)
    assert view.observation_space("agent_0").contains(seen["agent_0"])
    np.testing.assert_array_equal(seen["agent_0"].ravel(), first(sides=(6, 9))[0])
    other = as_parallel(world(unequal=True))
    assert other.observation_space("agent_0")["observation"].shape == (8 * 8 * 3 + 2,)
    assert other.reset(seed=3)[0]["agent_0"]["observation"].shape == (8 * 8 * 3 + 2,)
