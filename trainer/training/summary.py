"""The end of a run: `summary.json`, and the lines on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph.display import interval
from heliograph.environments.episodes import EpisodeResults
from heliograph.errors import CheckpointError, TargetNotReached
from heliograph.estimates import estimate
from heliograph.reading import SMALL, read_json
from heliograph.system_refusals import remedy_for
from heliograph.writing import replace_text
from trainer.ranks.launched import train_command
from trainer.training.limits import Limit
from trainer.training.run_folder import RunFolder

if TYPE_CHECKING:
    import torch

_REASONS = {
    "steps": "all environment steps done",
    "time": "time limit reached",
    "outcome": "target outcome reached twice in a row",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended."""

    reason: str
    """steps, time, outcome or interrupted."""
    env_steps: int
    iterations: int
    seconds: float
    """Wall time of training, interruptions left out."""
    outcome_name: str
    """What the outcome of the run's world is: won, arrived, return, …"""
    blind_bound: float | None
    """Outcome that a team which cannot hear reaches at most; None where that is not known."""
    target: float | None
    """The outcome that ends a run early; None: there is none."""
    must_reach: bool
    """Whether a run without it has missed its purpose."""
    evaluation: EpisodeResults | None
    """Greedy, on fresh episodes; None if the run was interrupted."""
    links_cut: EpisodeResults | None
    """The same with every message masked; None without messages or if interrupted."""
    lost_episodes: int
    """Of training: those whose simulator died, which count nowhere."""
    parameters: int | None = None
    """Weights of all networks that learn, those that act and those that are needed in training alone."""
    limit: Limit | None = None
    """What limits the run; None where there is no model to ask."""
    blind_bound_measured: bool = False
    """See `EnvironmentSpec.blind_bound_measured`."""

    @property
    def outcome(self) -> float | None:
        """Mean of the final evaluation; None if there was none."""
        return None if self.evaluation is None else float(self.evaluation.outcome.mean())

    @property
    def missed(self) -> bool:
        """The run ended, and the team is not as good as it must be: neither twice in a row on the way, nor now."""
        if not self.must_reach or self.reason == "outcome" or self.outcome is None or self.target is None:
            return False
        return self.outcome < self.target

    def error(self, folder: RunFolder, *, more: str) -> TargetNotReached:
        """What a run that `missed` ends with; `more` says how far another attempt goes."""
        return TargetNotReached(
            f"{_REASONS[self.reason]}, and the team's outcome ({self.outcome_name}) is {self.outcome:.3f} where "
            f"{self.target:g} was asked for",
            remedy=f"Go on, {more}: {train_command()} --resume {folder.path}{folder.flags}",
        )


def count_weights(networks: Iterable[torch.nn.Module]) -> int:
    """Of all parameters of these networks."""
    return sum(weights.numel() for network in networks for weights in network.parameters())


def write_summary(folder: RunFolder, summary: Summary) -> None:
    """Write `summary.json` in one go.  Raises CheckpointError if the disk refuses."""
    document: dict[str, Any] = {
        "reason": summary.reason,
        "env_steps": summary.env_steps,
        "iterations": summary.iterations,
        "seconds": summary.seconds,
        "parameters": summary.parameters,
        "lost_episodes": summary.lost_episodes,
        "outcome_name": summary.outcome_name,
        "blind_bound": summary.blind_bound,
        "blind_bound_measured": summary.blind_bound_measured,
        "target": summary.target,
        "greedy": _document(summary.evaluation),
        "links_cut": _document(summary.links_cut),
        "limit": None if summary.limit is None else {"by": summary.limit.by, "sentence": summary.limit.sentence},
    }
    try:
        replace_text(folder.summary, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"cannot write {folder.summary}: {error}", remedy=f"{remedy_for(error)}, and go on"
        ) from error


def greedy_score(folder: RunFolder, *, env_steps: int) -> float | None:
    """The outcome of the final evaluation, if `summary.json` has one of the networks after so many steps."""
    try:
        document = read_json(folder.summary, limit=SMALL)
        return float(document["greedy"]["outcome"]["mean"]) if document["env_steps"] == env_steps else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def in_words(folder: RunFolder, summary: Summary) -> str:
    """What to print of a run that has ended."""
    lines = [
        f"{_REASONS[summary.reason]}: {summary.env_steps:,} environment steps, {summary.iterations:,} iterations, "
        f"{summary.seconds:.0f} s of training",
    ]
    if summary.parameters is not None:
        lines[0] += f", {summary.parameters:,} weights"
    for label, evaluation in (
        (f"{summary.outcome_name}, greedy", summary.evaluation),
        (f"{summary.outcome_name}, every message masked", summary.links_cut),
    ):
        if evaluation is not None:
            outcome = estimate(evaluation.outcome.tolist())
            found = interval(outcome.mean, outcome.low, outcome.high)
            lines.append(f"  {label}: {found}, {len(evaluation.outcome)} episodes{_cut(evaluation)}")
    if summary.lost_episodes:
        lines.append(f"  episodes lost with their simulator, which count nowhere: {summary.lost_episodes}")
    if summary.blind_bound is not None:
        known = "best found" if summary.blind_bound_measured else "bound"
        lines.append(f"  {known} without communication: {summary.blind_bound:.4g}")
    if summary.limit is not None:
        lines.append(f"  {summary.limit.sentence}")
    lines.append(f"  run folder: {folder.path}")
    if summary.reason == "interrupted":
        lines.append(f"  go on with: {train_command()} --resume {folder.path}{folder.flags}")
    else:
        lines.append(f"  next: heliograph run --bundles {folder.bundles}{folder.flags}")
    return "\n".join(lines)


def _document(evaluation: EpisodeResults | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    found = estimate(evaluation.outcome.tolist())
    return {
        "outcome": {"mean": found.mean, "low": found.low, "high": found.high},
        "return": float(evaluation.team_return.mean()),
        "episodes": len(evaluation.outcome),
        "cut_episodes": int(evaluation.cut.sum()),
    }


def _cut(evaluation: EpisodeResults) -> str:
    cut = evaluation.length[evaluation.cut]
    return (
        f", {cut.size} of them cut after {cut.max()} steps, which their environment had not ended" if cut.size else ""
    )
