"""Draws a robot off screen, where the machine has a graphics library that can.

For `heliograph.environments.mujoco`; imports mujoco.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH = 240, 320
_TORSO = 1
"""The body that the camera follows."""


@cache
def cannot_draw() -> str:
    """Why this machine cannot draw; empty if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without a screen GLFW warns, and then raises nothing
            mujoco.GLContext(8, 8).free()
            mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
    except Exception as error:  # whatever the graphics library of this machine raises
        return f"MuJoCo finds no graphics library here ({type(error).__name__}: {error})"
    return ""


class Camera:
    """Follows one simulated robot."""

    def __init__(self, model: Any) -> None:
        self._renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
        self._view = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(model, self._view)
        self._view.type = mujoco.mjtCamera.mjCAMERA_TRACKING
        self._view.trackbodyid = _TORSO
        self._view.distance = 4.0  # metres: all of the robots are about one long

    def picture(self, data: Any) -> npt.NDArray[np.uint8]:
        """uint8 [240, 320, 3]."""
        self._renderer.update_scene(data, self._view)
        pixels: npt.NDArray[np.uint8] = self._renderer.render()
        return pixels

    def close(self) -> None:
        self._renderer.close()
