"""MARIE: decentralised transformers with centralised aggregation (Zhang et al. 2024).

A tokenizer makes observations discrete (§3.1), a transformer with a Perceiver for what others do learns their dynamics
(§3.2), and actor and critic learn from the reconstructions that it imagines (§3.3).  At execution an agent needs
tokenizer and actor alone, and hears nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NonFiniteLoss
from trainer.algorithms.held_out import Predicted
from trainer.algorithms.imagination_learner import ImaginationLearner
from trainer.algorithms.marie.actor_critic import ReconstructionCritic, make_actor
from trainer.algorithms.marie.execution import Team, agent_step
from trainer.algorithms.marie.imagination import ImaginedStarts, MarieImagination, starts_of
from trainer.algorithms.marie.loss import LossSizes, MarieLoss, loss_sizes, marie_loss
from trainer.algorithms.marie.memory import CompiledMemories, MakeMemory
from trainer.algorithms.marie.model import MarieModel
from trainer.algorithms.marie.policy_reads import PolicyReads
from trainer.algorithms.marie.segments import Segments, segments_of
from trainer.algorithms.marie.settings import MarieSettings
from trainer.algorithms.marie.tokenizer import make_tokenizer
from trainer.algorithms.marie.tokenizer_learning import TokenizerLearner
from trainer.algorithms.step_function import StepFunction
from trainer.experience.batch import Batch, ByVisits
from trainer.experience.columns import Column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import summed_gradient_step
from trainer.nets.means import Means
from trainer.nets.optimisers import AdamW
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws, RandomDraws
from trainer.policy.imagined import Features, ImaginedRollout

VISITS = {"tokenizer": ByVisits(column="tokenizer_visits"), "model": ByVisits(column="model_visits")}
"""Counted apart, by who learns."""


class Marie(ImaginationLearner):
    """An `Algorithm`."""

    name = "marie"

    def __init__(
        self, settings: MarieSettings, spec: EnvironmentSpec, *, device: torch.device, compile_mode: str = "off"
    ) -> None:
        """Raises SettingsError where the tokenizer does not suit the world."""
        actions, policy = action_distribution(spec), settings.policy
        self.settings = settings
        self.tokenizer = make_tokenizer(settings.tokenizer, spec).to(device)
        self.model = MarieModel(
            settings.model,
            agents=spec.agents,
            tokens=self.tokenizer.tokens,
            vocabulary=self.tokenizer.vocabulary,
            actions=actions,
            action_masks=spec.has_action_mask,
        ).to(device)
        self.reads = PolicyReads(
            stack=policy.stack,
            observation_size=spec.observation_size,
            agents=spec.agents,
            actions=actions,
            agent=policy.read_agent,
            last_action=policy.read_last_action,
            observations=policy.reads == "observations",
        )
        super().__init__(
            policy,
            spec,
            actions=actions,
            actor=make_actor(self.reads.size, hidden=policy.hidden, outputs=actions.outputs),
            critic=ReconstructionCritic(
                self.reads.size, hidden=policy.hidden, agents=spec.agents, heads=policy.critic_heads
            ),
            device=device,
        )
        self.learns("critic", self.critic, rate=policy.critic_learning_rate, weight_decay=policy.critic_weight_decay)
        self.tokenizer_learner = TokenizerLearner(self.tokenizer)
        self.learns_by("tokenizer", self.tokenizer, self.tokenizer_learner.optimisers().get("tokenizer"))
        groups = self.model.decay_groups(settings.optimiser.weight_decay)
        self.learns_by("model", self.model, AdamW(groups, lr=settings.optimiser.learning_rate, fused=True))
        self.draws: Draws = RandomDraws()
        """Of tokens, actions and availability, in imagination."""
        self.iterations, self.model_update_count = 0, 0
        self._lose = self.lose
        self._memory: MakeMemory | None = None
        if compile_mode != "off":
            # Shapes never change within a run: one graph each serves all updates and all tokens that are imagined.
            mode = "reduce-overhead" if compile_mode == "cuda-graphs" else "default"
            self._lose = torch.compile(self.lose, dynamic=False, mode=mode)
            self._memory = CompiledMemories(self.model.transformer, mode=mode)
        self._team = Team(tokenizer=self.tokenizer, actor=self.actor, reads=self.reads, temperature=policy.temperature)
        for module in self.modules().values():
            module.eval()  # dropout is on inside model updates only

    def columns(self) -> dict[str, Column]:
        """How often rows were drawn, where that is what they are drawn by."""
        if self.settings.sampling == "uniform":
            return {}
        return {each.column: Column(shape=(), dtype=np.int32) for each in VISITS.values()}

    def behaviour(self) -> Team:
        return self._team

    def policy(self) -> Team:
        return self._team

    def learn_model(self, replay: Replay, random: np.random.Generator, metrics: Means) -> None:
        """`tokenizer.updates` updates of the tokenizer, then `model_updates` of the world model.

        Raises SettingsError if bins do not reach as far as anything that was observed.
        """
        settings, learner = self.settings, self.tokenizer_learner
        if settings.tokenizer.discretisation == "bins":
            learner.check_range(*replay.observed_range())
        for _ in range(settings.tokenizer.updates):
            rows = replay.sample(
                random, batch=settings.tokenizer.batch, length=1, start="anywhere", by=self._by("tokenizer")
            )
            observation = rows.window.observation.to(self.device)
            learner.see(observation, rows.window.present.to(self.device))
            metrics.add(learner.update(observation))
        metrics.add({"tokenizer/codes_in_use": float(learner.codes_in_use())})
        self.iterations += 1
        if self.iterations > settings.model_warm_up:
            for _ in range(settings.model_updates):
                window = replay.sample(random, by=self._by("model")).window
                self.update_model(segments_of(window.to(self.device)), metrics)

    def _by(self, learner: str) -> Literal["uniform"] | ByVisits:
        """How the batches of tokenizer or model are drawn."""
        return "uniform" if self.settings.sampling == "uniform" else VISITS[learner]

    def model_is_ready(self) -> bool:
        return self.model_update_count >= max(self.learning.warm_up_updates, 1)

    @torch.no_grad()
    def predict(self, window: Window, draws: RandomDraws) -> Predicted | None:
        """See `held_out.PredictingAlgorithm`; nothing is drawn."""
        if not self.model_update_count:
            return None
        segments = segments_of(window)
        parts = segments.parts(self.settings.optimiser.at_once or len(segments.cut))
        told = [self.model(self.tokenizer.encode(part.observation), part.action, part.cut) for part in parts]
        reward = torch.cat([self.model.rewards(part.reward) for part in told])
        continuation = torch.sigmoid(torch.cat([part.continuation for part in told]))
        return Predicted(
            reward=reward.transpose(0, 1),
            earned=window.reward[1:],
            continuation=continuation.transpose(0, 1),
            ended=window.terminated[1:],
            known=segments.acted.T,
        )

    @torch.no_grad()
    def features(self, window: Window) -> Features:
        """See `ImaginationLearner`: what a team reads that acts through a window [T, B]."""
        policy = self._team
        history = policy.initial_state(window.first.shape[1]).history
        newest = self.reads.seen(self.tokenizer, window.observation).unsqueeze(-2)  # [T, B, N, 1, D]
        found = []
        for observed, action, first in zip(newest, window.action, window.first, strict=True):
            before = history.masked_fill(first[:, None, None, None], 0.0)
            stack = torch.cat([before, observed], dim=-2)
            found.append(self.reads.features(stack, action=action, first=first))
            history = stack[:, :, 1:]
        return (torch.stack(found),)

    def lose(self, segments: Segments, sizes: LossSizes | None = None) -> MarieLoss:
        """The world model's loss of segments, or what they add to that of a whole batch of these sizes."""
        with torch.no_grad():
            ids = self.tokenizer.encode(segments.observation)
        predictions = self.model(ids, segments.action, segments.cut)
        if sizes is None:
            sizes = loss_sizes(self.model, segments, self.settings.loss)
        return marie_loss(self.model, predictions, ids, segments, self.settings.loss, sizes)

    def update_model(self, segments: Segments, metrics: Means) -> None:
        """One gradient step on the world model.  Raises NonFiniteLoss before it does harm."""
        settings = self.settings.optimiser
        warm_up = settings.warm_up_updates
        rate = settings.learning_rate * min(1.0, (self.model_update_count + 1) / warm_up if warm_up else 1.0)
        optimiser = self._optimisers["model"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        told: dict[str, float] = {}
        self.model.train()
        norm = summed_gradient_step(
            "world model", self.model, optimiser, self._losses(segments, told), clip=settings.gradient_clip
        )
        self.model.eval()
        self.model_update_count += 1
        metrics.add({f"model/{name}": value for name, value in told.items()} | {"model/gradient_norm": norm})

    def _losses(self, segments: Segments, told: dict[str, float]) -> Iterator[Tensor]:
        """Of some segments after the other, so that no more is held at once; adds up the terms."""
        sizes = loss_sizes(self.model, segments, self.settings.loss)
        for part in segments.parts(self.settings.optimiser.at_once or len(segments.cut)):
            loss = self._lose(part, sizes)
            for name, term in loss.terms.items():
                told[name] = told.get(name, 0.0) + float(term.detach())
                if not np.isfinite(told[name]):
                    raise NonFiniteLoss(
                        f"the {name} term of the world-model loss is {told[name]} at model update "
                        f"{self.model_update_count}",
                        remedy="Go on with a smaller optimiser.learning_rate",
                    )
            yield loss.total

    def imagine(self, replay: Replay, random: np.random.Generator) -> ImaginedRollout:
        policy = self.settings.policy
        seen = replay.histories(random, batch=policy.start_states, length=policy.stack, over=policy.start_from)
        return self.imagine_from(starts_of(seen.to(self.device)))

    def imagine_from(self, starts: ImaginedStarts) -> ImaginedRollout:
        """Imagine under the policy as it is now."""
        return self.imagination().roll_out(starts, at_once=self.settings.policy.at_once)

    def imagination(self) -> MarieImagination:
        """World model, tokenizer and policy together."""
        return MarieImagination(
            model=self.model,
            tokenizer=self.tokenizer,
            actor=self.actor,
            reads=self.reads,
            settings=self.settings.policy,
            draws=self.draws,
            memory=self._memory,
        )

    @property
    def longest_rollout(self) -> int | None:
        """See `imagining.ImaginingAlgorithm`; a context that does not slide has so many positions."""
        return None if self.settings.model.slide else self.settings.model.context - 1

    def leading_rows(self, window: int) -> int:
        return self.settings.policy.stack - 1

    def imagine_after(
        self, seen: Batch, draws: RandomDraws, *, horizon: int, actions: Tensor | None = None
    ) -> ImaginedRollout:
        """See `imagining.ImaginingAlgorithm`."""
        settings = self.settings.policy.model_copy(update={"horizon": horizon})
        # Of other numbers of starts than a training's, for which nothing is compiled.
        world = replace(self.imagination(), settings=settings, draws=draws, memory=None)
        return world.roll_out(starts_of(seen), at_once=settings.at_once, actions=actions)

    def reconstructed(self, rollout: ImaginedRollout) -> Tensor:
        """See `imagining.ImaginingAlgorithm`: what actor and critic have read, which at the start is what was
        observed if they read that."""
        size, stack = self.spec.observation_size, self.settings.policy.stack
        return self.tokenizer.observed(rollout.features[0][..., (stack - 1) * size : stack * size])

    def step_function(self, slot: int) -> StepFunction:
        return agent_step(self._team, self.spec, slot=slot)

    def counters(self) -> dict[str, float]:
        return super().counters() | {"iterations": self.iterations, "model_updates": self.model_update_count}

    def restore_counters(self, counters: dict[str, float]) -> None:
        super().restore_counters(counters)
        self.iterations, self.model_update_count = int(counters["iterations"]), int(counters["model_updates"])
