"""Runs a command until it has taken more time of its own than it may.  Linux.  Used by `mutants.py`.

The clock on the wall says little on a machine that has other things to do: a test that takes two seconds there may take
forty.  The time of its own is what a command would have taken on an idle machine: seconds in which it computes or waits
for an event count, those in which it only waits for a processor do not.  So one that goes round in circles and one that
waits for what never comes are both ended, however busy the machine is, and one that is merely slow is not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLED_EVERY_S = 0.25
MOST_BYTES = 8 << 30
"""Of memory, for a command and what it started: a list that grows for ever would take the machine with it."""


def own_seconds(passed_s: float, computed_s: float, queued_s: float) -> float:
    """Of so many seconds, those that processes would have taken anyway.

    Args:
        passed_s: On the clock.
        computed_s: Processor time of all their threads; more than `passed_s` if several ran side by side.
        queued_s: Time for which threads could have run and had no processor, summed over all of them.
    """
    if computed_s + queued_s <= passed_s:
        return passed_s - queued_s
    return passed_s * computed_s / (computed_s + queued_s)


@dataclass(kw_only=True)
class OwnTime:
    """Of a process and all that it started, added up from samples of the kernel's counters."""

    process: psutil.Process
    seconds: float = 0.0
    bytes: int = 0
    """Of memory that each has for itself, at the last sample."""
    _at_s: float = field(default_factory=time.monotonic)
    _seen: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    """Nanoseconds that a thread computed and was queued, by process and thread."""

    def sample(self) -> None:
        now_s, computed_ns, queued_ns, self.bytes = time.monotonic(), 0, 0, 0
        for pid in self._pids():
            with contextlib.suppress(OSError):  # it has ended
                _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
                self.bytes += (resident - shared) * os.sysconf("SC_PAGESIZE")
                for thread in os.listdir(f"/proc/{pid}/task"):
                    text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()
                    computed, queued = int(text[0]), int(text[1])
                    before = self._seen.get((pid, thread), (0, 0))
                    computed_ns, queued_ns = computed_ns + computed - before[0], queued_ns + queued - before[1]
                    self._seen[pid, thread] = computed, queued
        self.seconds += own_seconds(now_s - self._at_s, computed_ns / 1e9, queued_ns / 1e9)
        self._at_s = now_s

    def _pids(self) -> list[int]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process.pid, *(child.pid for child in self.process.children(recursive=True))]
        return []


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command came to its end."""

    status: int | None
    """Its exit status; None if it was ended."""
    why: str | None
    """For want of what it was ended: `budget`, `step`, `memory`."""
    own_s: float
    """The time of its own that it took, up to the last sample."""


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    output: Path,
    budget_s: float,
    step: Callable[[], object] = lambda: None,
    step_budget_s: float = float("inf"),
) -> Ended:
    """Runs it, and ends it and what it started once it has taken more than it may.

    Args:
        output: Where its output and its errors go.
        budget_s: For all of it, in seconds of its own.
        step: What it is busy with; whenever that changes, `step_budget_s` begins anew.
    """
    with output.open("wb") as written:
        # A group, to end it with all that it started; not a session, which Linux gives processors as if it were alone,
        # so that `nice` would say nothing about it.
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=written, stderr=subprocess.STDOUT, process_group=0
        )
    try:
        own, current, current_since_s = OwnTime(process=psutil.Process(process.pid)), step(), 0.0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return Ended(status=process.wait(SAMPLED_EVERY_S), why=None, own_s=own.seconds)
            own.sample()
            if (now := step()) != current:
                current, current_since_s = now, own.seconds
            exceeded = {
                "memory": own.bytes > MOST_BYTES,
                "step": own.seconds - current_since_s > step_budget_s,
                "budget": own.seconds > budget_s,
            }
            for why in (why for why, is_so in exceeded.items() if is_so):
                return Ended(status=None, why=why, own_s=own.seconds)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
