"""Gymnasium's own worlds that can be played here, as data: the catalogue and the settings need no gymnasium for them.

Only these ids are ever handed to gymnasium, which would import the module that an id such as `module:Env` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Task:
    """One world of gymnasium; all of them end their episodes by themselves or by a limit of their own."""

    dimensions: int = 0
    """Numbers k of its action; 0 where actions are numbered."""
    package: str = ""
    """What must be importable beside gymnasium; empty for nothing."""
    extra: str = "gymnasium"
    """The extra of this project that installs it."""


def _box2d(dimensions: int) -> Task:
    return Task(dimensions=dimensions, package="Box2D", extra="box2d")


def _mujoco(dimensions: int) -> Task:
    return Task(dimensions=dimensions, package="mujoco", extra="mujoco")


TASKS: dict[str, Task] = {
    "Acrobot-v1": Task(),
    "CartPole-v1": Task(),
    "FrozenLake-v1": Task(),
    "FrozenLake8x8-v1": Task(),
    "MountainCar-v0": Task(),
    "MountainCarContinuous-v0": Task(dimensions=1),
    "Pendulum-v1": Task(dimensions=1),
    "BipedalWalker-v3": _box2d(4),
    "BipedalWalkerHardcore-v3": _box2d(4),
    "LunarLander-v3": _box2d(0),
    "LunarLanderContinuous-v3": _box2d(2),
    "Ant-v5": _mujoco(8),
    "HalfCheetah-v5": _mujoco(6),
    "Hopper-v5": _mujoco(3),
    "Humanoid-v5": _mujoco(17),
    "HumanoidStandup-v5": _mujoco(17),
    "InvertedDoublePendulum-v5": _mujoco(1),
    "InvertedPendulum-v5": _mujoco(1),
    "Pusher-v5": _mujoco(7),
    "Reacher-v5": _mujoco(2),
    "Swimmer-v5": _mujoco(2),
    "Walker2d-v5": _mujoco(6),
}
"""By gymnasium's id."""


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """What the id of an environment stands for."""

    task: str
    summary: str
    levels: int = 0
    split: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return {"task": self.task, "levels": self.levels, "split": self.split}


NAMED_TASKS: dict[str, NamedTask] = {
    "cartpole": NamedTask(task="CartPole-v1", summary="keep a pole upright on a cart"),
    # The two of MAZero's appendix E.
    "lunarlander": NamedTask(
        task="LunarLanderContinuous-v3", levels=20, summary="land on two engines, each with 20 levels: 400 actions"
    ),
    "walker2d": NamedTask(task="Walker2d-v5", summary="walk upright in the plane, one agent with six joints"),
    "walker2d-6x7": NamedTask(
        task="Walker2d-v5", levels=7, split=True, summary="the same with an agent for every joint, each with 7 levels"
    ),
}
"""By id of the environment."""
