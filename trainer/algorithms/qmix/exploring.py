"""How experience is collected: by the agents' values, and at random as often as the schedule still says.

Axis legend: E copies, N agents, D observation, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.algorithms.model_free.recurrent_network import RecurrentNetwork, RecurrentState
from trainer.algorithms.qmix.epsilon_greedy import EpsilonGreedy
from trainer.algorithms.qmix.settings import ExplorationSettings
from trainer.experience.replay import Replay
from trainer.policy.draws import Draws

EPSILON = "epsilon"
"""Column of the epsilon with which a row's action was chosen."""
_ROWS = 8
"""More than the first row and the absorbing ones that follow an action at most, unless somebody wants more of those."""


def epsilon_after(steps: int, settings: ExplorationSettings) -> float:
    """Linear from `begin` to `end` in as many environment steps as the settings say."""
    share = min(steps / settings.steps, 1.0)
    return settings.begin + share * (settings.end - settings.begin)


def latest_epsilon(replay: Replay) -> float:
    """With what was acted last, by what is noted; 0 where nothing is, as in rows that no action led to."""
    newest = replay.newest_window(_ROWS * replay.copies)
    noted = torch.zeros(0, 1) if newest is None else newest.columns[EPSILON]  # [T, E]
    acted = noted[(noted > 0).any(1)]
    return float(acted[-1].max()) if len(acted) else 0.0


@dataclass(frozen=True, kw_only=True)
class ExploringState(RecurrentState):
    """The state of the agents, and how far the schedule is."""

    steps: Tensor
    """int64 [E]: how often the team of a copy has acted since the run began."""
    epsilon: Tensor
    """[E]: with what it acted last."""


@dataclass(frozen=True, kw_only=True)
class Exploring:
    """A `Behaviour`.  It counts steps in what it carries, so that a schedule neither depends on when updates are made
    nor begins again when a run is resumed."""

    network: RecurrentNetwork
    settings: ExplorationSettings

    def initial_state(self, copies: int) -> ExploringState:
        fresh = self.network.initial_state(copies)
        zeros = fresh.hidden.new_zeros(copies)
        return ExploringState(hidden=fresh.hidden, action=fresh.action, steps=zeros.long(), epsilon=zeros)

    @torch.no_grad()
    def act(
        self,
        state: ExploringState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, ExploringState]:
        epsilon = epsilon_after(int(state.steps.sum()), self.settings)
        values, hidden = self.network.advance(state, observation, action_mask, first)
        action = draws.action(values, EpsilonGreedy(self.network.actions.mask_size, epsilon))
        return action, ExploringState(
            hidden=hidden, action=action, steps=state.steps + 1, epsilon=torch.full_like(state.epsilon, epsilon)
        )

    def columns(self, state: ExploringState) -> dict[str, Tensor]:
        return {EPSILON: state.epsilon}
