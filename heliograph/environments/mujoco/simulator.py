"""Loads gymnasium-robotics, and makes its environments.

For `heliograph.environments.mujoco`.
"""

from __future__ import annotations

import contextlib
import io
from functools import cache
from types import ModuleType
from typing import Any

from heliograph.environments.mujoco.quiet import quiet
from heliograph.environments.mujoco.robots import OWN_PARTITIONS


class Robots:
    """gymnasium-robotics, once it is loaded."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package

    def make(self, scenario: str, agent_conf: str, *, agent_obsk: int, step_limit: int) -> Any:
        """One PettingZoo parallel environment."""
        extra: dict[str, Any] = {}
        if (scenario, agent_conf) in OWN_PARTITIONS:
            extra["agent_factorization"] = self._shared_out(scenario, OWN_PARTITIONS[scenario, agent_conf])
        return self._package.parallel_env(
            scenario, agent_conf, agent_obsk=agent_obsk, max_episode_steps=step_limit, **extra
        )

    def _shared_out(self, scenario: str, partition: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
        """The package's graph of a robot, with joints shared out in another way."""
        parts, edges, shared = self._package.get_parts_and_edges(scenario, None)
        joints = {joint.label: joint for part in parts for joint in part}
        agents = [tuple(joints[label] for label in part) for part in partition]
        return {"partition": agents, "edges": edges, "globals": shared}


@cache
def loaded() -> Robots:
    """Load the packages.  Raises ImportError where they are broken."""
    quiet()
    with contextlib.redirect_stderr(io.StringIO()):  # news about other environments of the package
        from gymnasium_robotics import mamujoco_v1

    return Robots(mamujoco_v1)
