"""Networks and replay of a run as its newest checkpoint has them, for those who look at a run and do not train it."""

from __future__ import annotations

import torch

from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.interfaces import Algorithm
from trainer.experience.replay import Replay
from trainer.training.checkpoint import from_newest, load_experience, load_networks, under
from trainer.training.empty_replay import empty_replay
from trainer.training.run_folder import RunFolder
from trainer.training.training import make_algorithm, make_environment


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


def restored_replay(folder: RunFolder, algorithm: Algorithm) -> Replay:
    """The replay of a run's newest checkpoint.  Raises CheckpointError."""
    replay = empty_replay(folder.settings(), algorithm)
    replay.restore(under(from_newest(folder.checkpoints, load_experience), "replay."))
    return replay
