"""`heliograph node` as a process: exit codes, signals, what it loads, and what it does after it was stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lone_coordinator import DEADLINE_S, LoneCoordinator, NodeSession
from reserved_ports import reserved_address
from scripted_bundle import predict, scripted_bundle
from warm.starting import at_work_for

from heliograph import noise

pytestmark = pytest.mark.usefixtures("warm_teams")

BUNDLE = scripted_bundle(slot=0, team_size=2)

Script = Callable[[subprocess.Popen, NodeSession], Awaitable[None]]


def node_command(address: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "heliograph", "node", "--coordinator", address, *map(str, arguments)]


def finish(address: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a node that ends by itself."""
    return subprocess.run(node_command(address, *arguments), capture_output=True, text=True, timeout=DEADLINE_S)


def with_session(script: Script, coordinator: LoneCoordinator, *arguments: object) -> tuple[int, str]:
    """Play a script with a node that fetched its bundle; returns its exit code and what it said."""

    async def play() -> tuple[int, str]:
        async with asyncio.timeout(2 * DEADLINE_S), coordinator:
            command = node_command(coordinator.address, "--slot", 0, *arguments)
            node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            try:
                session = await coordinator.session()
                await script(node, session)
                _, said = await asyncio.to_thread(node.communicate, timeout=DEADLINE_S)
                return node.returncode, said
            finally:
                node.kill()
                node.wait()

    return asyncio.run(play())


