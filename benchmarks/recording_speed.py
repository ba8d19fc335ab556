"""How fast a recording is written and read: lines per second of CPU time, of a team of 4 in relay, best of several.

python benchmarks/recording_speed.py [--episodes 200] [--repeats 5]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from untrained_team import exported

from coordinator.plan.plan import make_plan
from coordinator.recording.reader import read_trace
from coordinator.recording.writer import Recorder
from coordinator.running.in_process import LocalTeam
from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph.bundle import load_team

AGENTS = 4


def best_s(work: Callable[[], object], *, repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where the team and the recording are kept")
    namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = namespace.folder or Path(temporary)
        record = folder / "recording.jsonl"
        bundles = load_team(exported(folder, agents=AGENTS, hidden=16, layers=1))
        plan = make_plan(bundles, episodes=namespace.episodes, greedy=False, record=record)
        team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=False)
        world = plan.world("open")
        played: list[tuple[EpisodeResult, list[StepRecord]]] = []
        for episode in range(namespace.episodes):
            steps: list[StepRecord] = []
            result = team.run_episode(world, episode=episode, observe=steps.append, report_latents=True).result
            played.append((result, steps))

        def write() -> None:
            with Recorder(record, plan=plan, spec=world.spec) as recorder:
                for result, steps in played:
                    for step in steps:
                        recorder.step("open", step)
                    recorder.episode("open", result)

        write_s = best_s(write, repeats=namespace.repeats)
        read_s = best_s(lambda: read_trace(record), repeats=namespace.repeats)
        lines = sum(len(steps) + 1 for _, steps in played)
        for what, seconds in (("written", write_s), ("read", read_s)):
            print(f"{what}: {lines} lines in {seconds:.2f} s of CPU time, {lines / seconds:.0f} lines/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
