"""What MAPPO and Attention-PPO share: PPO on what the acting networks have just collected.

Axis legend: T rows of a window, E copies; L rows of a sequence, Q sequences; N agents, P outputs of an actor.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.interfaces import Actor
from trainer.algorithms.model_free.sequences import Sequences, sequences_of
from trainer.algorithms.model_free.settings import PpoSettings
from trainer.algorithms.model_free.value_scale import ValueScale
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.nets.means import Means
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import Draws


class Policy(Actor, Protocol):
    """A network that acts, and that says along sequences how it would act now."""

    actions: ActionDistribution

    def outputs(self, sequences: Sequences) -> Tensor:
        """[L, Q, N, P], without what is illegal; for what was done, equal to the outputs that it was drawn from as long
        as nothing has been learned."""
        ...


class OnPolicy:
    """Most of an `Algorithm`; how agents act, together and each alone, is left to each.

    It is never to be collected from while it learns: an update takes all that is new in replay for its own doing.
    """

    reads_carried = True

    def __init__(
        self, ppo: PpoSettings, spec: EnvironmentSpec, *, policy: nn.Module, critic: nn.Module, device: torch.device
    ) -> None:
        """`policy` is a `Policy`; `critic` gives values [..., N] for observation [..., N, D] and state [..., S]."""
        self.ppo, self.spec, self.device = ppo, spec, device
        self.policy: Any = policy.to(device)
        self.critic, self.scale = critic.to(device), ValueScale().to(device)
        self.actions: ActionDistribution = self.policy.actions
        self._optimisers = {
            "policy": adam(self.policy, ppo.actor_learning_rate),
            "critic": adam(self.critic, ppo.critic_learning_rate),
        }

    def initial_state(self, copies: int) -> Any:
        return self.policy.initial_state(copies)

    def act(
        self,
        state: Any,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, Any]:
        return self.policy.act(
            state, observation=observation, action_mask=action_mask, hears=hears, first=first, draws=draws
        )

    def acting_copy(self) -> Actor:
        return deepcopy(self.policy)

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """`epochs` of PPO over everything that was collected since the last update."""
        window, new = replay.unread()
        sequences = self.sequences(window.to(self.device), new.to(self.device))
        if not sequences.counts.any():
            return {}
        counted = sequences.returns[sequences.counts]
        if not torch.isfinite(counted).all():
            raise NonFiniteLoss(
                "the returns of what was collected are not finite: the critic has diverged",
                remedy="The last checkpoint is whole; resume it with a smaller learning rate",
            )
        if self.ppo.value_normalisation:
            self.scale.see(counted)
        metrics = Means()
        metrics.add({"policy/return": float(counted.mean())})
        with torch.no_grad():
            old = self.log_probability(sequences)[0]
        for _ in range(self.ppo.epochs):
            order = torch.from_numpy(random.permutation(old.shape[1])).to(self.device)
            for index in order.chunk(self.ppo.minibatches):
                self._learn(sequences.pick(index), old[:, index], metrics)
        return metrics.result()

    def sequences(self, window: Window, new: Tensor) -> Sequences:
        """The new rows (bool [T, E]) of a window, with what they earned."""
        with torch.no_grad():
            values = self.scale.from_scale(self.critic(window.observation, window.state))
        return sequences_of(window, new, values, self.ppo)

    def log_probability(self, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """Of what was done, and the entropy of what could have been; [L, Q, N] each."""
        outputs = self.policy.outputs(sequences)
        return self.actions.log_probability(outputs, sequences.action), self.actions.entropy(outputs)

    def _learn(self, sequences: Sequences, old: Tensor, metrics: Means) -> None:
        """One gradient step on actor and critic each."""
        ppo, counts = self.ppo, sequences.counts
        advantage = sequences.advantage[counts]
        now, entropies = self.log_probability(sequences)
        ratio = torch.exp(now[counts] - old[counts])
        surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - ppo.clip, 1 + ppo.clip) * advantage).mean()
        entropy = entropies[counts].mean()
        policy_norm = self._step("policy", self.policy, -surrogate - ppo.entropy_scale * entropy)
        value = self.critic(sequences.observation, sequences.state)[counts]
        error = 0.5 * (self.scale.to_scale(sequences.returns[counts]) - value).square().mean()
        critic_norm = self._step("critic", self.critic, error)
        metrics.add(
            {
                "policy/entropy": float(entropy.detach()),
                "policy/surrogate": -float(surrogate.detach()),
                "policy/clipped": float(((ratio.detach() - 1).abs() > ppo.clip).float().mean()),
                "policy/critic_loss": float(error.detach()),
                "policy/actor_gradient_norm": policy_norm,
                "policy/critic_gradient_norm": critic_norm,
            }
        )

    def _step(self, name: str, module: nn.Module, loss: Tensor) -> float:
        return gradient_step(name, module, self._optimisers[name], loss, clip=self.ppo.gradient_clip)

    def modules(self) -> dict[str, nn.Module]:
        return {"policy": self.policy, "critic": self.critic, "value_scale": self.scale}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(self._optimisers)

    def counters(self) -> dict[str, float]:
        return {}

    def restore_counters(self, counters: dict[str, float]) -> None:
        """There are none."""
