"""A team that acts once more through what it collected: the states that its posteriors must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trainer.algorithms.dreamer.execution import TeamState
from trainer.algorithms.mamba.mamba import Mamba
from trainer.experience.links import AGE
from trainer.experience.window import Window
from trainer.policy.draws import GreedyDraws


def states_of(algorithm: Mamba, window: Window) -> Iterator[TeamState]:
    """The state after each row of windows that begin with their episodes; what it says is drawn greedily."""
    team, state = algorithm.behaviour(), algorithm.behaviour().initial_state(window.first.shape[1])
    for t in range(len(window.first)):
        if t:
            state = replace(state, action=window.action[t])  # what was done at a row stands in the next one
        _, state = team.act(
            state,
            observation=window.observation[t],
            action_mask=window.action_mask[t],
            hears=None,
            first=window.first[t],
            draws=GreedyDraws(),
            **({"age": window.columns[AGE][t].long()} if AGE in window.columns else {}),
        )
        yield state
