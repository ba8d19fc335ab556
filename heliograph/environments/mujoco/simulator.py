"""Loads MuJoCo and gymnasium-robotics, makes their environments quiet, and makes one.

MuJoCo writes its warnings to the terminal and to a file MUJOCO_LOG.TXT in the current folder; here they are logged.
For `heliograph.environments.mujoco`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from functools import cache
from types import ModuleType
from typing import Any

from heliograph.environments.mujoco.robots import OWN_PARTITIONS

_logger = logging.getLogger(__name__)

_OF_NO_CONCERN = "is deprecated and will be removed in a future release"
"""Said of the package's own models whenever one is compiled; nothing here can change them."""


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
    # Without a screen MuJoCo would look for one all the same, unless it is told before it is first imported.
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    import mujoco

    mujoco.set_mju_user_warning(_log_warning)
    with contextlib.redirect_stderr(io.StringIO()):  # news about other environments of the package
        from gymnasium_robotics import mamujoco_v1

    return Robots(mamujoco_v1)


def _log_warning(text: str) -> None:
    level = logging.DEBUG if _OF_NO_CONCERN in text else logging.WARNING
    _logger.log(level, "mujoco warns text=%r", text)
