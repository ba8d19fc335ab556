"""JSON logs: what a line holds, and that nothing else comes out."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from heliograph import log


def line(message: str, *arguments: Any, **fields: Any) -> dict[str, Any]:
    record = logging.LogRecord("agent_node.peers", logging.WARNING, __file__, 1, message, arguments, None)
    record.__dict__.update(fields)
    return json.loads(log.JsonLines().format(record))


def test_fields_of_a_message_are_fields_of_its_line() -> None:
    found = line("peer refused slot=%d status=%s reason=%r after %g s", 3, "ABORTED", "no", 1.5)
    assert found["message"] == "peer refused slot=3 status=ABORTED reason='no' after 1.5 s"
    assert (found["slot"], found["status"], found["reason"]) == (3, "ABORTED", "no")
    assert (found["level"], found["logger"]) == ("warning", "agent_node.peers")


def test_a_line_keeps_its_own_fields_and_writes_what_json_cannot() -> None:
    found = line("100%% level=%s message=%s slots=%s error=%r", "high", "hidden", {1}, OSError("gone"))
    assert found["level"] == "warning"
    assert found["message"].startswith("100% level=high")
    assert found["slots"] == "{1}"
    assert found["error"] == "gone"
    assert line("percent %s", created=0.25, msecs=250.0)["time"] == "1970-01-01T00:00:00.250Z"


def test_each_task_has_a_place_of_its_own_and_those_that_it_starts_share_it() -> None:
    async def node(slot: int) -> list[dict[str, Any]]:
        place = log.enter(run="a-run", slot=slot)
        place.episode, place.step = 2, 10 + slot

        async def peers() -> dict[str, Any]:
            await asyncio.sleep(0)
            return line("peer connected")

        task = asyncio.create_task(peers())
        place.step = 20 + slot
        return [await task, line("of another slot=%d", 9)]

    async def both() -> list[list[dict[str, Any]]]:
        return list(await asyncio.gather(node(0), node(1)))

    for slot, (of_peers, of_another) in enumerate(asyncio.run(both())):
        assert [of_peers[name] for name in ("run", "slot", "episode", "step")] == ["a-run", slot, 2, 20 + slot]
        assert (of_another["slot"], of_another["peer"]) == (slot, 9)
    # Outside of them; what other tests of this process have entered does not count.
    assert "run" not in contextvars.Context().run(line, "outside")


SERVERS_THAT_GO = """
import asyncio
from heliograph import cli

async def talk():
    from heliograph import rpc  # as commands do, when they are run

    for _ in range(20):
        server = rpc.server(max_message_bytes=1024)
        health = rpc.Health(server)
        port = rpc.bind(server, "127.0.0.1:0")
        await server.start()
        await health.serving()
        async with rpc.channel(f"127.0.0.1:{port}", max_message_bytes=1024) as channel:
            assert await rpc.health_status(channel, timeout_s=30) == "SERVING"
            await server.stop(None)
            await asyncio.sleep(0.01)

command = cli.Command(summary="", configure=lambda parser: None, run=lambda arguments: asyncio.run(talk()) or 0)
cli.run({"talk": command}, ["talk", "--log-format", "json"])
"""


def test_the_core_of_grpc_does_not_talk_between_the_lines() -> None:
    command = [sys.executable, "-P", "-c", SERVERS_THAT_GO]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("statement", "code", "expected"),
    [
        ("sys.stderr.write('half a '); print('line', file=sys.stderr)", 0, ["half a line"]),
        ("logging.getLogger('a').info('left out'); logging.getLogger('a').warning('kept')", 0, ["kept"]),
        ("print('no end', end='', file=sys.stderr)", 0, ["no end"]),
        ("raise ValueError('by mistake')", 1, ["crashed cause=ValueError('by mistake')"]),
    ],
)
def test_everything_on_stderr_is_a_line(statement: str, code: int, expected: list[str]) -> None:
    program = "import logging, sys\nfrom heliograph import log\nwith log.json_lines(sys.stderr, level='WARNING'):\n"
    program += f"    {statement}\n"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code
    lines = [json.loads(text) for text in ended.stderr.splitlines()]
    assert [found["message"] for found in lines] == expected
    assert code == 0 or "Traceback" in lines[0]["trace"]
