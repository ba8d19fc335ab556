"""The way to the trainer's networks, for evaluations that play all agents in one batch: an entry point, so no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import MissingExtra
from heliograph.extras import install

EVALUATOR_GROUP, CENTRAL = "heliograph.evaluators", "central"
"""Entry point of a callable `(path: Path, permission: Permission) -> CentralTeam` for a run folder."""


class CentralEpisodes(Protocol):
    """One number per episode."""

    outcome: npt.NDArray[np.float64]
    """float64 [episodes]."""
    team_return: npt.NDArray[np.float64]
    """float64 [episodes]."""
    cut: npt.NDArray[np.bool_]
    """bool [episodes]: the environment had not ended it after the most steps."""


class CentralReplay(Protocol):
    """What the networks decide at the steps of an episode; undefined where an agent was not present."""

    latent: npt.NDArray[np.int32] | None
    """int32 [T, N, K]; None without messages."""
    action: npt.NDArray[np.int64 | np.float32]
    """int64 [T, N], or float32 [T, N, k] between -1 and 1."""
    logits: npt.NDArray[np.float32]
    """float32 [T, N, A], of continuous actions [T, N, 2k]."""


class CentralTeam(Protocol):
    """The networks of a run folder in their own world."""

    run_id: str
    """As in the manifests of the run's bundles."""
    spec: EnvironmentSpec
    algorithm: str
    newest: int
    """Environment steps of the newest checkpoint."""
    snapshots: tuple[int, ...]
    """Environment steps of the snapshots that were kept on the way, ascending."""
    search_bits: tuple[int, int] | None
    """Bits that an agent would send at every step for a search over the whole team (its hidden state and its action
    mask), and get from it (its action); None if the algorithm plans nothing."""

    # Eight parameters: whoever implements it may not import a class of this package.
    def run_episodes(
        self,
        checkpoint: int,
        *,
        episodes: int,
        seed: int,
        most_steps: int,
        greedy: bool,
        links_cut: bool,
        searching: bool,
        progress: Callable[[int], None],
    ) -> CentralEpisodes:
        """Play with the networks of one of these checkpoints; `progress` is told how many episodes are finished.

        `searching` plans every action over the whole team; only where there are `search_bits`.
        """
        ...

    # As many parameters as a recorded episode has arrays: who implements it may not import a class of this package.
    def replay(
        self,
        *,
        run_seed: int,
        greedy: bool,
        episode: int,
        observation: npt.NDArray[np.float32],
        action_mask: npt.NDArray[np.bool_],
        present: npt.NDArray[np.bool_],
        hears: npt.NDArray[np.bool_],
        latent: npt.NDArray[np.int32] | None,
        action: npt.NDArray[np.int64 | np.float32],
    ) -> CentralReplay:
        """What the newest networks decide, as float32 on the CPU, on observations and messages that were recorded.

        Observation float32 [T, N, D], action_mask bool [T, N, A], present bool [T, N], hears bool [T, N, N]; the
        messages are latent int32 [T, N, K] and action, int64 [T, N] or float32 [T, N, k], so a decision that differs
        changes no later one.
        """
        ...

    def close(self) -> None:
        """Free the world's simulators; the next play makes them again."""
        ...


def central_team(path: Path, permission: Permission = CATALOGUE_ONLY) -> CentralTeam:
    """Load a run folder's networks; `permission` is that to make the world that its settings name.

    Raises MissingExtra without a trainer, and whatever the trainer says.
    """
    found = list(entry_points(group=EVALUATOR_GROUP, name=CENTRAL))
    if not found:
        raise MissingExtra("no evaluator of centralised networks is installed", remedy=install("trainer"))
    try:
        factory: Callable[[Path, Permission], CentralTeam] = found[0].load()
    except ImportError as error:
        raise MissingExtra(
            f"the evaluator of centralised networks needs {error.name}", remedy=install("trainer")
        ) from None
    return factory(path, permission)
