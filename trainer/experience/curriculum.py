"""A curriculum: one parameter of the environment that begins elsewhere and goes to its own value as training goes on.

Which value an episode has follows from the environment steps before it alone, so a run that is resumed goes on with the
same ones.  For the collector, which begins the episodes; evaluations have the parameter's own value from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from heliograph.errors import SettingsError
from heliograph.settings import Settings, Text

if TYPE_CHECKING:
    from heliograph.environments.vector import VectorEnvironment


class CurriculumSettings(Settings):
    """Training begins with another value of one parameter of the environment (IC3Net's curriculum of arrival rates)."""

    parameter: Annotated[str, Text.OF_A_LIST]
    """One that the environment can have another value of in every episode; of Traffic Junction `arrival_rate`."""
    begin: float
    """Its value in the first episodes."""
    hold: NonNegativeInt = 0
    """Environment steps, over all copies, for which it stays there."""
    until: PositiveInt
    """Environment steps after which episodes have its own value; from `hold` until there it goes straight there."""

    @model_validator(mode="after")
    def _ends_after_it_holds(self) -> Self:
        if self.until <= self.hold:
            raise ValueError(f"until is {self.until}, but the value is held for {self.hold} steps; give more")
        return self

    def value(self, own: float, env_steps: int) -> float:
        """Of the parameter in an episode that begins after so many steps of the run."""
        share = (env_steps - self.hold) / (self.until - self.hold)
        return self.begin + (own - self.begin) * min(max(share, 0.0), 1.0)


def own_value(curriculum: CurriculumSettings, environment: VectorEnvironment) -> float:
    """Of the parameter, where the curriculum ends.  Raises SettingsError where it is none that can vary."""
    variable = environment.variable
    if curriculum.parameter not in variable:
        raise SettingsError(
            f"environment.curriculum.parameter is {curriculum.parameter!r}, which {environment.spec.id} cannot change "
            f"from episode to episode; what it can is {', '.join(sorted(variable)) or 'nothing'}",
            remedy="Name another, or train without a curriculum",
        )
    return variable[curriculum.parameter]