def said_by(coordinator: LoneCoordinator) -> str:
    """All that a node says which nothing happens to."""
    return f"joined {coordinator.address} as slot 0\n"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens."""
    with reserved_address() as address:
        yield address


def test_a_node_that_cannot_reach_its_coordinator_says_so_within_its_timeout(nowhere: str) -> None:
    ended = finish(nowhere, "--slot", 0, "--join-timeout-s", 1)
    assert ended.returncode == 7
    assert f"coordinator {nowhere} cannot be reached within 1 s" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_coordinator_that_accepts_and_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ended = finish(f"127.0.0.1:{mute.getsockname()[1]}", "--slot", 0, "--join-timeout-s", 1)
    assert ended.returncode == 7


def test_a_coordinator_that_goes_away_ends_its_nodes_with_code_7() -> None:
    coordinator = LoneCoordinator(BUNDLE)

    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        await session.agent_input(0, first=True)
        await session.receive("act")
        await coordinator.__aexit__(None, None, None)

    code, said = with_session(script, coordinator, "--rejoin-s", 0)
    assert code == 7
    assert "heliograph node: coordinator" in said
    assert "Traceback" not in said


def test_a_session_that_ends_without_goodbye_is_a_coordinator_gone() -> None:
    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        session.over.set_result(None)

    code, said = with_session(script, LoneCoordinator(BUNDLE), "--rejoin-s", 0)
    assert code == 7
    assert "ended the session" in said


def test_shutdown_ends_a_node_with_code_0_after_it_has_half_closed() -> None:
    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        await session.send(counters_request={})
        assert list((await session.receive("counters")).links) == []
        await session.send(shutdown={"reason": "all episodes played"})
        await asyncio.wait_for(session.left(), DEADLINE_S)
        session.over.set_result(None)

    coordinator = LoneCoordinator(BUNDLE)
    assert with_session(script, coordinator) == (0, said_by(coordinator))


@pytest.mark.usefixtures("teams_from_nothing")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_drain_a_node(number: signal.Signals, code: int) -> None:
    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        await session.agent_input(0, first=True)
        await session.receive("act")
        node.send_signal(number)
        await asyncio.wait_for(session.left(), DEADLINE_S)
        session.over.set_result(None)

    coordinator = LoneCoordinator(BUNDLE)
    assert with_session(script, coordinator) == (code, said_by(coordinator))


def test_a_node_that_loses_its_coordinator_before_it_has_joined_looks_for_it_again() -> None:
    class CutOnce(LoneCoordinator):
        fetched = 0

        async def FetchBundle(self, request, context):  # noqa: N802
            self.fetched += 1
            if self.fetched == 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
            async for chunk in super().FetchBundle(request, context):
                yield chunk

    async def shut_down(node: subprocess.Popen, session: NodeSession) -> None:
        await session.send(shutdown={})
        session.over.set_result(None)

    code, said = with_session(shut_down, CutOnce(BUNDLE))
    assert code == 0
    assert "looking for a coordinator again" in said
    assert "start this node again" not in said, "it looks by itself"


def test_a_signal_ends_a_node_that_still_waits_for_its_coordinator(nowhere: str) -> None:
    command = node_command(nowhere, "--slot", 0, "--log-level", "debug")
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert node.stderr is not None
        while "connecting address" not in (line := node.stderr.readline()):
            assert line, "the node ended"
        node.send_signal(signal.SIGTERM)
        _, said = node.communicate(timeout=DEADLINE_S)
    finally:
        node.kill()
    assert node.returncode == 0, said


def test_a_stopped_node_skips_what_it_missed_and_starts_over_at_the_newest_percept() -> None:
    acts = []

    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        for step in range(3):
            await session.agent_input(step, first=step == 0)
            acts.append(await session.receive("act"))
        os.kill(at_work_for(node.pid), signal.SIGSTOP)
        # The world went on without it: a coordinator sends no second agent_input before it has an answer to the first.
        await session.agent_input(3)
        os.kill(at_work_for(node.pid), signal.SIGCONT)
        acts.append(await asyncio.wait_for(session.receive("act"), DEADLINE_S))
        await session.agent_input(39)
        acts.append(await asyncio.wait_for(session.receive("act"), DEADLINE_S))
        node.terminate()
        await asyncio.wait_for(session.left(), DEADLINE_S)
        session.over.set_result(None)

    coordinator = LoneCoordinator(BUNDLE, report_latents=True)
    assert with_session(script, coordinator) == (0, said_by(coordinator))
    assert [act.step for act in acts] == [0, 1, 2, 3, 39]
    assert BUNDLE.manifest.message is not None
    expected = predict(
        BUNDLE.manifest,
        observation=np.full(6, 0.5, dtype=np.float32),
        action_mask=np.ones(5, dtype=bool),
        inbox={},
        counter=4,
        first=True,
        greedy=True,
        noise=noise.uniform(run_seed=3, slot=0, episode=0, step=39, size=BUNDLE.manifest.noise_size),
    )
    assert acts[-1].action == expected.action
    assert tuple(BUNDLE.manifest.message.codec.unpack(acts[-1].latent).tolist()) == expected.latent


def test_an_unusable_percept_ends_the_node_with_the_worlds_code() -> None:
    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        await session.agent_input(0, observation=np.full(6, np.nan, dtype="<f4").tobytes())

    code, said = with_session(script, LoneCoordinator(BUNDLE))
    assert code == 5
    assert "holds nan at index 0" in said


def test_bundles_that_do_not_fit_end_the_node_with_code_3(tmp_path: Path, nowhere: str) -> None:
    scripted_bundle(slot=1, team_size=2).save(tmp_path / "slot.tar")
    ended = finish(nowhere, "--slot", 0, "--bundle", tmp_path / "slot.tar")
    assert (ended.returncode, "is for slot 1, not for slot 0" in ended.stderr) == (3, True)

    async def nothing(node: subprocess.Popen, session: NodeSession) -> None:
        return None

    code, said = with_session(nothing, LoneCoordinator(BUNDLE, team_size=5))
    assert code == 3
    assert "is for a team of 2, this team has 5" in said


def test_a_bundle_with_another_digest_than_announced_is_refused() -> None:
    async def play() -> subprocess.CompletedProcess:
        async with LoneCoordinator(BUNDLE, digest="0" * 64) as coordinator:
            return await asyncio.to_thread(finish, coordinator.address, "--slot", 0)

    ended = asyncio.run(play())
    assert ended.returncode == 3
    assert "announced was 000000000000" in ended.stderr


def test_only_bundles_signed_by_the_trusted_key_are_run(tmp_path: Path, nowhere: str) -> None:
    private = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_text(private.public_key().public_bytes_raw().hex() + "\n")
    (tmp_path / "short").write_bytes(b"not a key")
    BUNDLE.save(tmp_path / "unsigned.tar")
    BUNDLE.sign(Ed25519PrivateKey.generate().private_bytes_raw()).save(tmp_path / "stranger.tar")
    arguments = ["--slot", 0, "--trusted-key", tmp_path / "key", "--bundle"]
    for name, sentence in (("unsigned", "not signed"), ("stranger", "not by a trusted key")):
        ended = finish(nowhere, *arguments, tmp_path / f"{name}.tar")
        assert (ended.returncode, sentence in ended.stderr) == (3, True), ended.stderr
    ended = finish(nowhere, "--slot", 0, "--trusted-key", tmp_path / "short", "--bundle", tmp_path / "unsigned.tar")
    assert ended.returncode == 2

    async def shut_down(node: subprocess.Popen, session: NodeSession) -> None:
        await session.send(shutdown={})
        session.over.set_result(None)

    signed = LoneCoordinator(BUNDLE.sign(private.private_bytes_raw()))
    assert with_session(shut_down, signed, "--trusted-key", tmp_path / "key") == (0, said_by(signed))


def test_a_taken_port_ends_the_node_with_code_6() -> None:
    async def play() -> tuple[str, subprocess.CompletedProcess]:
        async with LoneCoordinator(BUNDLE) as coordinator:
            return coordinator.address, await asyncio.to_thread(
                finish, coordinator.address, "--slot", 0, "--listen", coordinator.address
            )

    address, ended = asyncio.run(play())
    assert ended.returncode == 6
    assert f"cannot listen on {address}" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--slot", -1], "slot -1"),
        (["--slot", 0, "--join-timeout-s", 0], "0 s"),
        (["--slot", 0, "--listen", "127.0.0.1:99999"], "has port 99999"),
        (["--slot", 0, "--listen", "0.0.0.0:0"], "--advertise"),
        (["--slot", 0, "--metrics", "127.0.0.1:99999"], "has port 99999"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_starts(
    arguments: list[object], sentence: str, nowhere: str
) -> None:
    ended = finish(nowhere, *arguments)
    assert (ended.returncode, sentence in ended.stderr) == (2, True), ended.stderr


def test_an_address_that_peers_cannot_dial_is_refused() -> None:
    async def play() -> subprocess.CompletedProcess:
        async with LoneCoordinator(BUNDLE) as coordinator:
            return await asyncio.to_thread(finish, coordinator.address, "--slot", 0, "--listen", "0.0.0.0:0")

    ended = asyncio.run(play())
    assert ended.returncode == 2
    assert "--advertise" in ended.stderr


def test_a_node_loads_no_framework_no_simulator_and_no_other_role() -> None:
    """Decentralisation is checkable: what could tell an agent more than its agent inputs is not even in its process."""
    code = "import json, sys, agent_node.process; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=DEADLINE_S)
    loaded = json.loads(ended.stdout)
    houses = {name.partition(".")[0] for name in loaded}
    assert "onnxruntime" in houses
    assert not houses & {"torch", "trainer", "coordinator", "pettingzoo", "mpe2", "gymnasium", "onnx", "cryptography"}
    assert not [name for name in loaded if name.startswith("heliograph.environments")]
