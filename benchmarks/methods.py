"""The methods side by side: who can solve what, with messages and without, in one table and one picture per world.

    python benchmarks/methods.py [--worlds relay relay-sighted] [--methods mamba mabl ...] [--seeds 0 1 2] [--jobs 1]

A world is trained on under one budget of environment steps, except relay, where a training ends when the team has
solved it.  Every training is `heliograph train` in a process of its own, and is not repeated when it is finished;
what it exports is run by `heliograph run`, a process per agent.  "masked" is the same team with every message masked.
A random policy plays as many episodes beside them.  Writes `methods.csv` and, by `heliograph compare`, learning curves
with bands over the seeds into the folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from heliograph.display import console
from heliograph.run_status import RunState, read_status

METHODS = ("mamba", "mag", "attention-ppo", "mabl", "marie", "mazero", "independent", "mappo")
"""The first three exchange messages."""

FINAL_SEED = 2**32 + 1
"""Of the evaluation that ends a training; the processes play the same episodes."""


@dataclass(frozen=True)
class World:
    preset: str
    """Of a method, by its name."""
    settings: tuple[str, ...] = ()
    metric: str = "outcome"
    sampled: bool = False
    """Whether the sampled policy is what counts."""
    episodes: int = 200
    """Run as processes."""


WORLDS = {
    "relay": World("{method}-relay"),
    "relay-sighted": World("{method}-relay", ('environment.parameters.cue="own"',)),
    "flatland-cpu": World(
        "{method}-flatland-cpu", ("schedule.env_steps=20000", "schedule.minutes=0", "evaluation.every=10"), sampled=True
    ),
    "smax-3m-cpu": World(
        "{method}-smax-3m-cpu", ("schedule.env_steps=20000", "schedule.minutes=0", "evaluation.every=12")
    ),
    "halfcheetah-2x3": World(
        "{method}-mujoco-halfcheetah-2x3-cpu", ("schedule.env_steps=40000", "schedule.minutes=0"), episodes=20
    ),
}
NAMED_OTHERWISE = {"mamba-relay": "relay"}


@dataclass(frozen=True, kw_only=True)
class Row:
    world: str
    method: str
    seed: int
    env_steps: int
    seconds: float
    outcome: float
    """Of the team as processes."""
    low: float
    high: float
    masked: float | None
    blind_bound: float | None


def heliograph(*arguments: str | Path) -> None:
    """Run a command; what it says is shown if it fails."""
    command = [sys.executable, "-m", "heliograph", *map(str, arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}")


def chance(world: str, *, out: Path, run: Path, episodes: int) -> str:
    """What a random policy gets in the world of a run, as a sentence."""
    report = out / world / "random.json"
    environment = json.loads((run / "settings.json").read_text())["environment"]
    parameters = [f"{key}={json.dumps(value)}" for key, value in environment["parameters"].items()]
    heliograph(
        *("evaluate", "--reference", "random", "--environment", environment["id"], "--episodes", str(episodes)),
        *(word for parameter in parameters for word in ("--set", parameter)),
        *("--seed", str(FINAL_SEED), "--json", report),
    )
    (score,) = json.loads(report.read_text())["scores"]
    return "a random policy: {mean:.3f} [{low:.3f}, {high:.3f}]".format_map(score["outcome"])


def measure(world: str, method: str, seed: int, *, out: Path, episodes: int) -> Row:
    """Train, unless that is done, and run what was exported as processes, with and without links."""
    chosen, folder = WORLDS[world], out / world / f"{method}-seed{seed}"
    if not read_status(folder).ended:
        name = chosen.preset.format(method=method)
        settings = [word for setting in chosen.settings for word in ("--set", setting)]
        begun = ["--resume", folder] if read_status(folder).state is not RunState.ABSENT else None
        fresh = ["--preset", NAMED_OTHERWISE.get(name, name), "--seed", str(seed), "--folder", folder, *settings]
        heliograph("train", *(begun or fresh))
    summary, report = json.loads((folder / "summary.json").read_text()), folder / "processes.json"
    if not report.exists():
        speaks = summary["links_cut"] is not None
        options = ["--links", "both"] * speaks + ["--sampled"] * chosen.sampled
        command = ["run", "--bundles", folder / "bundles", "--episodes", str(episodes), "--seed", str(FINAL_SEED)]
        heliograph(*command, "--json", report, *options)
    passes = [entry["outcome"] for entry in json.loads(report.read_text())["summaries"]]
    return Row(
        world=world,
        method=method,
        seed=seed,
        env_steps=summary["env_steps"],
        seconds=round(summary["seconds"], 1),
        outcome=passes[0]["mean"],
        low=passes[0]["low"],
        high=passes[0]["high"],
        masked=passes[1]["mean"] if len(passes) > 1 else None,
        blind_bound=summary["blind_bound"],
    )


def table(world: str, rows: list[Row], *, by_chance: str) -> Table:
    bound = rows[0].blind_bound
    seeds = sorted({row.seed for row in rows})
    shown = Table(
        title=world + ("" if bound is None else f": {bound:.3f} at best for a team that cannot hear"),
        title_justify="left",
        caption=f"seeds {', '.join(map(str, seeds))}; {by_chance}",
        caption_justify="left",
    )
    shown.add_column("method")
    for heading in ("as processes", "masked", "environment steps", "seconds"):
        shown.add_column(heading, justify="right")
    for method in dict.fromkeys(row.method for row in rows):
        mine = sorted((row for row in rows if row.method == method), key=lambda row: row.seed)
        masked = [row.masked for row in mine if row.masked is not None]
        shown.add_row(
            method,
            " / ".join(f"{row.outcome:.3f}" for row in mine),
            " / ".join(f"{value:.3f}" for value in masked) or "says nothing",
            " / ".join(str(row.env_steps) for row in mine),
            " / ".join(f"{row.seconds:.0f}" for row in mine),
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=sorted(WORLDS), default=["relay", "relay-sighted"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, help="run as processes (default: the world's)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    namespace = parser.parse_args()
    output = console()
    wanted = [
        (world, method, seed) for world in namespace.worlds for seed in namespace.seeds for method in namespace.methods
    ]

    def one(case: tuple[str, str, int]) -> Row:
        row = measure(*case, out=namespace.out, episodes=namespace.episodes or WORLDS[case[0]].episodes)
        output.print(f"{row.world} {row.method} seed {row.seed}: {row.outcome:.3f} [{row.low:.3f}, {row.high:.3f}]")
        return row

    with ThreadPoolExecutor(namespace.jobs) as pool:
        rows = list(pool.map(one, wanted))
    with (namespace.out / "methods.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Row.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    for world in namespace.worlds:
        chosen, folder = WORLDS[world], namespace.out / world
        folders = [
            (method, folder / f"{method}-seed{seed}") for method in namespace.methods for seed in namespace.seeds
        ]
        episodes = namespace.episodes or chosen.episodes
        by_chance = chance(world, out=namespace.out, run=folders[0][1], episodes=episodes)
        output.print(table(world, [row for row in rows if row.world == world], by_chance=by_chance))
        runs = [f"{method}={path}" for method, path in folders]
        policy = "sampled" if chosen.sampled else "greedy"
        heliograph("compare", *runs, "--metric", chosen.metric, "--policy", policy, "--output", folder / "comparison")
        output.print(f"curves with bands: {folder / 'comparison'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
