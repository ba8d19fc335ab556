"""QMIX: monotonic value function factorisation (Rashid et al. 2018), of which VDN (Sunehag et al. 2018) is the sum.

Every agent values its own actions by what it has seen itself; in training alone a mixer makes the team's value of those
of the chosen actions.  It grows with each of them, so that agents that take their own best actions take the joint one.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from trainer.algorithms.model_free.recurrent_network import RecurrentNetwork
from trainer.algorithms.qmix.exploring import EPSILON, Exploring, latest_epsilon
from trainer.algorithms.qmix.settings import QmixOptimiserSettings, QmixSettings
from trainer.algorithms.qmix.targets import TeamSteps, chosen_values, td_loss, td_targets, team_steps
from trainer.algorithms.qmix.team import TeamValue
from trainer.algorithms.step_function import StepFunction
from trainer.experience.batch import Batch
from trainer.experience.columns import Column, state_column
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.gradient_steps import gradient_step
from trainer.nets.means import Means
from trainer.nets.optimisers import Adam, RMSprop
from trainer.policy.distributions import ActionDistribution
from trainer.ranks.group import ranks


class Qmix:
    """An `Algorithm`."""

    name = "qmix"

    def __init__(self, settings: QmixSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings, self.spec, self.device = settings, spec, device
        self.team = TeamValue(settings, spec).to(device)
        self.target = deepcopy(self.team).requires_grad_(False)
        self.optimiser = _optimiser(self.team, settings.optimiser)
        self.updates = 0

    @property
    def actions(self) -> ActionDistribution:
        return self.team.network.actions

    def columns(self) -> dict[str, Column]:
        return {EPSILON: Column(shape=()), **state_column(self.spec)}

    def behaviour(self) -> Exploring:
        return Exploring(network=self.team.network, settings=self.settings.exploration)

    def policy(self) -> RecurrentNetwork:
        return self.team.network

    def step_function(self, slot: int) -> StepFunction:
        return self.team.network.step_function(self.spec, slot=slot)

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        """`updates`, each on fresh episodes; none before one is over.

        Raises SettingsError if replay is full and holds no whole episode.
        """
        whole = bool(replay.whole_episodes())
        if not ranks().all(whole):
            if replay.full and not whole:
                raise SettingsError(
                    f"replay keeps {replay.capacity} rows per copy, in which no episode is whole",
                    remedy="Raise replay.capacity, or lower environment.copies",
                )
            return {}
        metrics = Means()
        for _ in range(self.settings.updates):
            self.learn(replay.episodes(random).to(self.device), metrics)
        return metrics.result() | {"policy/epsilon": latest_epsilon(replay)}

    def learn(self, batch: Batch, metrics: Means) -> None:
        """One gradient step on whole episodes, and now and then a new target network."""
        td = self.settings.td
        steps = team_steps(batch, td)
        value, target = self.values_and_targets(batch.window, steps)
        loss = td_loss(value, target, steps.taken)
        norm = gradient_step(
            "team's value", self.team, self.optimiser, loss, clip=self.settings.optimiser.gradient_clip
        )
        self.updates += 1
        if self.updates % td.target_every == 0:
            self.target.follow(self.team, td.target_share)
        metrics.add(
            {
                "value/loss": float(loss.detach()),
                "value/team": float(value.detach()[steps.taken].mean()),
                "value/target": float(target[steps.taken].mean()),
                "value/gradient_norm": norm,
            }
        )

    def values_and_targets(self, window: Window, steps: TeamSteps) -> tuple[Tensor, Tensor]:
        """The team's value of what was done at each row but the last, and what it should be; [L - 1, B] each."""
        online, present = self.team.agent_values(window), window.present
        value = self.team.mix(chosen_values(online[:-1], window.action[1:], present[:-1]), window)
        with torch.no_grad():
            theirs = self.target.agent_values(window)
            best = (online if self.settings.td.double else theirs).argmax(-1)
            following = self.target.mix(chosen_values(theirs, best, present), window)
        return value, td_targets(steps, following, self.settings.td)

    def modules(self) -> dict[str, nn.Module]:
        return {"team": self.team, "target": self.target}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"team": self.optimiser}

    def counters(self) -> dict[str, float]:
        return {"updates": self.updates}

    def restore_counters(self, counters: dict[str, float]) -> None:
        self.updates = int(counters["updates"])


def _optimiser(team: TeamValue, chosen: QmixOptimiserSettings) -> torch.optim.Optimizer:
    parameters, rate, epsilon = team.parameters(), chosen.learning_rate, chosen.epsilon
    if chosen.kind == "adam":
        return Adam(parameters, lr=rate, eps=epsilon, fused=True)
    return RMSprop(parameters, lr=rate, eps=epsilon, alpha=chosen.smoothing)
