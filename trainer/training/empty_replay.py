"""A replay without anything in it, of the shape that an algorithm's rows have."""

from __future__ import annotations

from trainer.algorithms.interfaces import Algorithm
from trainer.experience.replay import Replay
from trainer.training.settings import TrainSettings


def empty_replay(settings: TrainSettings, algorithm: Algorithm) -> Replay:
    """With room for what the algorithm learns from."""
    return Replay(settings.replay, algorithm.spec, copies=settings.environment.copies, columns=algorithm.columns())
