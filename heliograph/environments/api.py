"""The environments' part of the public surface: `heliograph.make_environment`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.environments.permission import Permission
from heliograph.environments.registry import make
from heliograph.environments.vector import VectorEnvironment


def make_environment(
    environment: str, *, copies: int = 1, parameters: Mapping[str, Any] | None = None, workers: int = 0
) -> VectorEnvironment:
    """Make copies of an environment that are stepped together.

    The caller vouches for the id and the parameters: an import path is imported, from the current folder if need be.
    Do not hand on what a file says; `heliograph.evaluate` and `heliograph.run` know what a bundle may ask for.

    Args:
        environment: An id of `heliograph environments`, or an import path `package.module:factory` of a PettingZoo
            parallel environment.
        copies: How many are stepped at once; the first axis of observations, actions and rewards.
        parameters: Of the environment, as `heliograph environments ID` lists them.
        workers: Processes that the copies are spread over; 0 steps them in this one.

    Raises:
        UnknownEnvironment: No environment has this id.
        MissingExtra: Its simulator is not installed; the message says how to install it.
        SettingsError: A parameter is unknown or out of range.
        WorldError: The environment breaks the interface.
    """
    permission = Permission(environments=frozenset([environment]), everything=True, source="the program")
    return make(environment, count=copies, parameters=parameters, workers=workers, permission=permission)
