"""What was collected since the last update, cut into sequences: the data of PPO on real experience.

Axis legend: T rows of a window, E copies; L rows of a sequence, Q sequences; N agents, D observation, A entries of an
action mask, S global state, C numbers that an agent carries.

A row of a sequence is a step at which a team acted: what it saw, what it had carried into the step, what it did, and
what it carried out of it.  Rows that do not count are there so that all sequences are equally long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from trainer.algorithms.model_free.carried import CARRIED
from trainer.algorithms.model_free.settings import PpoSettings
from trainer.experience.columns import STATE
from trainer.experience.earned import acted, returns_of
from trainer.experience.window import Window
from trainer.policy.ppo import normalised

ADVANTAGE_EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True)
class Sequences:
    observation: Tensor
    """float [L, Q, N, D]."""
    action_mask: Tensor
    """bool [L, Q, N, A]."""
    hears: Tensor | None
    """bool [L, Q, N, N]; None on a complete graph."""
    first: Tensor
    """bool [L, Q]: the team acts on the first row of an episode."""
    state: Tensor | None
    """float [L, Q, S], the simulator's; None where replay keeps none."""
    carried_in: Tensor
    """float [L, Q, N, C]: what was carried into a row."""
    carried_out: Tensor
    """float [L, Q, N, C]: what was carried out of it."""
    begins: Tensor
    """bool [L, Q]: `carried_in` is data here; elsewhere it follows from the row before, through which gradients go."""
    action: Tensor
    """[L, Q, N, ...]: what was done."""
    counts: Tensor
    """bool [L, Q, N]: the agent acted, since the last update."""
    returns: Tensor
    """[L, Q, N]."""
    advantage: Tensor
    """[L, Q, N], normalised if the settings say so."""

    def of(self, slot: int) -> Sequences:
        """Those of one agent, N = 1, as far as it needs nothing of the others."""
        own = slice(slot, slot + 1)
        return replace(
            self,
            observation=self.observation[:, :, own],
            action_mask=self.action_mask[:, :, own],
            hears=None,
            carried_in=self.carried_in[:, :, own],
            carried_out=self.carried_out[:, :, own],
            action=self.action[:, :, own],
            counts=self.counts[:, :, own],
            returns=self.returns[:, :, own],
            advantage=self.advantage[:, :, own],
        )

    def pick(self, index: Tensor) -> Sequences:
        """Some of the sequences."""
        state, hears = self.state, self.hears
        return Sequences(
            observation=self.observation[:, index],
            action_mask=self.action_mask[:, index],
            hears=None if hears is None else hears[:, index],
            first=self.first[:, index],
            state=None if state is None else state[:, index],
            carried_in=self.carried_in[:, index],
            carried_out=self.carried_out[:, index],
            begins=self.begins[:, index],
            action=self.action[:, index],
            counts=self.counts[:, index],
            returns=self.returns[:, index],
            advantage=self.advantage[:, index],
        )


def sequences_of(window: Window, new: Tensor, values: Tensor, settings: PpoSettings) -> Sequences:
    """Cut a window whose last rows are `new` (bool [T, E]) into sequences.

    `values` [T, E, N] are the critic's.  The new rows of a copy were collected with the networks as they are now.
    """
    state, carried = window.columns.get(STATE), window.columns[CARRIED]
    counts = acted(window) & new[1:].unsqueeze(-1)  # [T - 1, E, N]
    returns = returns_of(
        window, values, discount=settings.discount, trace=settings.trace, sharing=settings.reward_sharing
    )
    advantage = returns - values[:-1]
    if settings.advantage_normalisation:
        advantage = normalised(advantage, over=advantage[counts], epsilon=ADVANTAGE_EPSILON)

    def cut(rows: Tensor) -> Tensor:
        return _cut(rows, settings.sequence)

    begins = cut(~new[:-1])
    begins[0] = True
    whole = Sequences(
        observation=cut(window.observation[:-1]),
        action_mask=cut(window.action_mask[:-1]),
        hears=None if window.hears is None else cut(window.hears[:-1]),
        first=cut(window.first[:-1]),
        state=None if state is None else cut(state[:-1]),
        carried_in=cut(carried[:-1]),
        carried_out=cut(carried[1:]),
        begins=begins,
        action=cut(window.action[1:]),
        counts=cut(counts),
        returns=cut(returns),
        advantage=cut(advantage),
    )
    return whole.pick(whole.counts.any(-1).any(0).nonzero().squeeze(-1))


def _cut(rows: Tensor, length: int) -> Tensor:
    """[T, E, ...] -> [L, Q, ...], the last ones padded with zeros."""
    missing = -rows.shape[0] % length
    padded = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing)) if missing else rows
    cut: Tensor = padded.unflatten(0, (-1, length)).transpose(0, 1).flatten(1, 2)
    return cut
