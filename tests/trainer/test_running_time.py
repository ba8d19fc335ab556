"""A training that is suspended, as with SIGSTOP or by a laptop's sleep, has no pause in what it says of its time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.training import running_time
from trainer.training.console import TrainingConsole
from trainer.training.horizon import Horizon
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder
from trainer.training.running_time import RunningTime

SUSPENDED = """
import sys, time
from trainer.training import running_time
running_time.BEAT_S, running_time.LEAST_S = 0.02, 0.5
running = running_time.RunningTime()
before, wall = running.now(), time.monotonic()
print("runs", flush=True)
sys.stdin.readline()
print(time.monotonic() - wall, running.now() - before, flush=True)
running.end()
"""


class Machine:
    """The clocks of a process, set by hand."""

    wall = 100.0
    processor = 5.0

    def monotonic(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.processor


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(running_time, "time", made)
    monkeypatch.setattr(running_time, "BEAT_S", 1e6)  # this test alone looks
    return made


@pytest.fixture
def running(machine: Machine) -> Iterator[RunningTime]:
    made = RunningTime()
    yield made
    made.end()


def test_a_gap_in_which_nothing_ran_is_left_out(machine: Machine, running: RunningTime) -> None:
    before = running.now()
    machine.wall += 3.0
    assert running.now() - before == 3.0, "too short to tell from a busy machine"
    machine.wall += 3600.0
    assert running.now() - before == 3.0
    machine.wall += 2.0
    assert running.now() - before == 5.0


def test_a_call_that_computed_for_long_is_counted(machine: Machine, running: RunningTime) -> None:
    before = running.now()
    machine.processor += 30.0
    machine.wall += 40.0
    assert running.now() - before == 40.0


def test_a_stopped_process_leaves_the_stop_out() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUSPENDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)  # it is stopped, so it does not end
        process.send_signal(signal.SIGCONT)
        print("go on", file=process.stdin, flush=True)
        wall, counted = map(float, process.stdout.readline().split())
    assert process.returncode == 0
    assert wall >= 1.0
    assert counted <= wall - 0.9


def test_what_is_left_is_told_from_the_seconds_that_were_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.console.LINE_INTERVAL_S", 0.0)
    folder = RunFolder.create(tmp_path / "run", load_settings("relay-signal", []))
    with TrainingConsole(folder) as console:
        console.begin(Horizon(limit_env_steps=1000, limit_seconds=None, usual_env_steps=500), measure="won")
        for steps, seconds in ((100, 10.0), (200, 20.0), (300, 30.0)):
            console.iteration({"env_steps": steps, "seconds": seconds, "policy/entropy": 1.0}, share=steps / 1000)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "usually 20 s, at most 70 s left at this pace" in last
