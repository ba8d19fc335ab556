"""HAPPO: heterogeneous-agent PPO (Kuba et al. 2022, "Trust region policy optimisation in multi-agent reinforcement
learning").

Agents share no network.  After every collection they learn one after another, in an order that is drawn anew: each by
PPO on the team's advantage times how much likelier those before it have made what they did.  So the whole team improves
step by step, where agents that all learn at once may undo one another's progress.

Axis legend: L rows of a sequence, Q sequences, N agents.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.happo.own_policies import OwnPolicies
from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.algorithms.step_function import StepFunction
from trainer.experience.columns import Column, state_column
from trainer.nets.gradient_steps import adam
from trainer.nets.means import Means
from trainer.policy.ppo import probability_ratio
from trainer.ranks.group import ranks


class Happo(OnPolicy):
    """An `Algorithm`."""

    name = "happo"
    network: OwnPolicies

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            network=OwnPolicies(settings, spec),
            critic=CentralCritic(spec, hidden=settings.hidden, image_channels=settings.image_channels),
            device=device,
        )
        rate = settings.ppo.actor_learning_rate
        own = {_optimiser(slot): adam(member, rate) for slot, member in enumerate(self.network.each)}
        self._optimisers = own | {"critic": self._optimisers["critic"]}

    def columns(self) -> dict[str, Column]:
        return super().columns() | state_column(self.spec)

    def learn(self, sequences: Sequences, random: np.random.Generator, metrics: Means) -> None:
        """All epochs of one agent after another, then those of the critic, as in the paper's listing of HAPPO.

        Ranks take the agents in the order that the first has drawn.
        """
        factor = torch.ones_like(sequences.advantage[..., :1])  # [L, Q, 1]
        for slot in ranks().of_lead(random.permutation(self.spec.agents).tolist()):
            own = sequences.of(slot)
            factor = factor * self.learn_alone(slot, own, factor, random, metrics)
        metrics.add({"policy/factor_deviation": float(factor[sequences.counts.any(-1)].std(correction=0))})
        for index in self.minibatches(sequences, random):
            metrics.add(self.critic_step(sequences.pick(index)))

    def learn_alone(
        self, slot: int, own: Sequences, factor: Tensor, random: np.random.Generator, metrics: Means
    ) -> Tensor:
        """The epochs of agent `slot` on its own sequences, with what those before it have made of the advantage; how
        much likelier it then does what it did, [L, Q, 1], 1 where it did nothing.

        It learns of what it did on all ranks, or of nothing.
        """
        member = self.network.each[slot]
        with torch.no_grad():
            old = self.decisions(own, member).log_probability
        weighted = replace(own, advantage=own.advantage * factor)
        if ranks().all(bool(own.counts.any())):
            for index in self.minibatches(own, random):
                picked = weighted.pick(index)
                if ranks().all(bool(picked.counts.any())):
                    metrics.add(self.policy_step(_optimiser(slot), member, picked, old[:, index]))
        with torch.no_grad():
            now = self.decisions(own, member).log_probability
        return likelier(now, old, own.counts)

    def step_function(self, slot: int) -> StepFunction:
        return self.network.each[slot].step_function(self.spec, slot=0)


def likelier(now: Tensor, old: Tensor, counts: Tensor) -> Tensor:
    """Ratio of probabilities, of log-probabilities [...], where something was done (bool `counts` [...]); else 1."""
    return torch.where(counts, probability_ratio(now, old), 1.0)


def _optimiser(slot: int) -> str:
    """Name of an agent's optimiser."""
    return f"policy-{slot}"
