"""The evaluations of a run: those on the way, always of the same episodes, and the one that ends it, of fresh ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from heliograph.environments.episodes import EpisodeResults
from heliograph.environments.permission import Permission
from heliograph.environments.vector import VectorEnvironment
from trainer.policy.acting import Policy
from trainer.training.evaluation import evaluate
from trainer.training.making import evaluation_environment
from trainer.training.settings import EvaluationSettings, TrainSettings


def evaluations_of(
    settings: TrainSettings, permission: Permission, *, device: torch.device, check: Callable[[], None]
) -> Evaluations:
    """Those of a run, in a world of their own, which whoever has them closes."""
    chosen = settings.evaluation
    world = evaluation_environment(settings, permission, episodes=chosen.episodes)
    return Evaluations(settings=chosen, environment=world, device=device, check=check)


@dataclass(frozen=True, kw_only=True)
class Evaluations:
    """Each raises what `evaluate` raises."""

    settings: EvaluationSettings
    environment: VectorEnvironment
    device: torch.device
    check: Callable[[], None]
    """Called before every step; may raise to give up."""

    def on_the_way(self, policy: Policy) -> dict[str, float]:
        """For the record of an iteration."""
        record: dict[str, float] = {}
        for name, greedy in (("greedy", True), ("sampled", False)):
            if greedy or self.settings.sampled:
                result = self._evaluate(policy, episodes=self.settings.episodes, seed=self.settings.seed, greedy=greedy)
                record[f"evaluate/{name}_outcome"] = float(result.outcome.mean())
                record[f"evaluate/{name}_return"] = float(result.team_return.mean())
                if result.cut.any():
                    record[f"evaluate/{name}_cut_episodes"] = int(result.cut.sum())
        return record

    def final(self, policy: Policy, *, links_cut: bool = False) -> EpisodeResults:
        """Greedy, on episodes that no evaluation on the way has seen."""
        seed = self.settings.seed + 1
        return self._evaluate(
            policy, episodes=self.settings.final_episodes, seed=seed, greedy=True, links_cut=links_cut
        )

    def _evaluate(
        self, policy: Policy, *, episodes: int, seed: int, greedy: bool, links_cut: bool = False
    ) -> EpisodeResults:
        return evaluate(
            policy,
            self.environment,
            episodes=episodes,
            seed=seed,
            greedy=greedy,
            device=self.device,
            links_cut=links_cut,
            most_steps=self.settings.most_steps,
            check=self.check,
        )
