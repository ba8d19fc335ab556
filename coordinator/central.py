"""The way to the trainer's networks, for evaluations that play all agents in one batch: an entry point, so no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import numpy as np

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import MissingExtra

EVALUATOR_GROUP, CENTRAL = "heliograph.evaluators", "central"
"""Entry point of a callable `(path: Path) -> CentralTeam` for a run folder."""


class CentralEpisodes(Protocol):
    """One number per episode."""

    outcome: np.ndarray
    """float64 [episodes]."""
    team_return: np.ndarray
    """float64 [episodes]."""


class CentralTeam(Protocol):
    """The networks of a run folder in their own world."""

    spec: EnvironmentSpec
    algorithm: str
    newest: int
    """Environment steps of the newest checkpoint."""
    snapshots: tuple[int, ...]
    """Environment steps of the snapshots that were kept on the way, ascending."""

    def play(
        self,
        checkpoint: int,
        *,
        episodes: int,
        seed: int,
        greedy: bool,
        links_cut: bool,
        progress: Callable[[int], None],
    ) -> CentralEpisodes:
        """Play with the networks of one of these checkpoints; `progress` is told how many episodes are finished."""
        ...

    def close(self) -> None:
        """Free the world's simulators; the next play makes them again."""
        ...


def central_team(path: Path) -> CentralTeam:
    """Load a run folder's networks.  Raises MissingExtra without a trainer, and whatever the trainer says."""
    found = list(entry_points(group=EVALUATOR_GROUP, name=CENTRAL))
    if not found:
        raise MissingExtra("no central evaluator is installed", remedy="pip install 'heliograph[trainer]'")
    try:
        factory = found[0].load()
    except ImportError as error:
        raise MissingExtra(
            f"the central evaluator needs {error.name}", remedy="pip install 'heliograph[trainer]'"
        ) from None
    return factory(path)
