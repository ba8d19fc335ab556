"""Run folders as a training leaves them, without the training: settings, metrics and, if it ended, a summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def recorded_run(
    path: Path,
    outcomes: Sequence[float],
    *,
    seed: int = 0,
    environment: str = "relay",
    parameters: dict[str, Any] | None = None,
    measure: str = "won",
    every: int = 1000,
    first: int = 1000,
    final: float | None = None,
    ended: Any = None,
    **settings: Any,
) -> Path:
    """Write a run that was evaluated every so many steps, and ended at the last one unless `ended` names another.

    Its returns are ten times its outcomes.
    """
    path.mkdir(parents=True)
    world = {"id": environment, "parameters": parameters or {}, "copies": 8}
    document = {"algorithm": "mamba", "seed": seed, "device": "cpu", "environment": world, **settings}
    (path / "settings.json").write_text(json.dumps(document))
    records = [{"iteration": 1, "env_steps": 10, "collect/outcome": 0.0}]
    records += [
        {
            "iteration": 2 + index,
            "env_steps": first + index * every,
            "evaluate/greedy_outcome": outcome,
            "evaluate/greedy_return": 10 * outcome,
        }
        for index, outcome in enumerate(outcomes)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    if final is not None:
        outcome = {"mean": final, "low": final - 0.1, "high": final + 0.1}
        greedy = {"outcome": outcome, "return": 10 * final, "episodes": 1000}
        summary = {"outcome_name": measure, "env_steps": records[-1]["env_steps"] if ended is None else ended}
        (path / "summary.json").write_text(json.dumps({"reason": "steps", **summary, "greedy": greedy}))
    return path
