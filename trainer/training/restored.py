"""Networks and replay of a run as its newest checkpoint has them, for those who look at a run and do not train it."""

from __future__ import annotations

from dataclasses import replace

import torch

from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.interfaces import Algorithm
from trainer.experience.replay import Replay
from trainer.training.checkpoint import from_newest, load_experience, load_networks, under
from trainer.training.empty_replay import empty_replay
from trainer.training.making import make_algorithm, make_environment
from trainer.training.run_folder import RunFolder
from trainer.training.shares import ranks_of, share_of
from trainer.training.snapshots import ChosenNetworks, chosen_networks, load_snapshot
from trainer.training.summary import greedy_score


def restored_algorithm(
    folder: RunFolder, *, device: torch.device, permission: Permission = CATALOGUE_ONLY
) -> tuple[Algorithm, EnvironmentSpec, int]:
    """The networks of a run's newest checkpoint, what its environment is like, and its environment steps."""
    settings = folder.settings()
    environment = make_environment(settings, permission.of(folder.source), count=1)
    environment.close()
    algorithm = make_algorithm(settings, environment, device)
    state = from_newest(folder.checkpoints, lambda path: load_networks(path, algorithm))
    return algorithm, environment.spec, int(state["env_steps"])


def chosen_algorithm(
    folder: RunFolder, snapshot: str | None, *, device: torch.device, permission: Permission = CATALOGUE_ONLY
) -> tuple[Algorithm, EnvironmentSpec, ChosenNetworks]:
    """The networks of a run's newest checkpoint, or as a snapshot has them: that of so many steps, or the "best"."""
    algorithm, spec, env_steps = restored_algorithm(folder, device=device, permission=permission)
    newest = ChosenNetworks(path=None, env_steps=env_steps, score=None)
    if snapshot is None:
        return algorithm, spec, newest
    settings = folder.settings().evaluation
    # Where the end was no evaluation of its own, the final one tells how good it is; that is greedy.
    score = None if settings.sampled else greedy_score(folder, env_steps=env_steps)
    chosen = chosen_networks(
        folder.snapshots,
        snapshot,
        history=folder.history(),
        measure=settings.judged_by,
        final=replace(newest, score=score),
    )
    if chosen.path is not None:
        load_snapshot(chosen.path, algorithm)
    return algorithm, spec, chosen


def restored_replay(folder: RunFolder, algorithm: Algorithm) -> Replay:
    """The replay of a run's newest checkpoint; of several ranks, that of the first.  Raises CheckpointError."""
    state, arrays = from_newest(folder.checkpoints, load_experience)
    replay = empty_replay(share_of(folder.settings(), ranks_of(state)), algorithm)
    replay.restore(under(arrays, "replay."))
    return replay
