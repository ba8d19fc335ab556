"""Makes tests/released/3b3447f.tar.xz: what the version of that commit leaves for later versions to read.

    git worktree add /tmp/heliograph 3b3447f && cd /tmp/heliograph
    …make a virtual environment there with `trainer`, `bandwidth` and `mujoco` of its extras, by its constraints.txt…
    python …/tests/released/make.py /tmp/3b3447f && cp /tmp/3b3447f.tar.xz …/tests/released

A test never runs it: the files stay as they were made.  Everything in them is real, and as small as it can be.

    run/                finished training of MAMBA in relay: checkpoint, snapshots, summary, bundles
    interrupted/        another, ended by Ctrl-C on its way
    teams/<algorithm>/  bundles of every algorithm, as tars; those of mamba/ are signed, which signing.key.pub shows
    report.json, results.json       of `evaluate`: its own report, and marl-eval JSON
    run.json, recording.jsonl.gz    of `run`: its report, and every step
    logbook.jsonl       of `run --resume`, as a coordinator leaves it that dies in its third episode of four
    bandwidth/          of `bandwidth --sweep`: report, sweep and its cells, trace
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "heliograph"]
WORLD = (
    "threads=1",
    "device=cpu",
    "environment.copies=2",
    "schedule.steps_per_iteration=3",
    "schedule.stop_at_outcome=2.0",
    "evaluation.episodes=4",
    "evaluation.every=4",
    "evaluation.final_episodes=4",
    "evaluation.snapshots=2",
    "replay.capacity=48",
    "replay.window=4",
    "replay.batch=2",
    "replay.minimum=10",
)
LEARNING = (
    "model_updates=1",
    "model.hidden=8",
    "model.recurrent=8",
    "model.categoricals=4",
    "model.classes=8",
    "policy.rounds=1",
    "policy.horizon=2",
    "policy.epochs=1",
    "policy.critic_heads=2",
    "policy.warm_up_updates=0",
)
PPO = ("ppo.sequence=3", "ppo.epochs=1", "ppo.minibatches=1")
MAMBA = (*(f"mamba.{each}" for each in LEARNING), "mamba.model.heads=2")
TEAMS = {
    "mag": ("mag-relay", MAMBA),
    "mabl": ("mabl-relay", tuple(f"mabl.{each}" for each in LEARNING)),
    "independent": ("independent-relay", tuple(f"mabl.{each}" for each in LEARNING)),
    "mappo": ("mappo-relay", tuple(f"mappo.{each}" for each in ("hidden=8", "recurrent=8", *PPO))),
    "attention-ppo": (
        "attention-ppo-relay",
        (
            *(
                f"attention_ppo.policy.{each}"
                for each in ("hidden=8", "recurrent=8", "categoricals=4", "classes=8", "heads=2")
            ),
            *(f"attention_ppo.{each}" for each in PPO),
        ),
    ),
    "continuous": ("mamba-mujoco-halfcheetah-2x3-cpu", MAMBA),
}
"""What else than MAMBA exports, by the name of its folder: preset and overrides."""


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    train(folder / "run", "relay", MAMBA, env_steps=72)
    interrupt(folder / "interrupted", "relay", MAMBA, env_steps=600)
    for name, (preset, learning) in TEAMS.items():
        train(folder / f"{name}-run", preset, learning, env_steps=24)
        heliograph("export", folder / f"{name}-run", "--to", folder / "teams" / name, "--tar")
        shutil.rmtree(folder / f"{name}-run")
    heliograph("certificates", "signing-key", folder / "signing.key")
    heliograph("export", folder / "run", "--to", folder / "teams" / "mamba", "--tar", "--sign", folder / "signing.key")
    results = ("--json", folder / "report.json", "--marl-eval", folder / "results.json")
    heliograph("evaluate", folder / "run", "--episodes", 4, "--policy", "both", *results)
    played = ("--bundles", folder / "run" / "bundles", "--episodes", 4)
    heliograph("run", *played, "--record", folder / "recording.jsonl.gz", "--json", folder / "run.json")
    heliograph("run", *played, "--resume", folder / "logbook.jsonl")
    lines = (folder / "logbook.jsonl").read_text().splitlines(keepends=True)
    (folder / "logbook.jsonl").write_text("".join(lines[:3]))  # as after a coordinator that died in the third episode
    sweep = ("--local", "--sweep", "erasure=0,0.5", "--episodes", 4, "--out", folder / "bandwidth")
    heliograph("bandwidth", folder / "run", *sweep)
    drop_pictures(folder)
    (folder / "signing.key").unlink()
    with tarfile.open(folder.with_name(f"{folder.name}.tar.xz"), "w:xz") as archive:
        archive.add(folder, arcname=folder.name, filter=of_nobody)


def of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def train(folder: Path, preset: str, learning: tuple[str, ...], *, env_steps: int) -> None:
    heliograph(*training(folder, preset, learning, env_steps=env_steps))


def interrupt(folder: Path, preset: str, learning: tuple[str, ...], *, env_steps: int) -> None:
    """A run that Ctrl-C ended on its way."""
    command = training(folder, preset, learning, env_steps=env_steps)
    process = subprocess.Popen([*COMMAND, *map(str, command)])
    metrics = folder / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 8):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130


def training(folder: Path, preset: str, learning: tuple[str, ...], *, env_steps: int) -> list[object]:
    overrides = (*WORLD, *learning, f"schedule.env_steps={env_steps}")
    settings = [word for override in overrides for word in ("--set", override)]
    return ["train", "--preset", preset, "--seed", 1, "--folder", folder, *settings]


def heliograph(*arguments: object) -> None:
    print("heliograph", *arguments, file=sys.stderr)
    subprocess.run([*COMMAND, *map(str, arguments)], check=True)


def drop_pictures(folder: Path) -> None:
    """What nothing reads, and one checkpoint of two."""
    for pattern in ("*.png", "*.html", "events.out.*", "*.svg"):
        for path in folder.rglob(pattern):
            path.unlink()
    for checkpoints in folder.glob("*/checkpoints"):
        for old in sorted(checkpoints.iterdir())[:-1]:
            shutil.rmtree(old)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
