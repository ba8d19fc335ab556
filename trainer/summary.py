"""The end of a run in words: `summary.json` and the lines on the terminal."""

from __future__ import annotations

import json
from typing import Any

from heliograph.environments.episodes import PlayedEpisodes
from heliograph.estimates import Estimate, estimate
from trainer.run_folder import RunFolder
from trainer.training import Summary, Training

_REASONS = {
    "steps": "all environment steps done",
    "time": "time limit reached",
    "outcome": "target outcome reached twice in a row",
    "interrupted": "interrupted",
}


def write_summary(folder: RunFolder, training: Training, summary: Summary) -> str:
    """Write `summary.json` and return what to print."""
    spec = training.environment.spec
    document: dict[str, Any] = {
        "reason": summary.reason,
        "env_steps": summary.env_steps,
        "iterations": summary.iterations,
        "seconds": summary.seconds,
        "lost_episodes": summary.lost_episodes,
        "outcome_name": spec.outcome,
        "blind_bound": spec.blind_bound,
        "greedy": _document(summary.evaluation),
        "links_cut": _document(summary.links_cut),
    }
    folder.summary.write_text(json.dumps(document, indent=2) + "\n")
    lines = [
        f"{_REASONS[summary.reason]}: {summary.env_steps} environment steps, {summary.iterations} iterations, "
        f"{summary.seconds:.0f} s of training",
    ]
    for label, evaluation in (
        (f"{spec.outcome}, greedy", summary.evaluation),
        (f"{spec.outcome}, every message masked", summary.links_cut),
    ):
        if evaluation is not None:
            found = _words(estimate(evaluation.outcome.tolist()))
            lines.append(f"  {label}: {found}, {len(evaluation.outcome)} episodes")
    if summary.lost_episodes:
        lines.append(f"  episodes lost with their simulator, which count nowhere: {summary.lost_episodes}")
    if spec.blind_bound is not None:
        lines.append(f"  bound of a team that cannot hear: {spec.blind_bound:.4g}")
    lines.append(f"  run folder: {folder.path}")
    if summary.reason == "interrupted":
        lines.append(f"  go on with: heliograph train --resume {folder.path}")
    else:
        lines.append(f"  next: heliograph run --bundles {folder.bundles}")
    return "\n".join(lines)


def _document(evaluation: PlayedEpisodes | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    found = estimate(evaluation.outcome.tolist())
    return {
        "outcome": {"mean": found.mean, "low": found.low, "high": found.high},
        "return": float(evaluation.team_return.mean()),
        "episodes": len(evaluation.outcome),
    }


def _words(found: Estimate) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
