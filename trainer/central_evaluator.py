"""The trainer's side of `heliograph evaluate --central`, found through the entry point `heliograph.evaluators`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainer.evaluation import evaluate
from trainer.run_folder import RunFolder
from trainer.training import restored_algorithm


def evaluate_centrally(path: Path, *, episodes: int, seed: int, greedy: bool, links_cut: bool) -> dict[str, Any]:
    """Play episodes with the networks of the newest checkpoint of a run folder, all agents in one batch."""
    device = torch.device("cpu")
    algorithm, environment, _ = restored_algorithm(RunFolder.open(path), device=device)
    result = evaluate(
        algorithm, environment, episodes=episodes, seed=seed, greedy=greedy, device=device, links_cut=links_cut
    )
    return {
        "episodes": episodes,
        "outcomes": result.outcome.tolist(),
        "returns": result.team_return.tolist(),
    }
