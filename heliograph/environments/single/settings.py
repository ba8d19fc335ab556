"""Parameters of gymnasium's worlds, and which of them go together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.factors import MOST_JOINT_ACTIONS
from heliograph.environments.single.tasks import TASKS
from heliograph.settings import Settings


class SingleSettings(Settings):
    """Parameters of the environment `gymnasium` and of its worlds with a name of their own."""

    task: Literal[tuple(TASKS)] = "CartPole-v1"  # type: ignore[valid-type]  # as many as the data has
    """The world, by gymnasium's id."""
    levels: Annotated[int, Field(ge=0, le=256)] = 0
    """Values that each dimension of a continuous action can take, evenly from its low to its high bound, 2 or more;
    0: it stays continuous."""
    split: bool = False
    """An agent for every dimension of the action; each observes all that there is, and which dimension is its own."""
    step_limit: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Steps after which an episode is truncated; nothing: gymnasium's limit."""
    action_bits: Annotated[int, Field(ge=2, le=16)] = DEFAULT_BITS
    """Bits that a message spends on one dimension of a continuous action, which is rounded to as many levels."""

    @property
    def continuous(self) -> bool:
        """Whether actions are vectors."""
        return bool(TASKS[self.task].dimensions) and not self.levels

    @model_validator(mode="after")
    def _levels_fit_the_task(self) -> SingleSettings:
        dimensions = TASKS[self.task].dimensions
        if self.levels == 1:
            raise ValueError("levels is 1, which leaves nothing to choose; 0 leaves actions continuous")
        if not dimensions and self.levels:
            raise ValueError(f"levels is {self.levels}, but the actions of {self.task} are numbered already")
        if dimensions < 2 and self.split:
            raise ValueError(f"split is true, but the action of {self.task} has no dimensions to share out")
        if not self.split and self.levels**dimensions > MOST_JOINT_ACTIONS:
            raise ValueError(
                f"{self.levels} levels of {dimensions} dimensions are {self.levels**dimensions} joint actions, more "
                f"than the {MOST_JOINT_ACTIONS} that are numbered; give fewer levels, or split = true"
            )
        return self
