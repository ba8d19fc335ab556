"""What a run is made of, from its settings: networks, world, and a world to be evaluated in."""

from __future__ import annotations

import torch

from heliograph.environments import registry
from heliograph.environments.permission import Permission
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import SettingsError
from trainer.algorithms.interfaces import Algorithm
from trainer.algorithms.registry import algorithm_entry
from trainer.training.settings import TrainSettings


def make_algorithm(settings: TrainSettings, environment: VectorEnvironment, device: torch.device) -> Algorithm:
    """The networks of a run, freshly initialised from its seed.

    Raises SettingsError if the algorithm cannot act in this world.
    """
    torch.manual_seed(settings.seed)
    entry, spec = algorithm_entry(settings.algorithm), environment.spec
    if refusal := entry.refusal(spec):
        raise SettingsError(f"{settings.algorithm} {refusal}", remedy="Train another algorithm there")
    compiled = {"compile_mode": settings.compile} if entry.compiles else {}
    made: Algorithm = entry.load()(*settings.sections(), spec, device=device, **compiled)
    return made


def make_environment(settings: TrainSettings, permission: Permission, *, count: int) -> VectorEnvironment:
    """The world that the settings name, if they may.  Raises what `registry.make` raises."""
    chosen = settings.environment
    return registry.make(
        chosen.id, count=count, parameters=chosen.parameters, workers=chosen.workers, permission=permission
    )


def evaluation_environment(settings: TrainSettings, permission: Permission, *, episodes: int) -> VectorEnvironment:
    """As many copies as the settings want for so many episodes."""
    return make_environment(settings, permission, count=min(settings.evaluation.copies, episodes))
