"""What MAPPO, IPPO, HAPPO and Attention-PPO share: PPO on what the acting networks have just collected.

Axis legend: T rows of a window, E copies; L rows of a sequence, Q sequences; N agents, P outputs of an actor.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.model_free.agent_network import AgentNetwork, Decisions
from trainer.algorithms.model_free.carried import CARRIED, packed
from trainer.algorithms.model_free.sequences import Sequences, sequences_of
from trainer.algorithms.model_free.settings import PpoSettings
from trainer.experience.columns import STATE, Column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.nets.means import Means
from trainer.nets.value_scale import ValueScale
from trainer.policy.ppo import policy_loss, value_loss
from trainer.ranks.group import ranks


class OnPolicy:
    """Most of an `Algorithm`; how agents act, together and each alone, is left to each.

    It is never to be collected from while it learns: an update takes all that is new in replay for its own doing.
    """

    def __init__(
        self, ppo: PpoSettings, spec: EnvironmentSpec, *, network: AgentNetwork, critic: nn.Module, device: torch.device
    ) -> None:
        """`critic` gives values [..., N] of observation [..., N, D] and state [..., S]."""
        self.ppo, self.spec, self.device = ppo, spec, device
        self.network = network.to(device)
        self.critic, self.scale = critic.to(device), ValueScale().to(device)
        self.actions = network.actions
        self._optimisers = {
            "policy": adam(self.network, ppo.actor_learning_rate),
            "critic": adam(self.critic, ppo.critic_learning_rate),
        }

    def columns(self) -> dict[str, Column]:
        return {CARRIED: Column(shape=tuple(packed(self.network.initial_state(1)).shape[1:]))}

    def behaviour(self) -> AgentNetwork:
        return self.network

    def policy(self) -> AgentNetwork:
        return self.network

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """`epochs` of PPO over everything that was collected since the last update."""
        window, new = replay.unread()
        if not ranks().all(bool(new.any())):
            return {}
        sequences = self.sequences(window.to(self.device), new.to(self.device))
        if not ranks().all(bool(sequences.counts.any())):
            return {}
        counted = sequences.returns[sequences.counts]
        if not torch.isfinite(counted).all():
            raise NonFiniteLoss(
                "the returns of what was collected are not finite: the critic has diverged",
                remedy="Go on with a smaller learning rate",
            )
        if self.ppo.value_normalisation:
            self.scale.see(counted)
        metrics = Means()
        metrics.add({"policy/return": float(counted.mean())})
        self.learn(sequences, random, metrics)
        return metrics.result()

    def learn(self, sequences: Sequences, random: np.random.Generator, metrics: Means) -> None:
        """All epochs on what was collected: in each minibatch a gradient step on actor and critic each."""
        with torch.no_grad():
            old = self.decisions(sequences).log_probability
        for index in self.minibatches(sequences, random):
            picked = sequences.pick(index)
            metrics.add(self.policy_step("policy", self.network, picked, old[:, index]))
            metrics.add(self.critic_step(picked))

    def minibatches(self, sequences: Sequences, random: np.random.Generator) -> Iterator[Tensor]:
        """Indices of sequences: all of them in every epoch, split at random; on every rank as many."""
        count = sequences.counts.shape[1]
        steps = ranks().least(count)
        for _ in range(self.ppo.epochs):
            order = torch.from_numpy(random.permutation(count)[:steps]).to(self.device)
            yield from order.chunk(self.ppo.minibatches)

    def sequences(self, window: Window, new: Tensor) -> Sequences:
        """The new rows (bool [T, E]) of a window, with what they earned."""
        with torch.no_grad():
            values = self.scale.from_scale(self.critic(window.observation, window.columns.get(STATE)))
        return sequences_of(window, new, values, self.ppo)

    def decisions(self, sequences: Sequences, network: AgentNetwork | None = None) -> Decisions:
        """What `network` (None: the team's) says of them."""
        outputs = (network or self.network).outputs(sequences)
        return Decisions(
            log_probability=self.actions.log_probability(outputs, sequences.action),
            entropy=self.actions.entropy(outputs),
        )

    def policy_step(self, name: str, network: AgentNetwork, sequences: Sequences, old: Tensor) -> dict[str, float]:
        """A gradient step of the optimiser `name` on a network; `old` [L, Q, N] are the log-probabilities of what was
        done by the one that acted."""
        ppo, counts = self.ppo, sequences.counts
        now = self.decisions(sequences, network)
        loss = policy_loss(
            now.log_probability[counts],
            old[counts],
            advantage=sequences.advantage[counts],
            entropy=now.entropy[counts],
            clip=ppo.clip,
            entropy_scale=ppo.entropy_scale,
        )
        whole, metrics = loss.loss, loss.metrics()
        if now.auxiliary is not None:
            whole = whole + now.auxiliary
            metrics["policy/auxiliary_loss"] = float(now.auxiliary.detach())
        return {"policy/actor_gradient_norm": self._step(name, network, whole), **metrics}

    def critic_step(self, sequences: Sequences) -> dict[str, float]:
        """A gradient step on the critic."""
        counts = sequences.counts
        values = self.critic(sequences.observation, sequences.state)[counts]
        error = value_loss(values, self.scale.to_scale(sequences.returns[counts]))
        norm = self._step("critic", self.critic, error)
        return {"policy/critic_loss": float(error.detach()), "policy/critic_gradient_norm": norm}

    def _step(self, name: str, module: nn.Module, loss: Tensor) -> float:
        return gradient_step(name, module, self._optimisers[name], loss, clip=self.ppo.gradient_clip)

    def modules(self) -> dict[str, nn.Module]:
        return {"policy": self.network, "critic": self.critic, "value_scale": self.scale}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(self._optimisers)

    def counters(self) -> dict[str, float]:
        return {}

    def restore_counters(self, counters: dict[str, float]) -> None:
        """There are none."""
