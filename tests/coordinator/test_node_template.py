"""Nodes that are forked of a process which has loaded what they need are children as any other."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coordinator.serving import node_template
from coordinator.serving.node_template import NODE, ForkedProcess, NodeTemplate, pays
from coordinator.serving.supervisor import Supervisor
from heliograph.errors import NodeFailed

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has what forking them takes"),
    pytest.mark.slow,  # each starts a process
]

DEADLINE_S = 60
WAITING = ("--coordinator", "127.0.0.1:1", "--join-timeout-s", "3600")
"""Of a node that looks for its coordinator for an hour."""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(lambda slot: [*NODE, *WAITING, "--slot", str(slot)], log_folder=tmp_path, forked=True) as found:
        yield found


def template(supervisor: Supervisor) -> psutil.Process:
    assert supervisor._template is not None
    return psutil.Process(supervisor._template._process.pid)


def test_it_is_a_child_in_a_group_of_its_own_with_its_own_log(supervisor: Supervisor, tmp_path: Path) -> None:
    for slot in (0, 1):
        supervisor.start(slot)
    for slot in (0, 1):
        process = supervisor.process(slot)
        assert isinstance(process, ForkedProcess)
        found = psutil.Process(process.pid)
        assert found.ppid() == os.getpid()
        assert os.getpgid(process.pid) == process.pid
        assert {file.path for file in found.open_files()} <= {str(supervisor.log_path(slot))}
    assert template(supervisor).children() == []
    assert supervisor.running == (0, 1)
    supervisor.process(0).kill()
    assert supervisor.process(0).wait(DEADLINE_S) == -signal.SIGKILL
    (ended,) = supervisor.ended()
    assert (ended.slot, ended.exit_code) == (0, -signal.SIGKILL)
    assert supervisor.running == (1,)
    supervisor.start(0)
    with pytest.raises(subprocess.TimeoutExpired):
        supervisor.process(0).wait(0)
    processes = [template(supervisor), *(psutil.Process(supervisor.process(slot).pid) for slot in (0, 1))]
    supervisor.stop()
    assert psutil.wait_procs(processes, timeout=DEADLINE_S)[1] == []


@pytest.mark.parametrize(
    ("words", "code", "line"), [(["--help"], 0, "the coordinator to join"), (["--slot", "first"], 2, "invalid int")]
)
def test_its_words_and_its_exit_code_are_its_own(tmp_path: Path, words: list[str], code: int, line: str) -> None:
    with Supervisor(lambda _: [*NODE, *words], log_folder=tmp_path, forked=True) as supervisor:
        supervisor.start(7)
        assert supervisor.wait(timeout_s=DEADLINE_S) == {7: code}
        assert isinstance(supervisor.process(7), ForkedProcess)
        assert line in supervisor.log_path(7).read_text()


def test_without_a_template_nodes_are_started_one_by_one(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start(0)
    template(supervisor).kill()
    supervisor.start(1)
    supervisor.start(2)
    assert [isinstance(supervisor.process(slot), ForkedProcess) for slot in range(3)] == [True, False, False]
    assert supervisor.running == (0, 1, 2)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert told[0].startswith("nodes are started one by one from here on: their template failed: ")


def test_a_template_that_does_not_answer_is_given_up(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start(0)
    monkeypatch.setattr(node_template, "END_S", 0.1)
    assert supervisor._template is not None
    supervisor._template._connection.settimeout(0.1)
    stopped = template(supervisor)
    stopped.suspend()
    supervisor.start(1)
    assert not isinstance(supervisor.process(1), ForkedProcess)
    assert "their template failed: timed out" in caplog.text
    assert psutil.wait_procs([stopped], timeout=DEADLINE_S)[1] == []


def test_where_nothing_can_be_adopted_nodes_are_started_one_by_one(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(node_template, "_SET_SUBREAPER", -1)
    supervisor.start(0)
    assert isinstance(supervisor.process(0), subprocess.Popen)
    assert "nothing can be adopted: Invalid argument" in caplog.text


def test_where_children_end_by_themselves_its_code_is_not_known(supervisor: Supervisor) -> None:
    supervisor.start(0)
    process = supervisor.process(0)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process.kill()
        assert process.wait(DEADLINE_S) == node_template.UNKNOWN_CODE
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_the_system_refuses_is_told(supervisor: Supervisor) -> None:
    supervisor.start(0)
    found = template(supervisor)
    _, most = found.rlimit(resource.RLIMIT_NOFILE)
    for numbers in (3, 4):  # too few for the log, and for the rest
        found.rlimit(resource.RLIMIT_NOFILE, (numbers, most))
        with pytest.raises(NodeFailed, match="cannot start the process of node 1: Too many open files"):
            supervisor.start(1)
    found.rlimit(resource.RLIMIT_NOFILE, (most, most))
    supervisor.start(1)
    assert supervisor.running == (0, 1)


def test_another_program_is_not_forked(tmp_path: Path) -> None:
    with Supervisor(lambda _: [sys.executable, "-c", "print('I am none')"], log_folder=tmp_path, forked=True) as found:
        found.start(0)
        assert found.wait(timeout_s=DEADLINE_S) == {0: 0}
        assert found.log_tail(0) == "I am none"


def test_it_adopts_for_no_longer_than_it_forks() -> None:
    orphan = "import os, time; pid = os.fork(); pid and print(pid); pid or (os.close(1), time.sleep(3600))"
    made = NodeTemplate()
    try:
        with Path(os.devnull).open("wb") as log:
            node = made.start(["--help"], log.fileno())
        assert node.wait(DEADLINE_S) == 0
        ended = subprocess.run([sys.executable, "-c", orphan], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    finally:
        made.close()
    left = psutil.Process(int(ended.stdout))
    try:
        assert left.ppid() != os.getpid()
    finally:
        left.kill()


@pytest.mark.parametrize(("nodes", "cores", "worth"), [(3, 2, False), (4, 2, True), (2, 1, True), (7, None, True)])
def test_it_pays_for_more_nodes_than_cores(
    monkeypatch: pytest.MonkeyPatch, nodes: int, cores: int | None, worth: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert pays(nodes) is worth
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not pays(nodes)
