"""Gymnasium's worlds: one agent that acts alone, or one for every dimension of the action.

With `levels`, a continuous action of k dimensions becomes a choice of that many values in each: one number of joint
actions for a single agent, or a number for each of k agents, whose joint policy is then a product over dimensions.
MAZero's appendix E so discretises LunarLander (20 x 20) and Walker2d (7 values in each of six joints).

For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from heliograph.environments.parallel import ParallelVector
from heliograph.environments.single.settings import SingleSettings
from heliograph.environments.single.tasks import TASKS
from heliograph.errors import MissingExtra
from heliograph.extras import install

if TYPE_CHECKING:
    from heliograph.environments.single.team import SingleTeam

_SWIG = "builtin type .* has no __module__ attribute"
"""Python's complaint about types that Box2D's generated code makes; nothing here can change them."""


class SingleEnvironment(ParallelVector):
    """`count` worlds in this process."""

    def __init__(self, settings: SingleSettings, *, id: str, count: int) -> None:
        """Make the worlds.  Raises WorldError for less than one, MissingExtra where a package is missing or broken."""
        self._require(settings.task, id=id)
        super().__init__(
            lambda: _made(settings),
            count=count,
            id=id,
            parameters=settings.model_dump(mode="json"),
            step_limit=settings.step_limit,
            action_bits=settings.action_bits,
        )
        reason = _cannot_draw(settings.task)
        self._spec = replace(self.spec, renders=not reason, cannot_draw=reason)

    @staticmethod
    def _require(task: str, *, id: str) -> None:
        remedy = install(TASKS[task].extra)
        package = TASKS[task].package
        if package and find_spec(package) is None:
            raise MissingExtra(f"{task} of {id!r} needs {package!r}, which is not installed", remedy=remedy)
        try:
            _load(task)
        except ImportError as error:
            raise MissingExtra(f"environment {id!r} cannot load {task}: {error}", remedy=remedy) from error


def _load(task: str) -> None:
    """Import what the task needs, quietly.  Raises ImportError."""
    # pygame, which some worlds draw with, greets on stdout, which belongs to the command that runs.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import gymnasium  # noqa: F401

    if TASKS[task].package == "mujoco":
        from heliograph.environments.mujoco.quiet import quiet

        quiet()
    elif TASKS[task].package == "Box2D":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_SWIG, category=DeprecationWarning)
            import Box2D  # noqa: F401


def _made(settings: SingleSettings) -> SingleTeam:
    import gymnasium

    from heliograph.environments.single.team import SingleTeam

    given: dict[str, Any] = {} if settings.step_limit is None else {"max_episode_steps": settings.step_limit}
    # What gymnasium's checker would say, the adapter says at every step; its warnings are not the user's affair.
    world = gymnasium.make(settings.task, render_mode=SingleTeam.render_mode, disable_env_checker=True, **given)
    assert world.spec is not None, "gymnasium made it of a spec"
    assert world.spec.max_episode_steps is not None, "every task in the list has a limit"
    return SingleTeam(world, levels=settings.levels, split=settings.split, step_limit=world.spec.max_episode_steps)


def _cannot_draw(task: str) -> str:
    """Why this machine cannot draw a task; empty if it can."""
    if TASKS[task].package == "mujoco":
        from heliograph.environments.mujoco import pictures

        return pictures.cannot_draw()
    return "" if find_spec("pygame") is not None else "pygame, which gymnasium draws with, is not installed"
