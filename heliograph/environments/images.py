"""Images that agents of a foreign environment observe: which spaces are some, and their numbers in one row.

Axis legend: H height, W width, C channels.  For `heliograph.environments.spaces`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import WorldError

LARGEST_IMAGE = 2**14
"""Numbers in an image, 64 x 64 x 4: every step sends it to the agent's node in one message, as float32 (64 KiB), and
replay keeps it for every agent and step."""
_FEW_CHANNELS = 4
_PICTURE_SIDE = 32
"""A box with two sides of so many numbers or more is a picture, whatever its bounds say."""


@dataclass(frozen=True, kw_only=True)
class ImageSpace:
    """A box that is an image."""

    shape: tuple[int, int, int]
    """(H, W, C)."""
    channels_first: bool
    """Whether the environment gives it as [C, H, W]."""
    low: npt.NDArray[np.float64]
    """As the environment gives it."""
    span: npt.NDArray[np.float64]
    """Bounds apart, likewise; 1 where they are equal."""

    def numbers(self, given: Any) -> npt.NDArray[np.float32]:
        """float32 [H * W * C], channels last: 0 at the lower bounds and 1 at the upper ones."""
        scaled = ((np.asarray(given) - self.low) / self.span).astype(np.float32)
        return (np.moveaxis(scaled, 0, -1) if self.channels_first else scaled).reshape(-1)


def image_space(space: Any) -> ImageSpace | None:
    """A box of three dimensions with finite bounds as an image; None for any other space.

    Its channels are the last dimension, or the first one if that has at most 4 and the last has more.
    """
    from gymnasium import spaces

    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or not space.is_bounded() or 0 in space.shape:
        return None
    first = space.shape[0] <= _FEW_CHANNELS < space.shape[2]
    one, two, three = space.shape
    low = space.low.astype(np.float64)
    span = space.high.astype(np.float64) - low
    return ImageSpace(
        shape=(two, three, one) if first else (one, two, three),
        channels_first=first,
        low=low,
        span=np.where(span == 0, 1.0, span),
    )


def team_images(observed: Mapping[Any, Any], *, adapter: str) -> dict[Any, ImageSpace]:
    """The images of a team by agent, all of one shape; empty where no agent sees one.

    Raises WorldError for one that is too large, and where some agents see something else.
    """
    images = {name: image for name, space in observed.items() if (image := image_space(space)) is not None}
    if not images:
        return {}
    seen, image = next(iter(images.items()))
    for name, space in observed.items():
        if name not in images or images[name].shape != image.shape:
            raise WorldError(
                f"{adapter}: agent {seen!r} observes an image of {_sides(image)}, agent {name!r} {_described(space)}",
                remedy="Give all agents of a team images of one size, or vectors",
            )
    if image.low.size > LARGEST_IMAGE:
        raise WorldError(
            f"{adapter}: observation space of agent {seen!r} is an image of {_sides(image)}, {image.low.size} numbers; "
            f"each step sends one to every agent, of at most {LARGEST_IMAGE} numbers",
            remedy="Make it smaller in a wrapper, such as 64 x 64 x 3",
        )
    return images


def is_picture(space: Any) -> bool:
    """Whether a box that is no image of its own is a picture all the same, for which a vector is too little."""
    sides = sorted(space.shape)
    wide = len(sides) > 1 and sides[-2] >= _PICTURE_SIDE
    coloured = len(sides) == 3 and space.dtype == np.uint8 and bool((space.high == 255).all())
    return wide or coloured


def _sides(image: ImageSpace) -> str:
    return " x ".join(map(str, image.shape))


def _described(space: Any) -> str:
    image = image_space(space)
    return f"a {type(space).__name__} of shape {space.shape}" if image is None else f"one of {_sides(image)}"
