"""Does it learn, how fast, and are the messages what it is worth?  One table over tasks and seeds.

    python benchmarks/learning.py [--tasks relay-2 relay-3 ...] [--seeds 0 1 2] [--minutes 3] [--out FOLDER] [--jobs 1]

Every run is `heliograph train` in a process of its own, followed by `heliograph run` of its bundles as processes.
Scores are on fresh episodes, of the greedy policy at the end of training, or for some tasks of the sampled policy of
the snapshot that evaluations on the way liked best; "masked" is the same team with every message masked.  Writes
`learning.csv` and, where matplotlib is there, `learning.png` into the folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from heliograph.run_status import read_status

TASKS: dict[str, list[str]] = {
    "relay-signal-2": ["--preset", "relay-signal"],
    "relay-2": ["--preset", "relay"],
    "relay-3": ["--preset", "relay", "--set", "environment.parameters.agents=3"],
    "simple-spread": ["--environment", "mpe2.simple_spread_v3"],
    "flatland": ["--preset", "mamba-flatland-cpu"],
    "smax-3m": ["--preset", "mamba-smax-3m-cpu"],
}
BEST_SAMPLED = {"flatland"}
"""Tasks whose policy is sampled, and taken from the best snapshot."""
FINAL_SEED = 2**32 + 1
"""Of the evaluation that ends a training; the processes and the reference policies play the same episodes."""
COLUMNS = [
    "task",
    "seed",
    "seconds",
    "env_steps",
    "central",
    "central_low",
    "central_high",
    "processes",
    "processes_low",
    "processes_high",
    "masked",
    "blind_bound",
]


def measure(task: str, seed: int, *, minutes: float, out: Path, episodes: int) -> dict[str, Any]:
    """Train one seed, run its bundles as processes, and return a row of the table."""
    folder = out / f"{task}-seed{seed}"
    if not read_status(folder).ended:
        command = [sys.executable, "-m", "heliograph", "train", *TASKS[task], "--seed", str(seed)]
        command += ["--folder", str(folder), "--set", f"schedule.minutes={minutes}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((folder / "summary.json").read_text())
    bundles, report = folder / "bundles", folder / "processes.json"
    central, masked = summary["greedy"]["outcome"], summary["links_cut"]["outcome"]
    if task in BEST_SAMPLED:
        bundles = folder / "best"
        command = [
            sys.executable,
            "-m",
            "heliograph",
            "export",
            str(folder),
            "--snapshot",
            "best",
            "--to",
            str(bundles),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        central, masked = (central_score(folder, bundles, links_cut=cut) for cut in (False, True))
    command = [sys.executable, "-m", "heliograph", "run", "--bundles", str(bundles), "--episodes", str(episodes)]
    command += ["--seed", str(FINAL_SEED), "--json", str(report)] + ["--sampled"] * (task in BEST_SAMPLED)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    processes = json.loads(report.read_text())["summaries"][0]["outcome"]
    return {
        "task": task,
        "seed": seed,
        "seconds": round(summary["seconds"], 1),
        "env_steps": summary["env_steps"],
        "central": central["mean"],
        "central_low": central["low"],
        "central_high": central["high"],
        "processes": processes["mean"],
        "processes_low": processes["low"],
        "processes_high": processes["high"],
        "masked": masked["mean"],
        "blind_bound": summary["blind_bound"],
    }


def central_score(folder: Path, bundles: Path, *, links_cut: bool, episodes: int = 1024) -> dict[str, float]:
    """The sampled policy of the snapshot that bundles were made of, all agents in one batch."""
    from heliograph.bundle import load_team
    from heliograph.estimates import estimate
    from trainer.commands.central_evaluator import CentralEvaluator

    networks = CentralEvaluator(folder)
    played = networks.run_episodes(
        load_team(bundles)[0].manifest.training_step,
        episodes=episodes,
        seed=FINAL_SEED,
        greedy=False,
        links_cut=links_cut,
        progress=lambda _finished: None,
    )
    networks.close()
    found = estimate(played.outcome.tolist())
    return {"mean": found.mean, "low": found.low, "high": found.high}


def references(folder: Path, *, episodes: int = 1024) -> list[str]:
    """What policies that learn nothing reach in a finished run's environment, a line each."""
    from heliograph.environments.reference import reference_names, run_reference
    from heliograph.estimates import estimate

    settings = json.loads((folder / "settings.json").read_text())["environment"]
    lines = []
    for policy in reference_names(settings["id"]):
        played = run_reference(
            settings["id"], policy, parameters=settings["parameters"], episodes=episodes, seed=FINAL_SEED
        )
        found = estimate(played.outcome.tolist())
        lines.append(f"{policy:20} {found.mean:8.3f} [{found.low:.3f}, {found.high:.3f}] ({episodes} episodes)")
    return lines


def line(row: dict[str, Any]) -> str:
    bound = "" if row["blind_bound"] is None else f"  blind bound {row['blind_bound']:.4f}"
    return (
        f"{row['task']:15} seed {row['seed']}  {row['seconds']:6.0f} s  {row['env_steps']:6} steps  "
        f"central {row['central']:8.3f} [{row['central_low']:.3f}, {row['central_high']:.3f}]  "
        f"processes {row['processes']:8.3f} [{row['processes_low']:.3f}, {row['processes_high']:.3f}]  "
        f"masked {row['masked']:8.3f}{bound}"
    )


def draw(out: Path, rows: list[dict[str, Any]]) -> None:
    """Learning curves of all seeds, a panel per task."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(4.2 * len(tasks), 3.4), layout="constrained")
    for panel, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        policy = "sampled" if task in BEST_SAMPLED else "greedy"
        for row in rows:
            if row["task"] == task:
                records = [
                    json.loads(text)
                    for text in (out / f"{task}-seed{row['seed']}" / "metrics.jsonl").read_text().splitlines()
                ]
                points = [
                    (record["env_steps"], record[f"evaluate/{policy}_outcome"])
                    for record in records
                    if f"evaluate/{policy}_outcome" in record
                ]
                panel.plot(*zip(*points, strict=True), marker="o", markersize=2.5, label=f"seed {row['seed']}")
        if row["blind_bound"] is not None:
            bound = next(row["blind_bound"] for row in rows if row["task"] == task)
            panel.axhline(bound, color="0.5", linestyle="--", label="cannot hear")
        panel.set(title=task, xlabel="environment steps", ylabel=f"outcome, {policy}")
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(out / "learning.png", dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=["relay-2", "relay-3"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=3.0, help="wall time of a training at most")
    parser.add_argument("--episodes", type=int, default=200, help="episodes run as processes")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    namespace = parser.parse_args()
    namespace.out.mkdir(parents=True, exist_ok=True)
    wanted = [(task, seed) for task in namespace.tasks for seed in namespace.seeds]

    def one(case: tuple[str, int]) -> dict[str, Any]:
        row = measure(*case, minutes=namespace.minutes, out=namespace.out, episodes=namespace.episodes)
        print(line(row), flush=True)
        return row

    with ThreadPoolExecutor(namespace.jobs) as pool:
        rows = list(pool.map(one, wanted))
    for task in namespace.tasks:
        finished = namespace.out / f"{task}-seed{namespace.seeds[0]}"
        for found in references(finished):
            print(f"{task:15} {found}", flush=True)
    with (namespace.out / "learning.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    draw(namespace.out, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
