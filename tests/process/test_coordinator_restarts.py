"""A coordinator is killed and started again: its nodes join the new one, which goes on where the first one was."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from relay_team import PATIENT_WORDS, relay_bundles
from reserved_ports import reserved_address
from scripted_bundle import save_team
from warm.starting import at_work_for

from coordinator.serving.supervisor import Supervisor, node_command

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0
EPISODES = 30


def heliograph(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "heliograph", *(str(argument) for argument in arguments)]


def until(predicate, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not predicate():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def started():
    """Start commands; those that still run are killed in the end."""
    with ExitStack() as stack:

        def start(command):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def address():
    with reserved_address() as address:
        yield address


def test_a_killed_coordinator_is_followed_by_one_that_ends_as_if_it_had_lived(team, tmp_path, started, address):
    kept = tmp_path / "kept.jsonl"
    play = ["--bundles", team, "--episodes", EPISODES, "--links", "both", "--sampled"]
    command = ["coordinator", *play, "--listen", address, "--resume", kept, "--json", tmp_path / "resumed.json"]
    command += PATIENT_WORDS
    nodes = Supervisor(lambda slot: node_command(address, slot, join_timeout_s=30), log_folder=tmp_path)
    with nodes:
        first = started(heliograph(*command, "--period-s", 0.05))
        pids = []
        for slot in range(2):
            nodes.start(slot)
            pids.append(nodes.process(slot).pid)
        until(lambda: kept.exists() and kept.read_bytes().count(b"\n") > 4, "four finished episodes")
        os.kill(at_work_for(first.pid), signal.SIGKILL)
        first.wait(DEADLINE_S)
        finished = len(lines(kept)) - 1
        assert 4 <= finished < 2 * EPISODES
        second = started(heliograph(*command))
        shown, said = second.communicate(timeout=DEADLINE_S)
        assert second.returncode == 0, said
        assert nodes.wait(timeout_s=15) == {0: 0, 1: 0}, "the same processes, to the end of the run"
        logs = [nodes.log_tail(slot) for slot in range(2)]
    assert all("looking for a coordinator again" in log for log in logs)
    assert f"{finished} of the episodes were run by an earlier coordinator" in shown

    alone = subprocess.run(
        heliograph("evaluate", team, *play[2:], "--json", tmp_path / "whole.json"),
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert alone.returncode == 0
    resumed, whole = (json.loads((tmp_path / name).read_text()) for name in ("resumed.json", "whole.json"))
    assert resumed["earlier_episodes"] == finished
    assert [link["missing"] for link in resumed["links"]] == [0, 0], "of what this coordinator has seen"
    for one, other in zip(resumed["summaries"], whole["summaries"], strict=True):
        for key in ("episodes", "outcome", "team_return", "steps", "idle"):
            assert one[key] == other[key], key
    assert sum(one["counted_steps"] for one in resumed["summaries"]) < sum(one["steps"] for one in whole["summaries"])
    assert [line["episode"] for line in lines(kept)[1:]] == list(range(2 * EPISODES))

    # Nothing is left to play, so nobody is waited for.
    third = subprocess.run(heliograph(*command), capture_output=True, text=True, timeout=DEADLINE_S)
    assert third.returncode == 0, third.stderr
    assert f"{2 * EPISODES} of the episodes were run by an earlier" in third.stdout
    assert "nodes at" not in third.stderr
    other = subprocess.run(heliograph(*command, "--seed", 9), capture_output=True, text=True, timeout=DEADLINE_S)
    assert other.returncode == 2
    assert "seed 0 there, 9 here" in other.stderr


def test_a_node_gives_up_looking_for_a_coordinator_in_time(team, tmp_path, started):
    coordinator = started(
        heliograph(
            *("coordinator", "--bundles", team, "--listen", "127.0.0.1:0", "--rejoin-s", 2, "--log-level", "info")
        )
    )
    address = ""
    while not address:
        found = re.search(r"nodes at (\S+)", coordinator.stderr.readline())
        address = found[1] if found else ""
    node = started(node_command(address, 0, join_timeout_s=30))
    while "serving" not in node.stderr.readline():
        assert node.poll() is None
    coordinator.kill()
    _, said = node.communicate(timeout=DEADLINE_S)
    assert node.returncode == 7
    allowed = [*re.findall(r"seconds_left=(\S+)", said), *re.findall(r"cannot be reached within (\S+) s", said)]
    assert len(allowed) >= 2, said
    assert all(0 < float(seconds) <= 2 for seconds in allowed), "what is left of the two seconds"
