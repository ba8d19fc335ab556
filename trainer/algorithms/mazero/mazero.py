"""MAZero: planning with a learned model of the team (Liu et al. 2024, "Efficient multi-agent reinforcement learning by
planning").

Experience is collected by a sampled tree search in the model (`trainer.search`); the model learns rewards, values and,
by advantage-weighted policy optimisation, what searches find.  At execution an agent takes its own policy head on its
own hidden state: no search, no message.
"""

from __future__ import annotations

import logging
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.held_out import HeldOut, Predicted
from trainer.algorithms.mazero.begun import Begun, begun_in
from trainer.algorithms.mazero.clipping import Clipping
from trainer.algorithms.mazero.execution import Team, agent_step
from trainer.algorithms.mazero.found import entropy_bits, found_columns
from trainer.algorithms.mazero.loss import MazeroLoss, Unrolled, mazero_loss, unroll
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.outweighing import Outweighing
from trainer.algorithms.mazero.planning import PlanningModel
from trainer.algorithms.mazero.predicting import predicted
from trainer.algorithms.mazero.reanalysis import Reanalysis
from trainer.algorithms.mazero.self_play import Learned, SearchingTeam, SelfPlay
from trainer.algorithms.mazero.settings import MazeroOptimiserSettings, MazeroSettings
from trainer.algorithms.mazero.targets import Targets, targets_of, taught
from trainer.algorithms.mazero.windows import Steps, steps_of
from trainer.algorithms.step_function import StepFunction
from trainer.experience.batch import Batch, ByPriority
from trainer.experience.columns import PRIORITY, Column, priority_column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import gradient_step
from trainer.nets.optimisers import SGD, Adam
from trainer.nets.random_states import Check, drawn_again_if_stopped, never
from trainer.policy.distributions import Categorical
from trainer.policy.draws import RandomDraws as PolicyDraws
from trainer.ranks.group import ranks
from trainer.ranks.stopping_together import done_on_all
from trainer.search.draws import RandomDraws, SearchDraws
from trainer.search.settings import SearchSettings

logger = logging.getLogger(__name__)

LEAST_PRIORITY = 1e-6
"""Added to every priority, so that none is zero."""


def warn_of_samples(search: SearchSettings, spec: EnvironmentSpec) -> None:
    """Tell if a search draws more joint actions than a team has: allowed, as equal draws are merged, but wasted."""
    joint = spec.actions**spec.agents
    if search.samples > joint:
        logger.warning(
            "mazero.search.samples = %d draws more joint actions than the %d that %s has, so that no node has more "
            "than %d children remedy=lower it to %d",
            *(search.samples, joint, spec.id, joint, joint),
        )


def make_optimiser(model: MazeroModel, settings: MazeroOptimiserSettings) -> torch.optim.Optimizer:
    """Of all parameters."""
    if settings.kind == "sgd":
        return SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    return Adam(model.parameters(), lr=settings.learning_rate, eps=settings.epsilon, fused=True)


