"""What MAMBA, MABL and MAG share: a world model learns from replay, and actor and critic learn in its imagination.

MAMBA §3.1 and §3.3, whose training loop the others kept.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.dreamer.execution import Team, TeamState
from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.nets.means import Means
from trainer.policy.actor_critic import AttentionCritic
from trainer.policy.draws import Draws, RandomDraws
from trainer.policy.ppo import actor_loss, critic_loss, policy_batch
from trainer.world_model.imagination import Dream, Imagination, JointStates, Predict, imagine
from trainer.world_model.loss import WorldModelLoss, world_model_loss
from trainer.world_model.posteriors import LatentModel


class Dreamer:
    """Most of an `Algorithm`; what an agent says and how it acts alone is left to each."""

    reads_state = False
    reads_carried = False

    def __init__(
        self,
        settings: DreamerSettings,
        spec: EnvironmentSpec,
        *,
        model: LatentModel,
        actor: nn.Module,
        critic: AttentionCritic | nn.Module,
        team: Team,
        device: torch.device,
        compile_mode: str = "off",
    ) -> None:
        """Actor and critic read the features of `model`, `team` acts with what it needs of them."""
        self.settings, self.spec, self.device = settings, spec, device
        self.model, self.actor, self.critic = model.to(device), actor.to(device), critic.to(device)
        self._team = team
        self.actions = model.actions
        policy = settings.policy
        self._networks = {"model": self.model, "actor": self.actor, "critic": self.critic}
        self._optimisers = {
            "model": adam(self.model, settings.optimiser.learning_rate),
            "actor": adam(self.actor, policy.actor_learning_rate, weight_decay=policy.actor_weight_decay),
            "critic": adam(self.critic, policy.critic_learning_rate),
        }
        self.draws: Draws = RandomDraws()
        """Of latents, actions and availability, in updates and in imagination."""
        self.entropy_scale = policy.entropy_scale
        self.model_update_count = 0
        self._loss, self._imagine = self.observe_and_lose, imagine
        if compile_mode != "off":
            # Shapes never change within a run, so one graph each serves all updates and all rollouts.
            mode = "reduce-overhead" if compile_mode == "cuda-graphs" else "default"
            self._loss = torch.compile(self.observe_and_lose, dynamic=False, mode=mode)
            self._imagine = torch.compile(imagine, dynamic=False, mode=mode)
        self.eval()

    def eval(self) -> None:
        """Dropout is on inside model updates only."""
        for module in self.modules().values():
            module.eval()

    def initial_state(self, copies: int) -> TeamState:
        return self._team.initial_state(copies)

    def act(
        self,
        state: TeamState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, TeamState]:
        return self._team.act(
            state, observation=observation, action_mask=action_mask, hears=hears, first=first, draws=draws
        )

    def acting_copy(self) -> Team:
        return deepcopy(self._team)

    def noise_size(self) -> int:
        return self.settings.model.categoricals + self.actions.noise

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """`model_updates` world-model updates, then `policy.rounds` rounds of imagination and PPO."""
        metrics = Means()
        self.learn_world(replay, random, metrics)
        if self.model_update_count >= self.settings.policy.warm_up_updates:
            for _ in range(self.settings.policy.rounds):
                self.update_policy(replay.sample(random).to(self.device), metrics)
        return metrics.result()

    def learn_world(self, replay: Replay, random: np.random.Generator, metrics: Means) -> None:
        """`model_updates` world-model updates."""
        for _ in range(self.settings.model_updates):
            self.update_model(replay.sample(random).to(self.device), metrics)

    def observe_and_lose(self, window: Window) -> WorldModelLoss:
        """Posteriors and loss of one batch of windows."""
        loss = self.settings.loss
        posteriors = self.model.observe(window, self.draws.latent, reset_action_on_first=loss.reset_action_on_first)
        return world_model_loss(self.model, window, posteriors, loss)

    def update_model(self, window: Window, metrics: Means) -> None:
        """One gradient step on the world model."""
        settings = self.settings.optimiser
        self.model.train()
        loss = self._loss(window)
        self.model.eval()
        values = {
            name: float(term)
            for name, term in zip(loss.terms, torch.stack(list(loss.terms.values())).tolist(), strict=True)
        }
        for name, value in values.items():
            if not np.isfinite(value):
                raise NonFiniteLoss(
                    f"the {name} term of the world-model loss is {value} at model update {self.model_update_count}",
                    remedy="The last checkpoint is whole; resume it with a smaller optimiser.learning_rate",
                )
        warm_up = settings.warm_up_updates
        rate = settings.learning_rate * min(1.0, (self.model_update_count + 1) / warm_up if warm_up else 1.0)
        for group in self._optimisers["model"].param_groups:
            group["lr"] = rate
        norm = self._step("model", self.model, loss.total, clip=settings.gradient_clip)
        self.model_update_count += 1
        metrics.add({f"model/{name}": value for name, value in values.items()} | {"model/gradient_norm": norm})

    def dream(self, window: Window) -> Dream:
        """Imagine from the posteriors of a batch of windows."""
        settings = self.settings
        with torch.no_grad():
            posteriors = self.model.observe(
                window, self.draws.latent, reset_action_on_first=settings.loss.reset_action_on_first
            )
        hears = self.model.held(window)
        usable = window.first.shape[0] - settings.loss.drop_last_row
        start = JointStates(
            ids=posteriors.ids[:usable].flatten(0, 1),
            deter=posteriors.deter[:usable].flatten(0, 1),
            hears=None if hears is None else hears[:usable].flatten(0, 1),
        )
        world = self.imagination()
        return self._imagine(world, self._chosen(start), predict=self.predict_by(world))

    def imagination(self) -> Imagination:
        """The world model under the policy."""
        return Imagination(model=self.model, actor=self.actor, settings=self.settings.policy, draws=self.draws)

    def predict_by(self, world: Imagination) -> Predict:
        """How an imagined step finds its next states; MAG plans here."""
        return world.predict

    def update_policy(self, window: Window, metrics: Means) -> None:
        """One round: imagine, then `epochs` of PPO over shuffled minibatches of joint rows."""
        settings = self.settings.policy
        dream = self.dream(window)
        batch = policy_batch(dream, self.critic, settings, self.actions)
        if not torch.isfinite(batch.advantage).all():
            raise NonFiniteLoss(
                "the advantages of the imagined rows are not finite: the critic or the reward head has diverged",
                remedy="The last checkpoint is whole; resume it with a smaller learning rate",
            )
        rows = batch.returns.shape[0]
        for _ in range(settings.epochs):
            order = torch.randperm(rows, device=self.device)
            for index in order.split(settings.minibatch):
                part = batch.rows(index)
                policy = actor_loss(
                    self.actor, part, self.actions, clip=settings.clip, entropy_scale=self.entropy_scale
                )
                actor_norm = self._step("actor", self.actor, policy.loss, clip=settings.gradient_clip)
                self.entropy_scale = max(self.entropy_scale * settings.entropy_decay, settings.entropy_floor)
                value = critic_loss(self.critic, part)
                critic_norm = self._step("critic", self.critic, value, clip=settings.gradient_clip)
                metrics.add(
                    {
                        "policy/entropy": float(policy.entropy.detach()),
                        "policy/surrogate": float(policy.policy.detach()),
                        "policy/clipped": float(policy.clipped),
                        "policy/critic_loss": float(value.detach()),
                        "policy/actor_gradient_norm": actor_norm,
                        "policy/critic_gradient_norm": critic_norm,
                    }
                )
        metrics.add(
            {
                "policy/imagined_reward": float(dream.reward.mean()),
                "policy/imagined_return": float(batch.returns.mean()),
                "policy/entropy_scale": self.entropy_scale,
            }
        )

    def modules(self) -> dict[str, torch.nn.Module]:
        return dict(self._networks)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(self._optimisers)

    def counters(self) -> dict[str, float]:
        return {"entropy_scale": self.entropy_scale, "model_updates": self.model_update_count}

    def restore_counters(self, counters: dict[str, float]) -> None:
        self.entropy_scale = counters["entropy_scale"]
        self.model_update_count = int(counters["model_updates"])

    def _chosen(self, start: JointStates) -> JointStates:
        """At most `policy.start_states` of them, at random."""
        limit, count = self.settings.policy.start_states, start.ids.shape[0]
        if limit is None or limit >= count:
            return start
        return start.rows(torch.randperm(count, device=self.device)[:limit])

    def _step(self, name: str, module: torch.nn.Module, loss: Tensor, *, clip: float) -> float:
        return gradient_step(name, module, self._optimisers[name], loss, clip=clip)
