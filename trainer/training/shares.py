"""What one of several ranks does of a run: its settings describe all ranks together."""

from __future__ import annotations

from typing import Any

from heliograph.errors import CheckpointError, SettingsError
from heliograph.settings import Settings
from trainer.algorithms.marie.settings import MarieSettings
from trainer.algorithms.mazero.settings import MazeroSettings
from trainer.algorithms.qmix.settings import QmixSettings
from trainer.algorithms.registry import ALGORITHMS, algorithm_entry
from trainer.policy.settings import ModelBasedSettings, PolicySettings
from trainer.training.settings import TrainSettings


def share_of(settings: TrainSettings, ranks: int) -> TrainSettings:
    """Those of each of so many ranks: its copies of the environment, its part of replay and of every batch.

    All of them together do what one would alone: gradients are means over the ranks.  Raises SettingsError for an
    algorithm that ranks cannot share, or for what cannot be split into equal parts.
    """
    if ranks == 1:
        return settings
    if not algorithm_entry(settings.algorithm).ranks:
        shared = [name for name in ALGORITHMS if algorithm_entry(name).ranks]
        raise SettingsError(
            f"{settings.algorithm} cannot be learned by several ranks",
            remedy=f"Train it in one process; {', '.join(shared)} can",
        )
    environment, replay = settings.environment, settings.replay
    env_steps = environment.copies * settings.schedule.steps_per_iteration
    sections: dict[str, Settings] = {}
    for name in algorithm_entry(settings.algorithm).sections:
        section = getattr(settings, name)
        if isinstance(section, ModelBasedSettings):
            whole = section.of_iteration(env_steps)  # by the environment steps of all ranks
            policy: PolicySettings = whole.policy  # type: ignore[attr-defined]  # declared by each
            sections[name] = whole.model_copy(update={"train_ratio": None, "policy": _policy(name, policy, ranks)})
            if isinstance(section, MarieSettings):
                batch = _part(f"{name}.tokenizer.batch", section.tokenizer.batch, ranks)
                tokenizer = section.tokenizer.model_copy(update={"batch": batch})
                sections[name] = sections[name].model_copy(update={"tokenizer": tokenizer})
        elif isinstance(section, QmixSettings):  # each explores by the steps that it takes itself
            fewer = section.exploration.model_copy(update={"steps": -(-section.exploration.steps // ranks)})
            sections[name] = section.model_copy(update={"exploration": fewer})
        elif isinstance(section, MazeroSettings):  # a window's age is counted in the steps of its own rank
            sooner = section.targets.model_copy(update={"stale_after": section.targets.stale_after / ranks})
            sections[name] = section.model_copy(update={"targets": sooner})
    return settings.model_copy(
        update={
            "environment": environment.model_copy(
                update={
                    "copies": _part("environment.copies", environment.copies, ranks),
                    "workers": -(-environment.workers // ranks),
                }
            ),
            "replay": replay.model_copy(
                update={
                    "capacity": replay.capacity // ranks,
                    "batch": _part("replay.batch", replay.batch, ranks),
                    "minimum": -(-replay.minimum // ranks),
                }
            ),
            **sections,
        }
    )


def check_ranks(state: dict[str, Any], ranks: int) -> None:
    """Raises CheckpointError if a checkpoint is of another number of ranks: each has its own experience in it."""
    if (then := ranks_of(state)) != ranks:
        raise CheckpointError(
            f"the run was trained by {_in_words(then)}, and would go on with {_in_words(ranks)}, but each has an "
            "experience of its own",
            remedy=f"Go on with {_in_words(then)}, or begin another run with its networks: --init-from RUN",
        )


def ranks_of(state: dict[str, Any]) -> int:
    """How many ranks a checkpoint is of; older ones know of none."""
    return int(state.get("ranks", 1))


def _in_words(ranks: int) -> str:
    return "1 rank" if ranks == 1 else f"{ranks} ranks"


def _policy(section: str, policy: PolicySettings, ranks: int) -> PolicySettings:
    starts = policy.start_states
    return policy.model_copy(
        update={
            "start_states": None if starts is None else _part(f"{section}.policy.start_states", starts, ranks),
            "minibatch": -(-policy.minibatch // ranks),
        }
    )


def _part(name: str, whole: int, ranks: int) -> int:
    if whole % ranks:
        raise SettingsError(
            f"{name} = {whole} cannot be split among {ranks} ranks", remedy=f"Make it a multiple of {ranks}"
        )
    return whole // ranks
