"""Learning in imagination: a world model learns from replay, actor and critic from what it imagines (MAMBA §3.3).

An algorithm says how its model learns and how it imagines; what is imagined is the same to actor and critic whatever
the model is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.held_out import HeldOut, Predicted
from trainer.experience.batch import Batch
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.nets.means import Means
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import ImaginedRollout
from trainer.policy.ppo import actor_loss, critic_loss, policy_batch
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import survival


class ImaginationLearner(ABC):
    """Most of an `Algorithm`; the model, acting and export are left to each."""

    def __init__(
        self,
        learning: PolicySettings,
        spec: EnvironmentSpec,
        *,
        actions: ActionDistribution,
        actor: nn.Module,
        critic: nn.Module,
        device: torch.device,
    ) -> None:
        """`actor` gives outputs, `critic` values of the features of an imagined rollout."""
        self.learning, self.spec, self.actions, self.device = learning, spec, actions, device
        self.actor, self.critic = actor.to(device), critic.to(device)
        self.entropy_scale = learning.entropy_scale
        self.held_out = HeldOut()
        """How well the model predicts what it has not learned from, as of this iteration's fresh experience: it is
        measured before `update` (`held_out.measure_held_out`), so `update` may act on it."""
        self._networks: dict[str, nn.Module] = {}
        self._optimisers: dict[str, torch.optim.Optimizer] = {}
        self.learns("actor", self.actor, rate=learning.actor_learning_rate, weight_decay=learning.actor_weight_decay)
        self.learns("critic", self.critic, rate=learning.critic_learning_rate)

    def learns(self, name: str, network: nn.Module, *, rate: float, weight_decay: float = 0.0) -> None:
        """Give a network an optimiser; `step` steps it, and checkpoints keep both, by this name."""
        self.learns_by(name, network, adam(network, rate, weight_decay))

    def learns_by(self, name: str, network: nn.Module, optimiser: torch.optim.Optimizer | None) -> None:
        """The same with an optimiser of its own; None: gradients do not step it, but checkpoints keep it."""
        self._networks[name] = network
        if optimiser is not None:
            self._optimisers[name] = optimiser

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """Learn the model, then imagine and learn the policy, `rounds` times."""
        metrics = Means()
        self.learn_model(replay, random, metrics)
        if self.model_is_ready():
            for _ in range(self.learning.rounds):
                self.learn_policy(self.imagine(replay, random), metrics)
        return metrics.result()

    @abstractmethod
    def learn_model(self, replay: Replay, random: np.random.Generator, metrics: Means) -> None:
        """All model updates of one training iteration."""

    @abstractmethod
    def model_is_ready(self) -> bool:
        """Whether there is something to learn from what the model imagines."""

    @abstractmethod
    def predict(self, window: Window, draws: RandomDraws) -> Predicted | None:
        """See `held_out.PredictingAlgorithm`."""

    @property
    def reward_r2(self) -> float | None:
        """Of the reward head, on held-out experience; see `HeldOut.reward_r2`."""
        return self.held_out.reward_r2

    @abstractmethod
    def imagine(self, replay: Replay, random: np.random.Generator) -> ImaginedRollout:
        """Roll the model out under the policy, from what was seen."""

    @property
    def longest_dream(self) -> int | None:
        """See `dreaming.DreamingAlgorithm`, as of the next three."""
        return None

    def leading_rows(self, window: int) -> int:
        return window - 1

    @abstractmethod
    def imagine_after(self, seen: Batch, draws: RandomDraws, *, horizon: int) -> ImaginedRollout: ...

    @abstractmethod
    def reconstructed(self, rollout: ImaginedRollout) -> Tensor: ...

    def learn_policy(self, rollout: ImaginedRollout, metrics: Means) -> None:
        """One round: `epochs` of PPO over shuffled minibatches of joint rows."""
        learning = self.learning
        batch = policy_batch(rollout, self.critic, learning, self.actions)
        if not torch.isfinite(batch.advantage).all():
            raise NonFiniteLoss(
                "the advantages of the imagined rows are not finite: the critic or the reward head has diverged",
                remedy="The last checkpoint is whole; resume it with a smaller learning rate",
            )
        rows = batch.returns.shape[0]
        for _ in range(learning.epochs):
            order = torch.randperm(rows, device=self.device)
            for index in order.split(learning.minibatch):
                part = batch.rows(index)
                policy = actor_loss(
                    self.actor, part, self.actions, clip=learning.clip, entropy_scale=self.entropy_scale
                )
                actor_norm = self.step("actor", policy.loss, clip=learning.gradient_clip)
                self.entropy_scale = max(self.entropy_scale * learning.entropy_decay, learning.entropy_floor)
                value = critic_loss(self.critic, part)
                critic_norm = self.step("critic", value, clip=learning.gradient_clip)
                metrics.add(
                    {
                        **policy.metrics(),
                        "policy/critic_loss": float(value.detach()),
                        "policy/actor_gradient_norm": actor_norm,
                        "policy/critic_gradient_norm": critic_norm,
                    }
                )
        metrics.add(
            {
                "policy/imagined_reward": float(rollout.reward.mean()),
                "policy/imagined_return": float(batch.returns.mean()),
                "policy/imagined_after_end": float(1 - survival(rollout.continuation).mean()),
                "policy/entropy_scale": self.entropy_scale,
            }
        )

    def step(self, name: str, loss: Tensor, *, clip: float) -> float:
        """One gradient step of a network; its gradient's norm.  Raises NonFiniteLoss before it does harm."""
        return gradient_step(name, self._networks[name], self._optimisers[name], loss, clip=clip)

    def modules(self) -> dict[str, nn.Module]:
        """The model's first, so that what does not fit is told of it and not of the actor that reads it."""
        return dict(sorted(self._networks.items(), key=lambda named: named[0] in ("actor", "critic")))

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(self._optimisers)

    def counters(self) -> dict[str, float]:
        return {"entropy_scale": self.entropy_scale} | self.held_out.counters()

    def restore_counters(self, counters: dict[str, float]) -> None:
        self.entropy_scale = counters["entropy_scale"]
        self.held_out.restore(counters)
