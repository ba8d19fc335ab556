"""What befalls the nodes of a soak: kills and stops at steps that a seed decides.  Imported by soak.py."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.serving.supervisor import Supervisor

STOP_S = (0.2, 3.0)
"""The shortest and the longest stop: under the six seconds after which a keepalive gives a node up."""

QUIET_START, QUIET_END = 0.02, 0.95
"""Between these shares of the steps it happens, so that the team is whole when its books are read."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that happens to one node."""

    at_step: int
    slot: int
    stop_s: float | None
    """How long it stands still; None: it is killed, and started again."""


def schedule(
    *, steps: int, kills: int, stops: int, team: Sequence[int], spared: Sequence[int], seed: int
) -> list[Fault]:
    """Faults by step: `kills` of nodes that are not `spared`, and `stops` of any."""
    draw = random.Random(seed)
    killed = [slot for slot in team if slot not in spared]

    def at_step() -> int:
        return int(steps * draw.uniform(QUIET_START, QUIET_END))

    faults = [Fault(at_step=at_step(), slot=draw.choice(killed), stop_s=None) for _ in range(kills)]
    faults += [
        Fault(at_step=at_step(), slot=draw.choice(list(team)), stop_s=draw.uniform(*STOP_S)) for _ in range(stops)
    ]
    return sorted(faults, key=lambda fault: fault.at_step)


@dataclass(kw_only=True)
class Executioner:
    """Lets faults happen to the processes of a supervisor, each at its step, or once its node is there again."""

    nodes: Supervisor
    faults: list[Fault]
    kills: int = 0
    stops: int = 0
    stopped: dict[int, float] = field(default_factory=dict)
    """By slot: when it goes on, on the monotonic clock."""
    unforeseen: list[str] = field(default_factory=list)
    """Nodes that ended otherwise than by a kill from here."""
    _killed: set[int] = field(default_factory=set)

    def look(self, step: int) -> None:
        """Do what is due at a step."""
        self.go_on(until=time.monotonic())
        for ending in self.nodes.ended():
            if ending.exit_code == 0:
                continue  # told to leave, since the run is over
            if ending.slot in self._killed and ending.exit_code == -signal.SIGKILL:
                self._killed.discard(ending.slot)
            else:
                self.unforeseen.append(str(ending))
            self.nodes.start(ending.slot)
        due = [fault for fault in self.faults if fault.at_step <= step]
        for fault in due:
            if fault.slot in self._killed or fault.slot in self.stopped or fault.slot not in self.nodes.running:
                continue  # its turn comes when it is back
            self.faults.remove(fault)
            if fault.stop_s is None:
                self.nodes.process(fault.slot).kill()
                self._killed.add(fault.slot)
                self.kills += 1
            else:
                self.nodes.process(fault.slot).send_signal(signal.SIGSTOP)
                self.stopped[fault.slot] = time.monotonic() + fault.stop_s
                self.stops += 1

    def go_on(self, *, until: float = float("inf")) -> None:
        """Let those go on whose time has come, or all."""
        for slot in [slot for slot, end in self.stopped.items() if end <= until]:
            self.nodes.process(slot).send_signal(signal.SIGCONT)
            del self.stopped[slot]
