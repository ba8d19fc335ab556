"""A replay without anything in it, of the shape that an algorithm's rows have."""

from __future__ import annotations

from trainer.algorithms.interfaces import Algorithm
from trainer.experience.recurrent_columns import packed
from trainer.experience.replay import Replay
from trainer.training.settings import TrainSettings


def empty_replay(settings: TrainSettings, algorithm: Algorithm) -> Replay:
    """With room for what the algorithm learns from."""
    return Replay(
        settings.replay,
        algorithm.spec,
        copies=settings.environment.copies,
        keeps_state=algorithm.reads_state,
        carried_size=packed(algorithm.initial_state(1)).shape[-1] if algorithm.reads_carried else 0,
    )