class Mazero:
    """An `Algorithm`."""

    name = "mazero"

    def __init__(self, settings: MazeroSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings, self.spec, self.device = settings, spec, device
        self.model = MazeroModel(settings.model, spec).to(device).eval()
        self.delayed = deepcopy(self.model).requires_grad_(False)
        """Gives value targets and reanalyses."""
        self.waiting = deepcopy(self.delayed) if settings.target_waits else None
        """Weights that the delayed network takes at the next renewal."""
        self.actions = Categorical(spec.actions)
        self.draws: SearchDraws = RandomDraws()
        """Of searches in updates."""
        self.optimiser = make_optimiser(self.model, settings.optimiser)
        self.learned = Learned()
        self.held_out = HeldOut()
        self._clipping, self._outweighing = Clipping(), Outweighing()
        self._warned_of_samples = False
        self._begun = Begun()
        shared = settings.reanalysis.workers and settings.targets.reanalyse
        self.reanalysis = Reanalysis(settings, spec) if shared else None
        """Searches in other processes; None: every update makes its own."""

    def close(self) -> None:
        """See `ClosingAlgorithm`."""
        if self.reanalysis is not None:
            self.reanalysis.close()

    def columns(self) -> dict[str, Column]:
        return {**priority_column(), **found_columns(self.spec, self.settings.search.samples)}

    def behaviour(self) -> SelfPlay:
        if not self._warned_of_samples:
            self._warned_of_samples = True
            warn_of_samples(self.settings.search, self.spec)
        return SelfPlay(model=self.model, settings=self.settings, spec=self.spec, learned=self.learned)

    def policy(self) -> Team:
        return Team(model=self.model, spec=self.spec)

    @property
    def hidden_size(self) -> int:
        """Numbers of an agent's hidden state."""
        return self.settings.model.hidden

    def searching_policy(self, generator: torch.Generator) -> SearchingTeam:
        """Acts by search, which takes the whole team's observations; for evaluations beside those of the bundles."""
        return SearchingTeam(model=self.model, settings=self.settings, spec=self.spec, generator=generator)

    def step_function(self, slot: int) -> StepFunction:
        return agent_step(self.model, self.spec, slot=slot)

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """`updates` of the model, each on fresh windows; none while there is no window."""
        return self.update_in_parts(replay, random, check=never)

    def update_in_parts(self, replay: Replay, random: np.random.Generator, *, check: Check) -> dict[str, float]:
        """See `PausingAlgorithm`; a part is one update of the model."""
        begun = self._begun
        if not begun.parts and not ranks().all(replay.has_steps(self._rows)):
            return {}
        if self.reanalysis is not None:
            self._update_ahead(self.reanalysis, replay, random, check)
        while begun.parts < self.settings.updates:
            with drawn_again_if_stopped(random):
                done_on_all(check)
                begun.add(self.learn(self.sample(replay, random), replay, check=check))
        self._begun = Begun()
        return begun.means()

    def _update_ahead(self, shared: Reanalysis, replay: Replay, random: np.random.Generator, check: Check) -> None:
        """All updates of an iteration on batches that were drawn before and searched elsewhere.

        If it is left, no process goes on, and what was drawn ahead is drawn anew.
        """
        begun, settings = self._begun, self.settings
        try:
            while begun.parts < settings.updates:
                done_on_all(check)
                while shared.in_flight < min(settings.reanalysis.ahead, settings.updates - begun.parts):
                    batch = self.sample(replay, random)
                    shared.begin(batch, self._steps(batch), self.delayed, updates=self.learned.updates)
                searched = done_on_all(lambda: shared.next(check, updates=self.learned.updates))
                targets = taught(searched.steps, searched.policy, self.delayed, settings)
                begun.add(self._taught(searched.batch, searched.steps, targets, replay) | searched.metrics)
        except BaseException:
            shared.close()
            raise

    def predict(self, window: Window, draws: PolicyDraws) -> Predicted | None:
        """See `held_out.PredictingAlgorithm`; nothing is drawn."""
        if not self.learned.updates:
            return None
        return predicted(self.model, window, self.settings, actions=self.spec.actions)

    def sample(self, replay: Replay, random: np.random.Generator) -> Batch:
        """Windows by priority, led up to by what agents see at their first rows."""
        priority, share = self.settings.priority, self.learned.updates / self.settings.priority.correction_updates
        correction = priority.correction + (1 - priority.correction) * min(share, 1.0)
        return replay.sample(
            random,
            length=self._rows,
            by=ByPriority(exponent=priority.exponent, correction=correction),
            pad=True,
            before=self.settings.model.frames - 1,
        )

    def learn(self, batch: Batch, replay: Replay, *, check: Check = never) -> dict[str, float]:
        """One update, and its metrics; writes the new priorities back.  What `check` raises, in the search for targets,
        leaves all as it was."""
        steps = self._steps(batch)
        return self._taught(batch, steps, self.targets(steps, check=check), replay)

    def _steps(self, batch: Batch) -> Steps:
        return steps_of(batch.to(self.device), self.settings, self.spec.actions)

    def _taught(self, batch: Batch, steps: Steps, targets: Targets, replay: Replay) -> dict[str, float]:
        if (scale := self.model.scale) is not None:
            scale.see(steps.seen, steps.present)
        self.model.train()  # dropout is on inside updates only
        unrolled, loss = self.loss(steps, targets)
        self.model.eval()
        norm = self.step(loss)
        replay.update(batch.index.at(self.settings.model.frames - 1), PRIORITY, self.priorities(unrolled, targets))
        self._renew()
        return {**self._metrics(steps, loss, unrolled, targets), "model/gradient_norm": norm}

    def targets(self, steps: Steps, *, check: Check = never) -> Targets:
        """What a batch teaches."""
        planning = PlanningModel(model=self.delayed, check=check)
        return targets_of(steps, planning, self.settings, self.draws)

    def loss(self, steps: Steps, targets: Targets) -> tuple[Unrolled, MazeroLoss]:
        """The model unrolled over a batch, and how far it is from the targets."""
        unrolled = unroll(self.model, steps, self.settings.unroll)
        return unrolled, mazero_loss(self.model, steps, unrolled, targets, self.settings.loss)

    def step(self, loss: MazeroLoss) -> float:
        """One gradient step; the norm of the gradient, of which unrolling further makes no more."""
        chosen, done = self.settings.optimiser, self.learned.updates
        for group in self.optimiser.param_groups:
            group["lr"] = chosen.learning_rate * chosen.decay ** (done / chosen.decay_updates)
        norm = gradient_step(
            "model", self.model, self.optimiser, loss.total / self.settings.unroll, clip=chosen.gradient_clip
        )
        self.learned.updates += 1
        return norm

    def priorities(self, unrolled: Unrolled, targets: Targets) -> Tensor:
        """[B]: how wrong the value of a window's first row was; what a support cannot hold is no error."""
        support, target = self.model.value_support, targets.value[0]
        if self.settings.loss.two_hot == "sound":
            target = support.within(target)
        return (support.decode(unrolled.value[0].detach()) - target).abs() + LEAST_PRIORITY

    def modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"model": self.model, "delayed": self.delayed}
        return modules if self.waiting is None else {**modules, "waiting": self.waiting}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": self.optimiser}

    def counters(self) -> dict[str, float]:
        return {"updates": self.learned.updates} | self.held_out.counters() | self._begun.counters()

    def restore_counters(self, counters: dict[str, float]) -> None:
        self.learned.updates, self._begun = int(counters["updates"]), begun_in(counters)
        self.held_out.restore(counters)

    @property
    def _rows(self) -> int:
        """Of a window, from its first step on."""
        return self.settings.unroll + self.settings.targets.steps + 1

    def _renew(self) -> None:
        if self.learned.updates % self.settings.target_every:
            return
        newest = self.model.state_dict()
        if self.waiting is not None:
            self.delayed.load_state_dict(self.waiting.state_dict())
            self.waiting.load_state_dict(newest)
        else:
            self.delayed.load_state_dict(newest)

    def _metrics(self, steps: Steps, loss: MazeroLoss, unrolled: Unrolled, targets: Targets) -> dict[str, float]:
        """Terms per window; of rows that a step follows, how certain the agents and the searches are and what is
        still to come, in the world's own rewards."""
        taken = steps.taken[: len(unrolled.hidden)]
        legal = steps.legal[: len(unrolled.hidden)]
        policy = self.actions.masked(unrolled.policy.detach()[taken], legal[taken])
        values = {
            "model/loss": loss.total,
            "model/value_loss": loss.value.sum(0).mean(),
            "model/reward_loss": loss.reward.sum(0).mean(),
            "model/consistency_loss": loss.consistency.sum(0).mean(),
            "policy/loss": loss.policy.sum(0).mean(),
            "policy/entropy": self.actions.entropy(policy).mean(),
            "policy/search_entropy_bits": entropy_bits(targets.policy.policy[taken]).mean(),
            "policy/return": targets.value[taken].mean() / self.settings.targets.reward_scale,
        }
        clipped = self._clipping.see(self.model, value=targets.value[taken], reward=targets.reward[taken[:-1]])
        return {name: float(value.detach()) for name, value in values.items()} | {
            "model/clipped_targets": clipped,
            "policy/largest_weight": self._outweighing.see(targets, self.settings.loss),
        }
