"""A picture of an environment, or one sentence: what draws it is other people's code, and costs nobody an episode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.environments.png import check_picture
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import HeliographError, WorldError


def picture_of(environment: VectorEnvironment) -> npt.NDArray[np.uint8]:
    """Copy 0 as uint8 [height, width, 3].  Raises WorldError, whatever `render` raises or returns."""
    try:
        pixels = environment.render()
        check_picture(pixels)
    except HeliographError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise WorldError(
            f"environment {environment.spec.id!r} cannot be drawn: {cause}",
            remedy="Mend its render(), or what that needs on this machine",
        ) from error
    return pixels
