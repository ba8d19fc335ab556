"""What an environment step costs: as processes, in one process, and in the trainer's collection.

    python benchmarks/step_latency.py [--sizes 2 5 10] [--repeats 2] [--bundles DIR] [--json FILE]

Teams: `heliograph run` with real node processes and `heliograph evaluate` (all agents in one process) play the same
episodes of relay with the bundles of an untrained team of the paper's size (see untrained_team.py); the two take
turns, and the row shows the median of the repeats.  Latency is from sending the inputs until all have acted.  CPU per
step is user and system time of coordinator and nodes while they play, start-up left out.

Collection: environment steps per second of the trainer's collector with the networks of the preset `relay`, beside
the same environments stepped with random legal actions, and beside what their networks alone need.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from untrained_team import exported

EPISODES = {2: 150, 5: 60, 10: 25}
COMMANDS = {"run": "processes", "run lean": "lean processes", "evaluate": "one process"}
SAMPLE_INTERVAL_S = 0.05
RUN_TIMEOUT_S = 120.0
END_TIMEOUT_S = 15.0
COLLECTED_STEPS = 150


def play(command: str, bundles: Path, *, episodes: int, folder: Path) -> dict[str, Any]:
    """One run of `heliograph run` or `evaluate`: its summary and the CPU time of its processes while they played."""
    report, log = folder / "report.json", folder / "log"
    arguments = ["--episodes", str(episodes), "--json", str(report)]
    command, _, transport = command.partition(" ")
    arguments += ["--bundles", str(bundles)] if command == "run" else [str(bundles)]
    arguments += ["--transport", transport] if transport else []
    with log.open("wb") as file:
        full = [sys.executable, "-m", "heliograph", command, "--log-level", "info", *arguments]
        process = subprocess.Popen(full, stdout=file, stderr=file)
    cpu_s: dict[int, float] = {}
    samples: list[tuple[float, dict[int, float]]] = []
    deadline = time.monotonic() + RUN_TIMEOUT_S
    try:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"`heliograph {command}` took longer than {RUN_TIMEOUT_S:g} s")
            cpu_s |= cpu_times(root)
            samples.append((time.time(), dict(cpu_s)))
            time.sleep(SAMPLE_INTERVAL_S)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(END_TIMEOUT_S)
    if process.returncode != 0:
        raise SystemExit(f"`heliograph {command}` ended with code {process.returncode}:\n{log.read_text()}")
    summary = json.loads(report.read_text())["summaries"][0]
    # The report is written when the episodes are over (and, with processes, the counters are read).
    began = report.stat().st_mtime - summary["seconds"]
    at_start = max((sample for sample in samples if sample[0] <= began), key=lambda sample: sample[0])[1]
    spent_s = sum(seconds - at_start.get(pid, 0.0) for pid, seconds in cpu_s.items())
    return {
        "p50_s": summary["latency_p50_s"],
        "p99_s": summary["latency_p99_s"],
        "computed_p50_s": summary["computed_p50_s"],
        "steps_per_s": summary["steps"] / summary["seconds"],
        "steps": summary["steps"],
        "masked": summary["masked"],
        "cpu_per_step_s": spent_s / summary["steps"],
    }


def cpu_times(root: psutil.Process) -> dict[int, float]:
    """CPU seconds so far by process id, of the process and its children."""
    found = {}
    try:
        for process in [root, *root.children()]:
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    except psutil.NoSuchProcess:
        pass  # they end while we look; the sample before is less than an interval old
    return found


def team(bundles: Path, size: int, *, repeats: int) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Any]]] = {"run": [], "run lean": [], "evaluate": []}
    with tempfile.TemporaryDirectory(prefix="heliograph-latency-") as folder:
        for _ in range(repeats):
            for command, played in rows.items():
                played.append(play(command, bundles, episodes=EPISODES.get(size, 30), folder=Path(folder)))
    medians = {
        command: {key: statistics.median(one[key] for one in played) for key in played[0]}
        for command, played in rows.items()
    }
    return {"size": size, **medians}


def collection(preset: str) -> dict[str, float]:
    """Steps per second, over all copies: collector, environments alone, networks alone."""
    import numpy as np
    import torch

    from heliograph.environments import registry
    from trainer.algorithms.mamba.mamba import Mamba
    from trainer.experience.collector import Collector
    from trainer.experience.replay import Replay
    from trainer.policy.draws import RandomDraws
    from trainer.training.preset import load_settings

    torch.set_num_threads(1)
    settings = load_settings(preset, [])
    chosen, count = settings.environment, settings.environment.copies

    def make():  # type: ignore[no-untyped-def]
        return registry.make(chosen.id, count=count, parameters=chosen.parameters)

    environment, cpu = make(), torch.device("cpu")
    algorithm = Mamba(settings.mamba, environment.spec, device=cpu)
    collector = Collector(
        environment, algorithm.behaviour(), Replay(settings.replay, environment.spec, copies=count), seed=0, device=cpu
    )
    bare = make()
    seeds = np.arange(count)
    agent_inputs = bare.reset(seeds)
    mask_now = agent_inputs.action_mask
    scores = np.random.default_rng(0).random((COLLECTED_STEPS, *mask_now.shape), dtype=np.float32)
    tensors = {
        "observation": torch.from_numpy(agent_inputs.observation),
        "action_mask": torch.from_numpy(agent_inputs.action_mask),
        "first": torch.zeros(count, dtype=torch.bool),
        "hears": None,
    }

    def collect() -> None:
        collector.collect(COLLECTED_STEPS, algorithm.behaviour())
        collector.commit()

    def step_alone() -> None:
        nonlocal mask_now
        for score in scores:
            transition = bare.step((score * mask_now).argmax(-1))
            over = np.flatnonzero(transition.over)
            mask_now = (bare.reset(seeds[over], over) if over.size else transition.agent_inputs).action_mask

    def act_alone() -> None:
        team = algorithm.behaviour()
        state = team.initial_state(count)
        for _ in range(COLLECTED_STEPS):
            _, state = team.act(state, draws=RandomDraws(), **tensors)

    parts = {"collector": collect, "environment": step_alone, "networks": act_alone}
    rates: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(5):
        for name, part in parts.items():
            began = time.perf_counter()
            part()
            rates[name].append(COLLECTED_STEPS * count / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in rates.items()} | {"copies": count}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 5, 10])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="keep exported teams here for the next time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--collection", metavar="PRESET", help=argparse.SUPPRESS)
    namespace = parser.parse_args()
    if namespace.collection:
        print(json.dumps(collection(namespace.collection)))
        return 0
    results: dict[str, Any] = {"teams": []}
    print(
        f"{'N':>3} {'':14} {'p50 ms':>8} {'p99 ms':>8} {'model ms':>9} {'CPU/step ms':>12} {'steps/s':>8} "
        f"{'masked':>7}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="heliograph-teams-") as temporary:
        for size in namespace.sizes:
            row = team(exported(namespace.bundles or Path(temporary), agents=size), size, repeats=namespace.repeats)
            results["teams"].append(row)
            for command, label in COMMANDS.items():
                one = row[command]
                print(
                    f"{size:3} {label:14} {one['p50_s'] * 1e3:8.2f} {one['p99_s'] * 1e3:8.2f} "
                    f"{one['computed_p50_s'] * 1e3:9.3f} {one['cpu_per_step_s'] * 1e3:12.2f} {one['steps_per_s']:8.1f} "
                    f"{one['masked']:7.0f}",
                    flush=True,
                )
            for command in ("run", "run lean"):
                keys = ("p50_s", "p99_s", "cpu_per_step_s", "steps_per_s")
                ratios = {key: row[command][key] / row["evaluate"][key] for key in keys}
                print(
                    f"{size:3} {f'ratio {command}':14} {ratios['p50_s']:8.2f} {ratios['p99_s']:8.2f} {'':9} "
                    f"{ratios['cpu_per_step_s']:12.2f} {ratios['steps_per_s']:8.2f}",
                    flush=True,
                )
    # A process of its own, so that this one never loads torch.
    command = [sys.executable, __file__, "--collection", "relay"]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout)
    results["collection"] = found
    print(
        f"collection, relay preset, {found['copies']} copies, one thread: {found['collector']:.0f} steps/s; "
        f"environments alone {found['environment']:.0f} (x {found['environment'] / found['collector']:.1f}), "
        f"networks alone {found['networks']:.0f} (x {found['networks'] / found['collector']:.2f})"
    )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
