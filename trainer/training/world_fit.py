"""Whether an algorithm suits a world, as far as that is known before either is made; imports neither torch nor a
simulator, so that `--dry-run` tells, too."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from heliograph.environments import registry
from heliograph.errors import SettingsError
from trainer.algorithms.registry import algorithm_entry
from trainer.training.settings import TrainSettings


@runtime_checkable
class SuitsActions(Protocol):
    """Settings of an algorithm that do not go with all kinds of actions."""

    @property
    def continuous_misfit(self) -> tuple[str, str] | None:
        """Why they do not go with continuous ones, and the remedy; None if they do."""
        ...


def check_world(settings: TrainSettings) -> None:
    """Raise SettingsError if the world is known to have continuous actions and the settings do not go with these, or
    if a parameter of a world with a name is wrong."""
    chosen = settings.environment
    if not registry.known_continuous(chosen.id, chosen.parameters):
        return
    if refusal := algorithm_entry(settings.algorithm).refusal_of_continuous(chosen.id):
        raise SettingsError(f"{settings.algorithm} {refusal}", remedy="Train another algorithm there")
    for section in settings.sections():
        if isinstance(section, SuitsActions) and (misfit := section.continuous_misfit) is not None:
            raise SettingsError(misfit[0], remedy=misfit[1])
