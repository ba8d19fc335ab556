"""Commands that play, and nodes, in forks of a process that has loaded what they need: as those that were started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from awaited_output import await_line
from relay_team import PATIENT_WORDS, relay_bundles
from scripted_bundle import save_team
from warm.server import parent_of
from warm.starting import PLAYING_ADDRESS

pytestmark = [
    pytest.mark.usefixtures("warm_teams"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="commands begin so on Linux alone"),
]
DEADLINE_S = 60
COMMAND = [sys.executable, "-m", "heliograph"]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("team") / "bundles")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--bundles", "bundles", "--channel", "silent=5"], 2),
        (["evaluate", "nowhere"], 3),
        (["bundle", "inspect", "bundles", "--json"], 0),
        (["certificates", "issue", "nowhere", "--team", "2"], 2),
        (["coordinator", "--help"], 0),
        (["node", "--coordinator", "127.0.0.1:1", "--slot", "-1"], 2),
    ],
)
@pytest.mark.slow
def test_a_command_has_the_streams_the_folder_the_variables_and_the_exit_code(
    team: Path, words: list[str], code: int
) -> None:
    plain = {name: value for name, value in os.environ.items() if name != PLAYING_ADDRESS} | {"COLUMNS": "70"}
    warm = plain | {PLAYING_ADDRESS: os.environ[PLAYING_ADDRESS]}
    first, second = (
        subprocess.run([*COMMAND, *words], cwd=team.parent, env=each, capture_output=True, timeout=DEADLINE_S)
        for each in (plain, warm)
    )
    assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)
    assert first.returncode == code, first.stderr


def waiting(team: Path) -> tuple[subprocess.Popen[str], tuple[str, int]]:
    """A coordinator that waits for its nodes, and where it does."""
    words = ["coordinator", "--bundles", str(team), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = await_line(process, "waiting for 2 nodes at", deadline_s=DEADLINE_S)
    host, _, port = said.split()[-1].rpartition(":")
    return process, (host, int(port))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_it_ends_with_the_process_that_stands_for_it(team: Path, number: signal.Signals, code: int) -> None:
    process, address = waiting(team)
    with process:
        socket.create_connection(address).close()
        process.send_signal(number)
        # Its streams are closed once nobody has them open.
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_its_parent_is_who_has_started_it() -> None:
    program = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        assert parent_of(child.pid) == os.getpid()
    assert parent_of(child.pid) == 1, "as of any process whose parent has gone"


def test_a_server_that_is_not_there_fails_a_node_instead_of_being_passed_over(tmp_path: Path) -> None:
    variables = os.environ | {PLAYING_ADDRESS: str(tmp_path / "nobody")}
    words = [sys.executable, "-P", "-m", "agent_node", "--help"]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the server of warm commands has gone\n")


@pytest.mark.slow
def test_a_run_begins_so_and_its_nodes_do(team: Path, tmp_path: Path) -> None:
    words = ["run", "--bundles", str(team), "--episodes", "1", "--log-folder", str(tmp_path), *PATIENT_WORDS]
    ran = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=DEADLINE_S)
    assert ran.returncode == 0, ran.stderr
    assert "All 2 links conserve" in ran.stdout
