"""`heliograph health` against real servers: what it prints, its exit codes, and how it waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import grpc.aio
import pytest

from heliograph import rpc
from heliograph.cli import main
from heliograph.rpc import Health

Change = Callable[[Health], Awaitable[None]]


async def ask(change: Change, *arguments: str, heard: Callable[[Health], None] = lambda health: None) -> int:
    """Run the command in a thread against a server whose health was changed so; tell `heard` once it is there."""
    server = rpc.server(max_message_bytes=rpc.MAX_PEER_BYTES)
    health = Health(server)
    port = rpc.bind(server, "127.0.0.1:0")
    await change(health)
    await server.start()
    heard(health)
    try:
        return await asyncio.to_thread(main, ["health", f"127.0.0.1:{port}", *arguments])
    finally:
        await server.stop(grace=None)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [(Health.serving, 0, "SERVING"), (Health.starting, 1, "NOT_SERVING"), (Health.draining, 1, "NOT_SERVING")],
)
def test_the_answer_is_printed_and_is_the_exit_code(
    change: Change, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asyncio.run(ask(change)) == code
    assert capsys.readouterr().out == f"{said}\n"


def test_it_waits_for_a_process_that_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str] = []
    server: list[tuple[Health, asyncio.AbstractEventLoop]] = []
    check = rpc.health_status

    async def check_then_serve(channel: grpc.aio.Channel, *, timeout_s: float) -> str:
        answers.append(await check(channel, timeout_s=timeout_s))
        health, loop = server[0]
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(health.serving(), loop))
        return answers[-1]

    monkeypatch.setattr(rpc, "health_status", check_then_serve)
    heard = lambda health: server.append((health, asyncio.get_running_loop()))  # noqa: E731
    assert asyncio.run(ask(Health.starting, "--wait", "30", heard=heard)) == 0
    assert answers == ["NOT_SERVING", "SERVING"]


def test_it_waits_no_longer_than_it_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(ask(Health.starting, "--wait", "0.3")) == 1
    assert capsys.readouterr().out == "NOT_SERVING\n"


@pytest.mark.parametrize("wait", [(), ("--wait", "0.3")])
def test_nobody_there_is_a_network_error_in_one_sentence(
    wait: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"  # bound, but nobody listens
        assert main(["health", address, *wait]) == 6
    said = capsys.readouterr().err
    assert f"no health service answers at {address}: UNAVAILABLE" in said
    assert "Traceback" not in said
