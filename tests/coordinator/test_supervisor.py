"""Processes are started once, watched by their handles, quoted when they die and ended within a bound."""

import signal
import sys
import time

import pytest

from coordinator.serving import supervisor as supervisor_module
from coordinator.serving.supervisor import Supervisor
from heliograph.errors import NodeFailed


def python(code: str):
    return lambda slot: [sys.executable, "-c", code.replace("SLOT", str(slot))]


def await_log(supervisor: Supervisor, slot: int, text: str) -> None:
    end = time.monotonic() + 20
    while text not in supervisor.log_tail(slot):
        assert time.monotonic() < end, f"{text!r} was never written"
        time.sleep(0.01)  # between two looks: the processor is for who writes


def test_a_process_that_dies_is_told_once_with_its_code_and_last_words(tmp_path):
    with Supervisor(python("print('I am SLOT'); raise SystemExit(3)"), log_folder=tmp_path) as supervisor:
        supervisor.start(4)
        assert supervisor.wait(timeout_s=20) == {4: 3}
        (ending,) = supervisor.ended()
        assert (ending.slot, ending.exit_code) == (4, 3)
        assert "node 4 ended with code 3" in str(ending)
        assert "I am 4" in str(ending)
        assert supervisor.ended() == []
        supervisor.start(4)
        supervisor.wait(timeout_s=20)
        assert supervisor.log_path(4).read_text() == "I am 4\n" * 2, "a restarted process appends"


def test_the_end_quotes_no_more_than_the_last_lines(tmp_path):
    with Supervisor(python("print(*range(100), sep='\\n')"), log_folder=tmp_path) as supervisor:
        supervisor.start(0)
        supervisor.wait(timeout_s=20)
        assert supervisor.log_tail(0).split() == [str(number) for number in range(88, 100)]


def test_a_process_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor_module, "TERMINATE_DEADLINE_S", 0.3)
    stubborn = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with Supervisor(python(stubborn), log_folder=tmp_path) as supervisor:
        supervisor.start(0)
        await_log(supervisor, 0, "deaf")
        process = supervisor.process(0)
    assert process.returncode == -signal.SIGKILL


def test_a_stopped_process_is_ended_too(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor_module, "TERMINATE_DEADLINE_S", 0.3)
    waiting = "print('here', flush=True); import time; time.sleep(60)"
    with Supervisor(python(waiting), log_folder=tmp_path) as supervisor:
        supervisor.start(0)
        await_log(supervisor, 0, "here")
        process = supervisor.process(0)
        process.send_signal(signal.SIGSTOP)
    assert process.returncode is not None


def test_a_command_that_cannot_be_started_is_told(tmp_path):
    with (
        Supervisor(lambda slot: [str(tmp_path / "nothing")], log_folder=tmp_path) as supervisor,
        pytest.raises(NodeFailed, match="cannot start the process of node 2: No such file"),
    ):
        supervisor.start(2)
