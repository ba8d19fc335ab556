"""Teams of node processes that play the same episodes in turns, so that whatever else a machine does meets all of them.

For the benchmarks of what something costs a step.  A step's time is that of its episode over its steps, its CPU time
that of coordinator and nodes together.  Linux, for the CPU time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from coordinator.serving.supervisor import Supervisor
from coordinator.serving.team import Team
from coordinator.world.trajectory import EpisodeResult

MEASURES = ("time", "cpu")
PLAIN = "plain"
"""The team that the others are compared with."""
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0

Times = tuple[float, float]
"""Seconds and CPU seconds per step of one episode."""


class Crew(Protocol):
    async def step(self, episode: int) -> Times:
        """Play one episode."""
        ...


async def all_connected(team: Team) -> None:
    """Wait for every node and every stream.  Raises SystemExit if some pair has none."""
    await team.wait_for_all(timeout_s=START_TIMEOUT_S)
    if not await team.wait_until(lambda: not team.missing_links(), timeout_s=START_TIMEOUT_S):
        raise SystemExit(f"pairs without a stream: {team.missing_links()}")


async def timed(episode: Awaitable[EpisodeResult], *, nodes: Supervisor, size: int) -> tuple[Times, EpisodeResult]:
    """Play an episode of a team of `size` and time it.  Raises SystemExit if something of it was late."""
    started, cpu_started_s = time.perf_counter(), _cpu_s(nodes, size)
    result = await episode
    seconds, cpu_s = time.perf_counter() - started, _cpu_s(nodes, size) - cpu_started_s
    if result.masked or result.idle:
        raise SystemExit(f"{result.masked} messages and {result.idle} actions were late: the machine is too busy")
    return (seconds / result.steps, cpu_s / result.steps), result


async def in_turns(crews: Mapping[str, Crew], *, rounds: int) -> dict[str, dict[str, Any]]:
    """Medians by crew and measure, in an order that turns from round to round; the first round warms up.

    "ratio" and its "quartiles" are of the ratios to the plain crew's episode of the same round.
    """
    kinds = list(crews)
    taken: dict[str, list[Times]] = {kind: [] for kind in kinds}
    for episode in range(rounds + 1):
        for place in range(len(kinds)):
            kind = kinds[(episode + place) % len(kinds)]
            times = await crews[kind].step(episode)
            if episode > 0:
                taken[kind].append(times)
    return {kind: _against(taken[PLAIN], taken[kind]) for kind in kinds}


def cell(measure: str, times: Mapping[str, Any]) -> str:
    low, _, high = times["quartiles"]
    return f"  {measure} {times['step_s'] * 1e3:7.3f} ms a step, x {times['ratio']:.3f} [{low:.3f}, {high:.3f}]"


def _against(plain: Sequence[Times], own: Sequence[Times]) -> dict[str, Any]:
    found = {}
    for place, name in enumerate(MEASURES):
        ratios = [one[place] / other[place] for one, other in zip(own, plain, strict=True)]
        found[name] = {
            "step_s": statistics.median(times[place] for times in own),
            "ratio": statistics.median(ratios),
            "quartiles": statistics.quantiles(ratios, n=4),
        }
    return found


def _cpu_s(nodes: Supervisor, size: int) -> float:
    return time.process_time() + sum(_node_cpu_s(nodes.process(slot).pid) for slot in range(size))


def _node_cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process so far, to the nanosecond; its tick counts are too coarse."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in threads) * 1e-9
