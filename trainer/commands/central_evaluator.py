"""The trainer's side of `heliograph evaluate`, found through the entry point `heliograph.evaluators`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from heliograph.environments import registry
from heliograph.environments.episodes import EpisodeResults
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import VectorEnvironment
from trainer.algorithms.interfaces import SearchingAlgorithm
from trainer.commands.central_replay import RecordedEpisode, Replay, replay
from trainer.policy.acting import Policy
from trainer.training.checkpoint import from_newest, load_weights
from trainer.training.evaluation import evaluate
from trainer.training.making import evaluation_environment, make_algorithm
from trainer.training.run_folder import RunFolder
from trainer.training.snapshots import load_snapshot, saved_snapshots

FLOAT_BITS = 32


class CentralEvaluator:
    """Plays episodes with the networks of a run folder, all agents in one batch, for `coordinator.scoring`."""

    def __init__(self, path: Path, permission: Permission = CATALOGUE_ONLY) -> None:
        """Load the newest networks; `permission` is that to make the world which the settings name.

        Raises SettingsError if this is no run folder, CheckpointError if it has none, and what making the world raises.
        """
        folder = RunFolder.open(path)
        self._permission = permission.of(folder.source)
        settings = self._settings = folder.settings()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._checkpoints = folder.checkpoints
        self.run_id = folder.run_id
        self._device = torch.device("cpu")
        self._environment: VectorEnvironment | None = None
        chosen = settings.environment
        with closing(
            registry.make(chosen.id, count=1, parameters=chosen.parameters, permission=self._permission)
        ) as one:
            self.spec = one.spec
            self._algorithm = make_algorithm(settings, one, self._device)
        self.algorithm = self._algorithm.name
        self._loaded = self.newest = self._load_newest()
        self._snapshots = {int(snapshot.name): snapshot for snapshot in saved_snapshots(folder.snapshots)}

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Environment steps of the snapshots, ascending."""
        return tuple(self._snapshots)

    # Eight parameters, those of `CentralTeam.run_episodes`.
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
    ) -> EpisodeResults:
        """Play with the networks as they were after `checkpoint` steps: those of a snapshot, or the newest ones."""
        self._load(checkpoint)
        if self._environment is None:
            self._environment = evaluation_environment(self._settings, self._permission, episodes=episodes)
        return evaluate(
            self._searching_policy(seed) if searching else self._algorithm.policy(),
            self._environment,
            episodes=episodes,
            seed=seed,
            greedy=greedy,
            device=self._device,
            links_cut=links_cut,
            most_steps=most_steps,
            progress=progress,
        )

    @property
    def search_bits(self) -> tuple[int, int] | None:
        """What an agent would send at every step for a search over the whole team, and get from it at most; None if
        its algorithm plans nothing."""
        if not isinstance(self._algorithm, SearchingAlgorithm):
            return None
        mask = self.spec.actions if self.spec.has_action_mask else 0
        down = max(space.message_bits for space in self.spec.rows.spaces)
        return FLOAT_BITS * self._algorithm.hidden_size + mask, down

    def _searching_policy(self, seed: int) -> Policy:
        assert isinstance(self._algorithm, SearchingAlgorithm)
        return self._algorithm.searching_policy(torch.Generator(self._device).manual_seed(seed))

    def replay(self, *, run_seed: int, greedy: bool, **recorded: Any) -> Replay:
        """What the newest networks decide on a `RecordedEpisode`, whose fields are given by name."""
        self._load(self.newest)
        return replay(self._algorithm, RecordedEpisode(**recorded), run_seed=run_seed, greedy=greedy)

    def _load(self, checkpoint: int) -> None:
        if checkpoint == self._loaded:
            return
        if checkpoint == self.newest:
            self._load_newest()
        else:
            load_snapshot(self._snapshots[checkpoint], self._algorithm)
        self._loaded = checkpoint

    def _load_newest(self) -> int:
        return from_newest(self._checkpoints, lambda path: load_weights(path, self._algorithm))

    def close(self) -> None:
        """Free the world's simulators; the next play makes them again."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None
