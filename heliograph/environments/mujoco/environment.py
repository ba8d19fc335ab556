"""MAMuJoCo: one robot, its joints shared out among agents that all get the same reward.

Every agent observes the positions and speeds of its own joints, and of those at most `agent_obsk` joints away; with
the robot's own frame, which all of them observe.  Where agents differ in size, what `ParallelVector` does for such
teams is done here too.  Everyone hears everyone.

For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.mujoco.robots import PARTITIONS
from heliograph.environments.mujoco.simulator import loaded
from heliograph.environments.parallel import ParallelVector
from heliograph.errors import MissingExtra, WorldError
from heliograph.extras import install
from heliograph.settings import Settings, Text

if TYPE_CHECKING:
    from heliograph.environments.mujoco.pictures import Camera


class MujocoSettings(Settings):
    """Parameters of the environment `mamujoco` and of all robots with a name of their own."""

    scenario: Literal[tuple(PARTITIONS)] = "HalfCheetah"  # type: ignore[valid-type]  # as many as the data has
    """The robot, and what it is to do."""
    agent_conf: Annotated[str, Text.OF_A_LIST] = "2x3"
    """How its joints are shared out: 2x3 is 2 agents with 3 joints each, 9|8 one with 9 and one with 8."""
    agent_obsk: Annotated[int, Field(ge=0, le=10)] = 0
    """How many joints away from its own an agent observes; 0: its own alone."""
    step_limit: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Steps after which an episode is truncated."""
    action_bits: Annotated[int, Field(ge=2, le=16)] = DEFAULT_BITS
    """Bits that a message spends on the action of one joint; the action is rounded to as many levels."""

    @property
    def continuous(self) -> bool:
        """Whether actions are vectors."""
        return True

    @model_validator(mode="after")
    def _can_be_shared_out_so(self) -> MujocoSettings:
        if self.agent_conf not in PARTITIONS[self.scenario]:
            raise ValueError(
                f"agent_conf {self.agent_conf!r} is none of {self.scenario}'s, which are "
                f"{', '.join(PARTITIONS[self.scenario])}"
            )
        return self


class MujocoEnvironment(ParallelVector):
    """`count` robots in this process."""

    def __init__(self, settings: MujocoSettings, *, id: str, count: int) -> None:
        """Make the robots.  Raises WorldError for less than one, MissingExtra if the packages are broken."""
        try:
            robots = loaded()
        except ImportError as error:
            raise MissingExtra(
                f"environment {id!r} cannot load MuJoCo: {error}",
                remedy=install("mujoco"),
            ) from error
        super().__init__(
            lambda: robots.make(
                settings.scenario, settings.agent_conf, agent_obsk=settings.agent_obsk, step_limit=settings.step_limit
            ),
            count=count,
            id=id,
            parameters=settings.model_dump(mode="json"),
            step_limit=settings.step_limit,
            action_bits=settings.action_bits,
        )
        from heliograph.environments.mujoco import pictures

        reason = pictures.cannot_draw()
        self._spec = replace(self.spec, renders=not reason, cannot_draw=reason)
        self._cameras: dict[int, Camera] = {}

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """See VectorEnvironment.  The camera follows the robot."""
        if not self.spec.renders:
            raise WorldError(f"{self.spec.id} cannot be drawn: {self.spec.cannot_draw}")
        from heliograph.environments.mujoco.pictures import Camera

        simulated = self._copies[copy].single_agent_env.unwrapped
        if copy not in self._cameras:
            self._cameras[copy] = Camera(simulated.model)
        return self._cameras[copy].picture(simulated.data)

    def close(self) -> None:
        """See VectorEnvironment."""
        for camera in self._cameras.values():
            camera.close()
        self._cameras.clear()
        super().close()
