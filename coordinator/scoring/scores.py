"""What evaluations came to: a score per team and policy, and what the runs of one algorithm come to together.

Axis legend: R runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heliograph.aggregates import Aggregate, aggregate, interquartile_mean, mean
from heliograph.documents import DocumentFormat
from heliograph.estimates import Estimate, bootstrap, wilson
from heliograph.marl_eval import EvaluatedRun, EvaluatedStep, Metrics
from heliograph.run_settings import names_of_kinds

SCORES = DocumentFormat(name="heliograph-scores", version=1, what="the scores")

ALONE, TOGETHER, REFERENCE = "each alone", "all at once", "reference"
"""Who acts, as files name it: bundles, each agent by itself; the trainer's networks in one batch; a scripted team."""
SEARCHING = "all at once, by search"
"""The trainer's networks, with a search over the whole team before every step."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One team, played with one policy over some episodes."""

    run: str
    """What was named on the command line: a folder, or a reference."""
    environment: str
    task: str
    """The two names of `heliograph.marl_eval`."""
    algorithm: str
    seed: int | None
    """Of the training; None where it is not known."""
    env_steps: int | None
    """Of the training until the checkpoint that was played; None for a reference."""
    team: str
    policy: str
    """greedy or sampled; empty for a reference, which has its own."""
    links: str
    """open or cut."""
    measure: str
    outcome: tuple[float, ...]
    """Per episode."""
    team_return: tuple[float, ...]
    seconds: float
    cut_episodes: int = 0
    """Those that the environment had not ended after the most steps; they count for what they were then."""
    chosen: bool = False
    """The best of all checkpoints, on fresh episodes: those on which it was chosen would flatter it."""
    kind: Mapping[str, Any] = field(default_factory=dict)
    """Of its training (`heliograph.run_settings`); empty where that is not known, and for a reference."""

    @property
    def estimate(self) -> Estimate:
        """Of the outcome, over episodes."""
        return wilson(self.outcome) if self.measure == "won" else bootstrap(self.outcome)

    @property
    def return_estimate(self) -> Estimate:
        return bootstrap(self.team_return)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The same from several runs: each run counts once, with its mean."""

    variant: str
    """By which settings they differ from other runs of the algorithm; empty if there are none."""
    scores: tuple[Score, ...]
    iqm: Aggregate
    mean: Aggregate

    @property
    def means(self) -> tuple[float, ...]:
        """[R]."""
        return tuple(score.estimate.mean for score in self.scores)


def groups(scores: Sequence[Score], *, every_checkpoint: bool) -> list[Group]:
    """Scores of several runs that differ in their seed alone; where every checkpoint was played, at the same step."""
    found: dict[tuple[Any, ...], list[Score]] = {}
    for score, variant in zip(scores, variants(scores), strict=True):
        if score.team == REFERENCE:
            continue
        steps = score.env_steps if every_checkpoint and not score.chosen else None
        key = (variant, score.environment, score.task, score.algorithm, steps, score.chosen)
        found.setdefault((*key, score.team, score.policy, score.links), []).append(score)
    result = []
    for (variant, *_), members in found.items():
        if len(members) > 1:
            means = [np.array([score.estimate.mean for score in members])]  # [R], of one task
            result.append(
                Group(
                    variant=variant,
                    scores=tuple(members),
                    iqm=aggregate(means, interquartile_mean),
                    mean=aggregate(means, mean),
                )
            )
    return result


def variants(scores: Sequence[Score]) -> list[str]:
    """Of each, by which settings it differs from others of its algorithm in its task; empty if by none."""
    found = [""] * len(scores)
    alike: dict[tuple[str, str, str], list[int]] = {}
    for place, score in enumerate(scores):
        alike.setdefault((score.environment, score.task, score.algorithm), []).append(place)
    for places in alike.values():
        for place, name in zip(places, names_of_kinds([scores[each].kind for each in places]), strict=True):
            found[place] = name
    return found


def as_dict(
    scores: Sequence[Score], found: Sequence[Group], *, episodes: int, seed: int, interrupted: bool
) -> dict[str, Any]:
    """For JSON; documented in the fields of `Score` and `Group`."""
    fields = {
        "episodes": episodes,
        "seed": seed,
        "interrupted": interrupted,
        "scores": [
            {
                **{name: value for name, value in vars(score).items() if name != "kind"},
                "variant": variant,
                "outcome": vars(score.estimate),
                "return": vars(score.return_estimate),
                "team_return": list(score.team_return),
                "outcomes": list(score.outcome),
            }
            for score, variant in zip(scores, variants(scores), strict=True)
        ],
        "groups": [
            {
                "algorithm": group.scores[0].algorithm,
                "variant": group.variant,
                "task": group.scores[0].task,
                "team": group.scores[0].team,
                "policy": group.scores[0].policy,
                "links": group.scores[0].links,
                "env_steps": [score.env_steps for score in group.scores],
                "runs": [score.run for score in group.scores],
                "iqm": vars(group.iqm),
                "mean": vars(group.mean),
            }
            for group in found
        ],
    }
    return SCORES.document(fields)


def evaluated_runs(scores: Sequence[Score], *, evaluation_seed: int) -> list[EvaluatedRun]:
    """The scores as runs of marl-eval.

    Absolute metrics are those of the checkpoint that was chosen; where a single one was played, its own.
    """
    found: dict[tuple[str, str, str, str], list[Score]] = {}
    alone = any(score.team == ALONE for score in scores)
    for score, variant in zip(scores, variants(scores), strict=True):
        seed = evaluation_seed if score.team == REFERENCE else score.seed
        name = score.run if seed is None else f"seed_{seed}"
        key = (
            score.environment,
            score.task,
            _algorithm(score, alone=alone) + (f" ({variant})" if variant else ""),
            name,
        )
        found.setdefault(key, []).append(score)
    return [
        EvaluatedRun(
            environment=environment,
            task=task,
            algorithm=algorithm,
            run=run,
            steps=tuple(
                EvaluatedStep(step_count=score.env_steps or 0, metrics=_metrics(score))
                for score in members
                if not score.chosen
            ),
            absolute=_metrics(next((score for score in members if score.chosen), members[-1])),
        )
        for (environment, task, algorithm, run), members in found.items()
    ]


def _algorithm(score: Score, *, alone: bool) -> str:
    """What is not greedy, with open links, is another algorithm; so are networks all at once where bundles play too."""
    parts = [score.algorithm]
    if score.policy == "sampled":
        parts.append("sampled")
    if score.links in ("cut", "permuted"):
        parts.append(score.links)
    if score.team == TOGETHER and alone:
        parts.append("central")
    if score.team == SEARCHING:
        parts.append("search")
    return "-".join(parts)


def _metrics(score: Score) -> Metrics:
    metrics = {score.measure: score.outcome}
    return metrics if score.measure == "return" else {**metrics, "return": score.team_return}
