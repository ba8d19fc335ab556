"""`heliograph train` as a process of its own: Ctrl-C, resuming and a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from awaited_output import await_line
from child_environment import importing_test_modules
from safetensors.numpy import load_file
from tiny_team import SMALL, resume, small_settings, start
from waiting_game import ANNOUNCEMENT, HELD_UNTIL

from heliograph.bundle import load_team
from heliograph.run_status import RunState, read_status
from trainer.training.checkpoint import saved_checkpoints
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

GAME = "waiting_game:make"
DEADLINE_S = 360
"""Nobody who waits for a training or for its end waits longer, however slow the machine is."""
ITERATIONS = 9
"""Of a run that says where it is in its third."""


def process(*arguments: str, file_limit_bytes: int | None = None) -> subprocess.Popen[str]:
    """Start `heliograph train ARGUMENTS`; the caller ends or awaits it."""
    started = subprocess.Popen(
        [sys.executable, "-m", "heliograph", "train", *arguments],
        env=importing_test_modules() | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if file_limit_bytes is not None:
        # From outside and long before it writes, because code run in a fork does not bear the threads of a simulator.
        resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))
    return started


def finished(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a process that does not end in time is killed."""
    try:
        out, err = running.communicate(timeout=DEADLINE_S)
    finally:
        running.kill()
    return running.returncode, out, err


def flags(*overrides: str, env_steps: int = 12 * ITERATIONS) -> list[str]:
    return [part for one in (*SMALL, f"schedule.env_steps={env_steps}", *overrides) for part in ("--set", one)]


@pytest.mark.drawn
def test_ctrl_c_saves_and_resuming_gives_the_run_that_was_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    monkeypatch.setenv(HELD_UNTIL, str(asked))  # or it might be through before it is asked
    path = tmp_path / "run"
    parameters = "environment.parameters={announce_at=25}"
    running = process("--preset", "relay-signal", "--environment", GAME, "--folder", str(path), *flags(parameters))
    await_line(running, ANNOUNCEMENT, deadline_s=DEADLINE_S)
    running.send_signal(signal.SIGINT)
    asked.touch()
    code, out, err = finished(running)
    assert code == 130, err
    assert f"heliograph train --resume {path} --allow-environment {GAME}\n" in out
    stopped = saved_checkpoints(path / "checkpoints")[-1]
    assert 2 <= int(stopped.name) < ITERATIONS
    assert not (path / "bundles").exists()
    assert not (path / "summary.json").exists()
    assert not (path / "learning_curve.png").exists(), "nobody is kept waiting for a picture"
    assert read_status(path).state is RunState.INTERRUPTED

    code, out, err = finished(process("--resume", str(path), "--allow-environment", GAME))
    assert code == 0, err
    assert "all environment steps done" in out
    assert len(load_team(path / "bundles")) == 2
    assert json.loads((path / "summary.json").read_text())["reason"] == "steps"
    assert (path / "learning_curve.png").exists()
    assert read_status(path).state is RunState.FINISHED

    alone = tmp_path / "alone"
    settings = small_settings("relay-signal", f'environment.id="{GAME}"', parameters, env_steps=12 * ITERATIONS + 1)
    start(alone, settings, stop_after=ITERATIONS).run()
    ours, theirs = (saved_checkpoints(each / "checkpoints")[-1] for each in (path, alone))
    assert ours.name == theirs.name == f"{ITERATIONS:08d}"
    for name in ("tensors.safetensors", "replay.safetensors"):
        one, other = load_file(ours / name), load_file(theirs / name)
        assert set(one) == set(other)
        assert all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


@contextlib.contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs; the test with a file size limit covers the rest")
    try:
        yield folder
    finally:
        # Lazily: a checkpoint that was read may still be mapped into memory.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def newest(path: Path) -> dict[str, bytes]:
    checkpoint = saved_checkpoints(path / "checkpoints")[-1]
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(checkpoint.iterdir())}


def interrupted_run(path: Path) -> None:
    start(path, small_settings(env_steps=12 * 4), stop_after=2).run()


@pytest.mark.usefixtures("warm_commands")
@pytest.mark.parametrize("left_bytes", [60_000, 0])
def test_a_full_disk_ends_training_and_leaves_the_checkpoint_before_whole(tmp_path: Path, left_bytes: int) -> None:
    with small_disk(tmp_path / "disk", size_bytes=4 * 2**20) as disk:
        path = disk / "run"
        interrupted_run(path)
        before = newest(path)
        assert sum(map(len, before.values())) > 60_000, "the next one must not fit"
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(ballast, max(0, ballast.stat().st_size - left_bytes))
        code, _, err = finished(process("--resume", str(path)))
        assert code == 9, err
        last = err.strip().splitlines()[-1]
        assert last.startswith("heliograph train: cannot write ")
        assert "No space left on device" in last
        assert newest(path) == before
        ballast.unlink()
        resume(path, stop_after=3).run()
        assert [record["iteration"] for record in RunFolder.open(path).history()] == [1, 2, 3]


@pytest.mark.usefixtures("warm_commands")
def test_a_run_that_somebody_trains_is_not_resumed_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted_run(path)
    before = newest(path)
    with RunFolder.open(path).claimed():
        code, _, err = finished(process("--resume", str(path)))
        assert (code, f"another process trains in {path}" in err) == (2, True), err
        assert newest(path) == before
    code, _, err = finished(process("--resume", str(path)))
    assert code == 0, err


def test_a_checkpoint_that_grows_past_the_file_limit_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted_run(path)
    before = newest(path)
    code, _, err = finished(process("--resume", str(path), file_limit_bytes=60_000))
    assert code == 9, err
    assert "cannot write checkpoint" in err
    assert "00000004" in err
    assert "Traceback" not in err
    assert newest(path) == before
    assert [each.name for each in (path / "checkpoints").iterdir()] == ["00000002"]
