"""The commands as a user runs them: exit codes, tables, JSON, Ctrl-C, nodes that die, coordinators that vanish."""

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from child_environment import importing_test_modules
from held_run import EPISODE_STEPS, announcing_run, held_run
from relay_team import PATIENT_WORDS, relay_bundles
from scripted_bundle import save_team, scripted_bundle
from waiting_game import ANNOUNCEMENT

from coordinator.running.report import REPORT
from coordinator.serving.supervisor import Supervisor, node_command
from heliograph import bundle as bundle_files

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0


def heliograph(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "heliograph", *(str(argument) for argument in arguments)]


def finish(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(heliograph(*arguments), capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("bundles"))


@contextmanager
def running(*arguments: object, say: str):
    """A command that has said something on stderr; ended by its handle, nodes that it started included."""
    command, environment = heliograph(*arguments), importing_test_modules()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    nodes: list[psutil.Process] = []
    try:
        heard = read_until(process.stderr, say)
        nodes = nodes_said_in(heard)
        yield process, nodes, heard
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
        psutil.wait_procs(nodes, timeout=DEADLINE_S)


def nodes_said_in(heard: str) -> list[psutil.Process]:
    """Those that a command has said it has started."""
    return [psutil.Process(int(number)) for number in re.findall(r"started slot=\d+ pid=(\d+)", heard)]


def read_until(stream, say: str) -> str:
    """Read what a process says until it has said this."""
    heard, end = b"", time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while say.encode() not in heard:
            assert selector.select(max(0.0, end - time.monotonic())), f"{say!r} was not said, but {heard.decode()}"
            piece = os.read(stream.fileno(), 65536)
            assert piece, f"ended without saying {say!r}, but {heard.decode()}"
            heard += piece
    return heard.decode()


def test_run_plays_prints_and_writes_what_evaluate_finds_too(team, tmp_path):
    command = ["run", "--bundles", team, "--episodes", 4, "--links", "both", "--json", tmp_path / "run.json"]
    run = finish(*command, *PATIENT_WORDS)
    assert run.returncode == 0, run.stderr
    for words in (
        "with messages",
        "every message masked",
        "bound without communication",
        "bits per agent-step",
        "0 of 40",
    ):
        assert words in run.stdout
    assert "All 2 links conserve" in run.stdout

    alone = finish("evaluate", team, "--episodes", 4, "--links", "both", "--json", tmp_path / "alone.json")
    assert alone.returncode == 0, alone.stderr
    over_grpc, in_process = (json.loads((tmp_path / name).read_text()) for name in ("run.json", "alone.json"))
    assert REPORT.check(over_grpc)
    for remote, local in zip(over_grpc["summaries"], in_process["summaries"], strict=True):
        for key in ("episodes", "outcome", "team_return", "steps", "messages", "bits_per_agent_step", "masked"):
            assert remote[key] == local[key], key
    assert over_grpc["summaries"][0]["bits_per_agent_step"] == 4 * 3 + 3, "one listener, 4 ids of 8 classes, 5 actions"
    assert over_grpc["summaries"][0]["bytes_per_agent_step"] > 0
    assert over_grpc["summaries"][1]["bits_per_agent_step"] == 0
    assert all(link["lost"] == 0 for link in over_grpc["links"])


def test_a_minimum_decides_the_exit_code(team):
    assert finish("evaluate", team, "--episodes", 2, "--minimum-outcome", 0.0).returncode == 0
    below = finish("evaluate", team, "--episodes", 2, "--minimum-outcome", 1.5)
    assert below.returncode == 1
    assert "below the minimum of 1.5" in below.stderr
    assert finish("run", "--bundles", team, "--episodes", 1, "--minimum-outcome", 1.5).returncode == 1


def test_json_on_stdout_is_nothing_but_json(team):
    shown = finish("evaluate", team, "--episodes", 2, "--json", "-")
    assert json.loads(shown.stdout)["summaries"][0]["episodes"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--agents", 3], 3, "bundles are for a team of 2, not of 3"),
        (["--environment", "relay-signal"], 3, "trained in 'relay', not in 'relay-signal'"),
        (["--set", "size=4"], 3, "observation size: bundles are made for 18"),
        (["--set", "nonsense=4"], 2, "unknown key nonsense"),
        (["--episodes", 0], 2, "episodes must be at least 1"),
        (["--channel", "erasure=0.1,silent=5"], 2, "there is no slot 5 in a team of 2"),
        (["--message-deadline-s", 9], 2, "must be shorter than"),
        (["--start-timeout-s", 0.05], 6, "no node joined within 0.05 s"),
    ],
)
def test_what_cannot_be_run_is_told_before_or_without_a_hang(team, arguments, code, part):
    refused = finish("run", "--bundles", team, *arguments)
    assert refused.returncode == code
    assert part in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_run_shows_what_was_finished_counts_every_message_and_takes_the_nodes_along(tmp_path, number):
    command = [*announcing_run(tmp_path, at_step=200), "--json", tmp_path / "run.json", *PATIENT_WORDS]
    with running(*command, say=ANNOUNCEMENT) as (process, nodes, _):
        assert len(nodes) == 2
        process.send_signal(number)
        shown, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130
        assert b"Interrupted" in shown
        assert not psutil.wait_procs(nodes, timeout=DEADLINE_S)[1]
    report = json.loads((tmp_path / "run.json").read_text())
    (summary,) = report["summaries"]
    assert report["interrupted"]
    assert summary["steps"] >= 200 - EPISODE_STEPS, "all but the episode in which it announced itself"
    assert 0 <= summary["counted_steps"] - summary["steps"] <= EPISODE_STEPS
    assert summary["messages"] == 2 * summary["counted_steps"]
    assert summary["bits_per_agent_step"] == 4 * 3 + 2, "4 ids of 8 classes, one of 3 actions, one listener"
    assert (summary["inexact"], summary["missing"]) == ({}, 0)
    assert [(link["sent"], link["missing"], link["inexact"]) for link in report["links"]] == [
        (summary["counted_steps"], 0, {})
    ] * 2
    said = shown.decode()
    assert re.search(r"bits per agent-step\W+14\.0\b", said)
    assert "at least" not in said
    assert "unknown" not in said


