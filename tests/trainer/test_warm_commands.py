"""Commands that begin in a fork of a process that has loaded torch, as one that was started for them would go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from awaited_output import await_line
from child_environment import importing_test_modules
from tiny_team import SMALL
from waiting_game import ANNOUNCEMENT
from warm.starting import ADDRESS

from heliograph.run_status import RunState, read_status

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("warm_commands"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="commands begin so on Linux alone"),
]
DEADLINE_S = 240
COMMAND = [sys.executable, "-P", "-m", "heliograph"]


def begun(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A training that says when it is in its first episodes, and would go on for a long time."""
    settings = [*SMALL, "schedule.env_steps=10000000", "environment.parameters={announce_at=25}"]
    words = ["train", "--preset", "relay-signal", "--environment", "waiting_game:make", "--folder", str(folder)]
    return subprocess.Popen(
        [*COMMAND, *words, *(part for each in settings for part in ("--set", each)), *more],
        env=importing_test_modules(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_it_has_the_streams_the_folder_the_variables_and_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "relay"\n')
    words = ["train", "--preset", "mine.toml", "--dry-run", "--set", "threads=1"]
    plain = {name: value for name, value in os.environ.items() if name != ADDRESS} | {"COLUMNS": "70"}
    warm = plain | {ADDRESS: os.environ[ADDRESS]}
    for more, code in ([], 0), (["--set", "nonsense=1"], 2), (["--nonsense"], 2):
        first, second = (
            subprocess.run([*COMMAND, *words, *more], cwd=tmp_path, env=each, capture_output=True, timeout=DEADLINE_S)
            for each in (plain, warm)
        )
        assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)
        assert first.returncode == code, first.stderr


PROGRAM = """
import os
import sys

from trainer.ranks import launched  # which loads no torch

read, write, ending = sys.argv[1:]
with os.fdopen(int(read)) as asked, os.fdopen(int(write), "w") as told:
    told.write(f"{asked.readline().strip()} {'torch' in sys.modules} {os.path.basename(os.getcwd())}")
if ending == "killed":
    os.killpg(0, 9)  # it and what it has started, and no other
sys.exit(ending)
"""


@pytest.mark.parametrize(("ending", "code"), [("a sentence", 1), ("killed", -signal.SIGKILL)])
def test_a_worker_has_what_it_has_inherited_and_ends_as_it_would(tmp_path: Path, ending: str, code: int) -> None:
    theirs, ours = os.pipe()
    told, tells = os.pipe()
    with os.fdopen(ours, "w") as asks, os.fdopen(told) as heard:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, str(theirs), str(tells), ending],
            env=importing_test_modules(), cwd=tmp_path, stderr=subprocess.PIPE, text=True, pass_fds=(theirs, tells),
        )  # fmt: skip
        os.close(theirs)
        os.close(tells)
        asks.write("whatever\n")
        asks.flush()
        assert heard.read() == f"whatever True {tmp_path.name}"  # to its end: nobody else has it open
        _, err = worker.communicate(timeout=DEADLINE_S)
    assert (worker.returncode, err) == (code, "a sentence\n" if code == 1 else "")


def test_signals_reach_it_and_end_it(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as process:
        await_line(process, ANNOUNCEMENT, deadline_s=DEADLINE_S)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, told
    assert read_status(tmp_path / "run").state is RunState.INTERRUPTED


def test_it_is_killed_with_the_process_that_stands_for_it(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as process:
        await_line(process, ANNOUNCEMENT, deadline_s=DEADLINE_S)
        process.kill()
        # Its streams are closed once nobody has them open.
        process.communicate(timeout=DEADLINE_S)
    assert read_status(tmp_path / "run").state is RunState.RUNNING


@pytest.mark.parametrize("ends", [True, False])
def test_a_process_that_says_nothing_disturbs_no_other(ends: bool) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(os.environ[ADDRESS])
        if ends:  # as one that is killed as it begins
            silent.close()
        for _ in range(2):
            words = [*COMMAND, "train", "--dry-run", "--preset", "relay"]
            subprocess.run(words, capture_output=True, check=True, timeout=DEADLINE_S)


def test_a_server_that_is_not_there_fails_a_command_instead_of_being_passed_over(tmp_path: Path) -> None:
    variables = os.environ | {ADDRESS: str(tmp_path / "nobody")}
    words = [*COMMAND, "train", "--dry-run", "--preset", "relay"]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the server of warm commands has gone\n")
