"""Learning in imagination: a world model learns from replay, actor and critic from what it imagines (MAMBA §3.3).

An algorithm says how its model learns and how it imagines; what is imagined is the same to actor and critic whatever
the model is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.held_out import HeldOut, Predicted
from trainer.algorithms.recent import experience_batch, recent_experience
from trainer.experience.batch import Batch
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.nets.means import Means
from trainer.nets.value_scale import ValueScale
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import Features, ImaginedRollout
from trainer.policy.ppo import PolicyBatch, PolicyLoss, actor_loss, critic_loss, policy_batch
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import share_after_end
from trainer.ranks.group import ranks

SMALLEST_ENTROPY_SCALE, LARGEST_ENTROPY_SCALE = 1e-3, 1.0
"""Between which an entropy target steers it."""


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
        self._reported_rewards = False
        self.held_out = HeldOut()
        """How well the model predicts what it has not learned from, as of this iteration's fresh experience: it is
        measured before `update` (`held_out.measure_held_out`), so `update` may act on it."""
        self._networks: dict[str, nn.Module] = {}
        self._optimisers: dict[str, torch.optim.Optimizer] = {}
        self.learns("actor", self.actor, rate=learning.actor_learning_rate, weight_decay=learning.actor_weight_decay)
        self.learns("critic", self.critic, rate=learning.critic_learning_rate)
        self.value_scale = ValueScale().to(device) if learning.value_normalisation else None
        if self.value_scale is not None:
            self.learns_by("value_scale", self.value_scale, None)

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
        if self.learning.experience_epochs:
            self.learn_from_experience(replay, metrics)
        if self.model_is_ready() and self._reports_rewards():
            for _ in range(self.learning.rounds):
                self.learn_policy(self.imagine(replay, random), metrics)
        return metrics.result()

    def learn_from_experience(self, replay: Replay, metrics: Means) -> None:
        """`experience_epochs` of PPO over what was collected since the last update."""
        learning = self.learning
        window = replay.settings.window
        recent = recent_experience(replay, leading=max(window, self.leading_rows(window)), device=self.device)
        if not ranks().all(recent is not None):
            return
        assert recent is not None
        batch = experience_batch(
            recent,
            self.features(recent.window),
            actor=self.actor,
            value=self.value,
            settings=learning,
            actions=self.actions,
            masks=self.spec.has_action_mask,
        )
        self.learn_from(batch, metrics, epochs=learning.experience_epochs)

    def features(self, window: Window) -> Features:
        """What actor and critic read at each row of a window, [T, B, N, ...] each."""
        raise NotImplementedError

    def _reports_rewards(self) -> bool:
        """Whether the model has once told new rewards as well as the settings ask for."""
        least, r2 = self.learning.reward_r2, self.held_out.reward_r2
        if not self._reported_rewards:
            # Each rank has held out what it has collected, and all must be told by the model that they share.
            self._reported_rewards = ranks().all(least is None or (r2 is not None and r2 >= least))
        return self._reported_rewards

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
    def longest_rollout(self) -> int | None:
        """See `imagining.ImaginingAlgorithm`, as of the next three."""
        return None

    def leading_rows(self, window: int) -> int:
        return window - 1

    @abstractmethod
    def imagine_after(
        self, seen: Batch, draws: RandomDraws, *, horizon: int, actions: Tensor | None = None
    ) -> ImaginedRollout: ...

    @abstractmethod
    def reconstructed(self, rollout: ImaginedRollout) -> Tensor: ...

    def learn_policy(self, rollout: ImaginedRollout, metrics: Means) -> None:
        """One round: `epochs` of PPO over what was imagined, or of its critic alone."""
        batch = policy_batch(rollout, self.value, self.learning, self.actions)
        teaches_actor = self.learning.imagination_teaches == "both"
        self.learn_from(batch, metrics, epochs=self.learning.epochs, teaches_actor=teaches_actor)
        metrics.add(
            {
                "policy/imagined_reward": float(rollout.reward.mean()),
                "policy/imagined_return": float(batch.returns.mean()),
                "policy/imagined_after_end": float(
                    share_after_end(rollout.continuation, weighted=self.learning.survival_weighting)
                ),
                "policy/entropy_scale": self.entropy_scale,
            }
        )

    def value(self, *features: Tensor) -> Tensor:
        """Values [M, N] of the critic, on the scale of the rewards."""
        values: Tensor = self.critic(*features)
        return values if self.value_scale is None else self.value_scale.from_scale(values)

    def learn_from(self, batch: PolicyBatch, metrics: Means, *, epochs: int, teaches_actor: bool = True) -> None:
        """PPO over shuffled minibatches of joint rows.  Raises NonFiniteLoss before it does harm."""
        if not torch.isfinite(batch.advantage).all():
            raise NonFiniteLoss(
                "the advantages of what is learned from are not finite: the critic or the reward head has diverged",
                remedy="Go on with a smaller learning rate",
            )
        if self.value_scale is not None:
            self.value_scale.see(batch.returns, batch.weight)
            batch = replace(batch, returns=self.value_scale.to_scale(batch.returns))
        rows = batch.returns.shape[0]
        steps = ranks().least(rows)  # on every rank as many, whatever each has experienced
        for _ in range(epochs):
            order = torch.randperm(rows, device=self.device)[:steps]
            for index in order.split(self.learning.minibatch):
                part = batch.rows(index)
                taught = self._teach_actor(part) if teaches_actor else {}
                metrics.add(taught | self._teach_critic(part))

    def _teach_actor(self, part: PolicyBatch) -> dict[str, float]:
        learning = self.learning
        policy = actor_loss(self.actor, part, self.actions, clip=learning.clip, entropy_scale=self.entropy_scale)
        norm = self.step("actor", policy.loss, clip=learning.gradient_clip)
        self.entropy_scale = self._next_entropy_scale(policy)
        return {**policy.metrics(), "policy/actor_gradient_norm": norm}

    def _teach_critic(self, part: PolicyBatch) -> dict[str, float]:
        value = critic_loss(self.critic, part)
        norm = self.step("critic", value, clip=self.learning.gradient_clip)
        return {"policy/critic_loss": float(value.detach()), "policy/critic_gradient_norm": norm}

    def _next_entropy_scale(self, policy: PolicyLoss) -> float:
        """After a minibatch."""
        learning = self.learning
        if learning.entropy_target is None:
            return max(self.entropy_scale * learning.entropy_decay, learning.entropy_floor)
        assert policy.entropy_share is not None
        missing = learning.entropy_target - ranks().mean(float(policy.entropy_share))
        steered = self.entropy_scale * math.exp(learning.entropy_rate * missing)
        return min(max(steered, SMALLEST_ENTROPY_SCALE), LARGEST_ENTROPY_SCALE)

    def step(self, name: str, loss: Tensor, *, clip: float) -> float:
        """One gradient step of a network; its gradient's norm.  Raises NonFiniteLoss before it does harm."""
        return gradient_step(name, self._networks[name], self._optimisers[name], loss, clip=clip)

    def modules(self) -> dict[str, nn.Module]:
        """The model's first, so that what does not fit is told of it and not of the actor that reads it."""
        return dict(sorted(self._networks.items(), key=lambda named: named[0] in ("actor", "critic")))

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(self._optimisers)

    def counters(self) -> dict[str, float]:
        told = {} if self.learning.reward_r2 is None else {"told_rewards": float(self._reported_rewards)}
        return {"entropy_scale": self.entropy_scale} | self.held_out.counters() | told

    def restore_counters(self, counters: dict[str, float]) -> None:
        self.entropy_scale = counters["entropy_scale"]
        self._reported_rewards = bool(counters.get("told_rewards", False))
        self.held_out.restore(counters)
