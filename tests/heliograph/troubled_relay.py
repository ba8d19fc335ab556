"""The relay task with a simulator that fails: an episode of a seed in FAULTS goes wrong at its second step.

A VectorEnvironment for workers, made from an adapter path and settings, or by `make` through an import path.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np

from heliograph.environments.relay import RelayEnvironment, RelaySettings
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import SettingsError

FAULTS = {901: "killed", 902: "exits", 903: "hangs", 904: "raises", 905: "refuses", 906: "dies in reset"}
"""Fault of the episode with this seed."""
LAST_WORDS = "troubled relay: no more"
TELLS = "TROUBLED_RELAY_TELLS"
"""Variable of the environment whose value is the first entry of the global state."""


class TroubledSettings(RelaySettings):
    broken: bool = False
    """The process ends while the environment is being made."""


class TroubledRelay(RelayEnvironment):
    def __init__(self, settings: TroubledSettings, *, id: str, count: int) -> None:
        super().__init__(settings, id=id, count=count)
        if settings.broken:
            print(LAST_WORDS, file=sys.stderr)
            os._exit(3)
        self._fault = ""

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> AgentInputs:
        self._fault = next((FAULTS[seed] for seed in seeds.tolist() if seed in FAULTS), "")
        if self._fault == "dies in reset":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(seeds, copies)

    def step(self, actions: np.ndarray) -> Transition:
        if self.step_number.max() == 1 and self._fault:
            self._fail()
        return super().step(actions)

    def _fail(self) -> None:
        if self._fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._fault == "exits":
            print(LAST_WORDS, file=sys.stderr)
            sys.exit(3)
        elif self._fault == "hangs":
            threading.Event().wait()
        elif self._fault == "raises":
            raise KeyError("marine")
        elif self._fault == "refuses":
            raise SettingsError("marines refuse", remedy="Ask nicely")

    def state(self) -> np.ndarray:
        state = super().state()
        state[:, 0] = float(os.environ.get(TELLS, "-1"))
        return state
