"""The foreign team with what it returns bent, for tests of what is said then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foreign_team import ForeignTeam
from gymnasium import spaces

Change = Callable[[Any], Any]


class Bent(ForeignTeam):
    """The foreign team, with what its methods return changed; a step's change comes with the second one."""

    def __init__(
        self,
        *,
        after_reset: Change = lambda answer: answer,
        after_step: Change = lambda answer: answer,
        fields: dict[str, Any] | None = None,
        observes: spaces.Space | None = None,
        acts: spaces.Space | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.after_reset, self.after_step, self.steps = after_reset, after_step, 0
        if observes is not None:
            self._observed = dict.fromkeys(self.possible_agents, observes)
        if acts is not None:
            self._acting["carrier"] = acts
        vars(self).update(fields or {})

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.steps = 0
        return self.after_reset(super().reset(seed=seed))

    def step(self, actions: dict[str, int]) -> Any:
        self.steps += 1
        answer = super().step(actions)
        return self.after_step(answer) if self.steps == 2 else answer


def put(place: int, agent: str, value: Any) -> Change:
    """Change one agent's entry of one of the dicts that a reset or a step returned."""
    return lambda answer: tuple(
        {**given, agent: value} if index == place else given for index, given in enumerate(answer)
    )


def drop(place: int, agent: str) -> Change:
    return lambda answer: tuple(
        {name: value for name, value in given.items() if name != agent} if index == place else given
        for index, given in enumerate(answer)
    )


def swap(place: int, value: Any) -> Change:
    return lambda answer: tuple(value if index == place else given for index, given in enumerate(answer))