@pytest.mark.usefixtures("teams_from_nothing")
def test_ctrl_c_while_nodes_start_ends_them_too(team):
    with running("run", "--bundles", team, "--log-level", "info", say="started slot=1") as (process, nodes, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130
        assert not psutil.wait_procs(nodes, timeout=DEADLINE_S)[1]


def test_a_dead_node_is_quoted_and_makes_the_run_fail_in_the_end(tmp_path):
    command, over = held_run(tmp_path)
    with running(*command, "--log-folder", tmp_path / "logs", say="running address") as (process, nodes, _):
        nodes[0].kill()
        read_until(process.stderr, "node process ended")
        over.touch()
        shown, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 6
        assert re.search(rb"node [01] was killed by SIGKILL", shown)
        assert b"Losses unknown on 2 of 2 links" in shown
        assert b"listening address=" in b"".join(path.read_bytes() for path in (tmp_path / "logs").glob("*.log"))


def test_a_dead_node_is_started_again_where_that_is_allowed(tmp_path):
    command, over = held_run(tmp_path)
    with running(*command, "--restarts", 1, say="running address") as (process, nodes, _):
        nodes[1].kill()
        said = read_until(process.stderr, "node joined")
        nodes += nodes_said_in(said)
        assert "node process ended" in said
        over.touch()
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0


def test_nodes_started_elsewhere_join_and_notice_when_their_coordinator_is_gone(team, tmp_path):
    command = ["coordinator", "--bundles", team, "--listen", "127.0.0.1:0", "--episodes", 100_000]
    command += ["--rejoin-s", 0, "--log-level", "info"]
    with running(*command, say="waiting for 2 nodes at") as (coordinator, _, heard):
        address = re.search(r"nodes at (\S+)", heard).group(1)
        with Supervisor(lambda slot: node_command(address, slot, join_timeout_s=30), log_folder=tmp_path) as nodes:
            nodes.start(0)
            nodes.start(1)
            read_until(coordinator.stderr, "running address")
            coordinator.kill()
            assert nodes.wait(timeout_s=DEADLINE_S) == {0: 7, 1: 7}
            assert f"coordinator {address}" in nodes.log_tail(0)


@pytest.mark.usefixtures("teams_from_nothing")
def test_nodes_give_up_a_coordinator_that_hangs(team, tmp_path):
    command = ["coordinator", "--bundles", team, "--listen", "127.0.0.1:0", "--episodes", 100_000, "--rejoin-s", 0]
    with running(*command, "--log-level", "info", say="waiting for 2 nodes at") as (coordinator, _, heard):
        address = re.search(r"nodes at (\S+)", heard).group(1)
        with Supervisor(lambda slot: node_command(address, slot, join_timeout_s=30), log_folder=tmp_path) as nodes:
            nodes.start(0)
            nodes.start(1)
            read_until(coordinator.stderr, "running address")
            coordinator.send_signal(signal.SIGSTOP)
            # The keepalive notices after six seconds of its own; without it nodes would wait for a quarter of an hour.
            assert nodes.wait(timeout_s=DEADLINE_S) == {0: 7, 1: 7}


def test_attached_nodes_are_let_go_when_the_episodes_are_over(team, tmp_path):
    command = ["run", "--bundles", team, "--attach", "127.0.0.1:0", "--episodes", 2]
    with running(*command, say="waiting for 2 nodes at") as (coordinator, _, heard):
        address = re.search(r"nodes at (\S+)", heard).group(1)
        with Supervisor(lambda slot: node_command(address, slot, join_timeout_s=30), log_folder=tmp_path) as nodes:
            nodes.start(0)
            nodes.start(1)
            shown, _ = coordinator.communicate(timeout=DEADLINE_S)
            assert coordinator.returncode == 0
            assert b"All 2 links conserve" in shown
            assert nodes.wait(timeout_s=DEADLINE_S) == {0: 0, 1: 0}


def test_a_taken_port_ends_coordinator_and_node_with_code_6(team):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = finish("coordinator", "--bundles", team, "--listen", address)
        assert refused.returncode == 6
        assert f"cannot listen on {address}" in refused.stderr
        with running("coordinator", "--bundles", team, "--listen", "127.0.0.1:0", say="nodes at") as (_, _, heard):
            node = finish("node", "--coordinator", heard.split()[-1], "--slot", 0, "--listen", address)
            assert node.returncode == 6
            assert f"cannot listen on {address}" in node.stderr


def test_second_claim_to_a_slot_and_wrong_bundles_are_refused_with_their_exit_codes(team, tmp_path):
    good = bundle_files.load(team / "agent-0")
    broken = {
        "truncated": good.to_tar()[: good.to_tar().index(good.graph) + len(good.graph) // 2],
        "altered": altered(good.to_tar()),
        "format": good.to_tar().replace(b'"format_version": 1', b'"format_version": 9'),
        "slot": bundle_files.load(team / "agent-1").to_tar(),
        "team": relay_bundles(3)[0].to_tar(),
        "environment": scripted_bundle(
            slot=0, team_size=2, observation_size=18, environment="relay-signal", environment_parameters={}
        ).to_tar(),
    }
    for name, data in broken.items():
        (tmp_path / f"{name}.tar").write_bytes(data)
    parts = {
        "truncated": "is truncated",
        "altered": "does not match the digest",
        "format": "format version 9",
        "slot": "is for slot 1, not for slot 0",
        "team": "this run is about",
        "environment": "this run is about",
    }
    command = ["coordinator", "--bundles", team, "--listen", "127.0.0.1:0", "--log-level", "info"]
    with ExitStack() as stack:
        coordinator, _, heard = stack.enter_context(running(*command, say="nodes at"))
        address = re.search(r"nodes at (\S+)", heard).group(1)
        node = ["node", "--coordinator", address, "--slot", 0]
        stack.enter_context(running(*node, "--log-level", "info", say="listening"))
        read_until(coordinator.stderr, "node joined slot=0")
        second = finish(*node, "--join-timeout-s", 3)  # it asks again for a while, in case the holder has died
        assert second.returncode == 6, second.stderr
        assert "slot 0 is held by a live node" in second.stderr
        assert finish("node", "--coordinator", address, "--slot", 5).returncode == 2
        with ThreadPoolExecutor(max_workers=3) as pool:
            refused = pool.map(lambda name: finish(*node, "--bundle", tmp_path / f"{name}.tar"), broken)
        for name, ended in zip(broken, refused, strict=True):
            assert ended.returncode == 3, (name, ended.stderr)
            assert parts[name] in ended.stderr, name


def altered(tar: bytes) -> bytes:
    """One bit of the graph, near the end of the archive, is another."""
    place = tar.rindex(b"scripted")
    return tar[:place] + bytes([tar[place] ^ 1]) + tar[place + 1 :]


def test_a_run_refuses_a_broken_bundle_before_it_starts_anything(team, tmp_path):
    save_team([bundle_files.load(team / f"agent-{slot}") for slot in range(2)], tmp_path)
    graph = tmp_path / "agent-1" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    refused = finish("run", "--bundles", tmp_path)
    assert refused.returncode == 3
    assert "does not match the digest" in refused.stderr
    assert finish("evaluate", tmp_path / "nowhere").returncode == 3
