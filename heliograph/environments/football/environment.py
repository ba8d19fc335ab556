"""Google Research Football: our players against the game's own, in the exercises of its academy.

Every agent observes the whole pitch, its team's goals are everybody's reward, and the outcome is whether it scored.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from heliograph.environments.football.scenarios import INSTALL, SCENARIOS
from heliograph.environments.parallel import ParallelVector
from heliograph.errors import MissingExtra
from heliograph.settings import Settings


class FootballSettings(Settings):
    """Parameters of all football scenarios."""

    scenario: Literal[tuple(SCENARIOS)] = "academy_pass_and_shoot_with_keeper"  # type: ignore[valid-type]  # data
    """The exercise, by gfootball's name."""
    agents: Annotated[int, Field(ge=0, le=11)] = 0
    """How many agents play for us; 0: one for every player, the keeper too.  If they are fewer, the game chooses at
    every step whom they play, and plays the others."""
    rewards: Literal["scoring", "checkpoints"] = "scoring"
    """1 for a goal and -1 for one against us; `checkpoints`: up to 1 more for bringing the ball near their goal."""
    step_limit: Annotated[int, Field(ge=1, le=3000)] | None = None
    """Steps after which an episode is truncated; nothing: the scenario's."""

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> FootballSettings:
        scenario = SCENARIOS[self.scenario]
        if self.agents > scenario.players:
            raise ValueError(f"agents is {self.agents}, but {self.scenario} has {scenario.players} players of ours")
        if self.limit > scenario.limit:
            raise ValueError(f"step_limit is {self.limit}, but {self.scenario} ends after {scenario.limit} steps")
        return self

    @property
    def limit(self) -> int:
        return SCENARIOS[self.scenario].limit if self.step_limit is None else self.step_limit


class FootballEnvironment(ParallelVector):
    """`count` matches in this process."""

    def __init__(self, settings: FootballSettings, *, id: str, count: int) -> None:
        """Make the matches.  Raises WorldError for less than one, MissingExtra if the package cannot be loaded."""
        try:
            from heliograph.environments.football.match import Match, loaded

            loaded()
        except ImportError as error:
            raise MissingExtra(
                f"environment {id!r} cannot load gfootball: {error}", remedy=f"Install it with: {INSTALL}"
            ) from error
        super().__init__(
            lambda: Match(
                settings.scenario,
                agents=settings.agents or SCENARIOS[settings.scenario].players,
                checkpoints=settings.rewards == "checkpoints",
                step_limit=settings.limit,
            ),
            count=count,
            id=id,
            parameters=settings.model_dump(mode="json"),
            step_limit=settings.limit,
        )
