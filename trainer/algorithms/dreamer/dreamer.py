"""What MAMBA, MABL and MAG share: a world model learns from replay, and actor and critic learn in its imagination.

MAMBA §3.1 and §3.3, whose training loop the others kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss, SettingsError
from trainer.algorithms.dreamer.execution import Team
from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.algorithms.held_out import Predicted
from trainer.algorithms.imagination_learner import ImaginationLearner
from trainer.experience.batch import Batch
from trainer.experience.columns import Column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.means import Means
from trainer.policy.draws import Draws, RandomDraws
from trainer.policy.imagined import Features, ImaginedRollout
from trainer.world_model.imagination import Imagination, JointStates, Predict, roll_out
from trainer.world_model.loss import WorldModelLoss, world_model_loss
from trainer.world_model.posteriors import LatentModel, Posteriors, shown


class Dreamer(ImaginationLearner):
    """Most of an `Algorithm`; what an agent says and how it acts alone is left to each."""

    # Eight parameters: the parts that make one algorithm of three, handed in by each.
    def __init__(
        self,
        settings: DreamerSettings,
        spec: EnvironmentSpec,
        *,
        model: LatentModel,
        actor: nn.Module,
        critic: nn.Module,
        team: Team,
        device: torch.device,
        compile_mode: str = "off",
    ) -> None:
        """Actor and critic read the features of `model`, `team` acts with what it needs of them."""
        self.settings, self.model, self._team = settings, model.to(device), team
        super().__init__(settings.policy, spec, actions=model.actions, actor=actor, critic=critic, device=device)
        self.learns("model", self.model, rate=settings.optimiser.learning_rate)
        self.draws: Draws = RandomDraws()
        """Of latents, actions and availability, in updates and in imagination."""
        self.model_update_count = 0
        self._loss, self._roll_out = self.observe_and_lose, roll_out
        if compile_mode != "off":
            # Shapes never change within a run, so one graph each serves all updates and all rollouts.
            mode = "reduce-overhead" if compile_mode == "cuda-graphs" else "default"
            self._loss = torch.compile(self.observe_and_lose, dynamic=False, mode=mode)
            self._roll_out = torch.compile(roll_out, dynamic=False, mode=mode)
        self.eval()

    def eval(self) -> None:
        """Dropout is on inside model updates only."""
        for module in self.modules().values():
            module.eval()

    def columns(self) -> dict[str, Column]:
        return {}

    def behaviour(self) -> Team:
        return self._team

    def policy(self) -> Team:
        return self._team

    def learn_model(self, replay: Replay, random: np.random.Generator, metrics: Means) -> None:
        """`model_updates` world-model updates, each on fresh windows."""
        for _ in range(self.settings.model_updates):
            self.update_model(replay.sample(random).window.to(self.device), metrics)

    def model_is_ready(self) -> bool:
        return self.model_update_count >= self.learning.warm_up_updates

    def features(self, window: Window) -> Features:
        posteriors = self._posteriors(window)
        return shown(self.model, posteriors.ids, posteriors.deter, window.observation)

    def _posteriors(self, window: Window) -> Posteriors:
        reset = self.settings.loss.reset_action_on_first
        with torch.no_grad():
            return self.model.observe(window, self.draws.latent, reset_action_on_first=reset)

    def imagine(self, replay: Replay, random: np.random.Generator) -> ImaginedRollout:
        return self.imagine_from(replay.sample(random).window.to(self.device))

    @torch.no_grad()
    def predict(self, window: Window, draws: RandomDraws) -> Predicted | None:
        """See `held_out.PredictingAlgorithm`."""
        if not self.model_update_count:
            return None
        reset = self.settings.loss.reset_action_on_first
        posteriors = self.model.observe(window, draws.latent, reset_action_on_first=reset)
        pair = (posteriors.ids[:-1], posteriors.foreseen[1:])
        return Predicted(
            reward=self.model.reward(*pair).squeeze(-1),
            earned=window.reward[1:],
            continuation=torch.sigmoid(self.model.continuation(*pair).squeeze(-1)),
            ended=window.terminated[1:],
            known=torch.ones_like(window.first[1:]),
            codes=posteriors.ids,
        )

    def observe_and_lose(self, window: Window) -> WorldModelLoss:
        """Posteriors and loss of one batch of windows."""
        loss = self.settings.loss
        posteriors = self.model.observe(window, self.draws.latent, reset_action_on_first=loss.reset_action_on_first)
        return self.priced(world_model_loss(self.model, window, posteriors, loss), window, posteriors)

    def priced(self, loss: WorldModelLoss, _window: Window, _posteriors: Posteriors) -> WorldModelLoss:
        """With what messages cost, if they do."""
        return loss

    def learned_from(self, loss: WorldModelLoss) -> None:
        """Called after each gradient step on the world model."""

    def update_model(self, window: Window, metrics: Means) -> None:
        """One gradient step on the world model."""
        settings = self.settings.optimiser
        if (scale := self.model.reward_scale) is not None:
            scale.see(window.reward[1:], (~window.first[1:]).unsqueeze(-1).expand_as(window.reward[1:]).float())
        if (seen := self.model.observation_scale) is not None:
            seen.see(window.observation, window.present)
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
                    remedy="Go on with a smaller optimiser.learning_rate",
                )
        warm_up = settings.warm_up_updates
        rate = settings.learning_rate * min(1.0, (self.model_update_count + 1) / warm_up if warm_up else 1.0)
        for group in self._optimisers["model"].param_groups:
            group["lr"] = rate
        norm = self.step("model", loss.total, clip=settings.gradient_clip)
        self.model_update_count += 1
        self.learned_from(loss)
        metrics.add({f"model/{name}": value for name, value in values.items()} | {"model/gradient_norm": norm})

    def imagine_from(self, window: Window) -> ImaginedRollout:
        """Imagine from the posteriors of a batch of windows."""
        settings = self.settings
        posteriors = self._posteriors(window)
        usable = window.first.shape[0] - settings.loss.drop_last_row
        start = self.starts(window, posteriors, slice(usable), RandomDraws())
        world = self.imagination()
        alive = (~window.terminated.all(-1) | window.first)[:usable].flatten() if settings.policy.start_alive else None
        return self._roll_out(world, self._chosen(start, alive), predict=self.predict_by(world))

    def starts(self, window: Window, posteriors: Posteriors, rows: slice, _draws: RandomDraws) -> JointStates:
        """States to imagine from, of those rows of a window; `_draws` is for what an algorithm adds to them."""
        hears = self.model.held(window)
        ids, deter, *seen = shown(self.model, posteriors.ids, posteriors.deter, window.observation)
        return JointStates(
            ids=ids[rows].flatten(0, 1),
            deter=deter[rows].flatten(0, 1),
            hears=None if hears is None else hears[rows].flatten(0, 1),
            seen=seen[0][rows].flatten(0, 1) if seen else None,
        )

    @torch.no_grad()
    def imagine_after(
        self, seen: Batch, draws: RandomDraws, *, horizon: int, actions: Tensor | None = None
    ) -> ImaginedRollout:
        """See `imagining.ImaginingAlgorithm`."""
        window, reset = seen.window, self.settings.loss.reset_action_on_first
        posteriors = self.model.observe(window, draws.latent, reset_action_on_first=reset)
        start = self.starts(window, posteriors, slice(-1, None), draws)
        settings = self.settings.policy.model_copy(update={"horizon": horizon})
        world = replace(self.imagination(), settings=settings, draws=draws)
        return roll_out(world, start, predict=self.predict_by(world), actions=actions)

    @torch.no_grad()
    def reconstructed(self, rollout: ImaginedRollout) -> Tensor:
        """See `imagining.ImaginingAlgorithm`."""
        observation: Tensor = self.model.decoder(*rollout.features[:2])[0]
        if (scale := self.model.observation_scale) is not None:
            return scale.from_scale(observation)
        return torch.sigmoid(observation) if self.settings.loss.reconstruction_loss == "bernoulli" else observation

    def imagination(self) -> Imagination:
        """The world model under the policy."""
        return Imagination(model=self.model, actor=self.actor, settings=self.settings.policy, draws=self.draws)

    def predict_by(self, world: Imagination) -> Predict:
        """How an imagined step finds its next states; MAG plans here."""
        return world.predict

    def counters(self) -> dict[str, float]:
        return super().counters() | {"model_updates": self.model_update_count}

    def restore_counters(self, counters: dict[str, float]) -> None:
        super().restore_counters(counters)
        self.model_update_count = int(counters["model_updates"])

    def _chosen(self, start: JointStates, alive: Tensor | None) -> JointStates:
        """At most `policy.start_states` of them, at random; of those that are `alive` (bool [M], None: all)."""
        limit, count = self.settings.policy.start_states, start.ids.shape[0]
        if alive is not None and alive.any():
            # As many as without, however few are alive, so that shapes never change.
            wanted = count if limit is None else min(limit, count)
            twice = int(alive.sum()) < wanted
            return start.rows(torch.multinomial(alive.to(start.deter.dtype), wanted, replacement=twice))
        if limit is None or limit >= count:
            return start
        return start.rows(torch.randperm(count, device=self.device)[:limit])


def show_observations(settings: DreamerSettings, model: LatentModel, spec: EnvironmentSpec) -> int:
    """Have a new model show its policy what is observed, if the settings say so; of how many numbers, 0 if not."""
    if settings.policy.reads == "latents":
        return 0
    if spec.image is not None:
        raise SettingsError(
            f"policy.reads = observations, but agents of {spec.id} observe images",
            remedy="Leave policy.reads at latents: an image is read by the model's convolutions alone",
        )
    model.shows_observations = True
    return spec.observation_size
