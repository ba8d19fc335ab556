"""A node where Python lacks what it lacks on Windows: it plays, and a signal drains it.

What is taken away here is what Python's documentation marks as not there; no node was ever run on Windows itself.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
from lone_coordinator import DEADLINE_S, LoneCoordinator, NodeSession
from scripted_bundle import scripted_bundle

PROGRAM = """
import asyncio, ctypes, os, runpy, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "uvloop"):
    sys.modules[name] = None
for name in ("pthread_kill", "SIGKILL", "SIGHUP", "SIGQUIT"):
    delattr(signal, name)
for name in ("memfd_create", "getuid", "geteuid", "killpg", "setsid", "O_NONBLOCK", "O_NOFOLLOW"):
    delattr(os, name)
def refused(self, *arguments):
    raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = refused
opened = ctypes.CDLL
def of_a_name(name, *arguments, **named):
    if name is None:
        raise TypeError("there is no library without a name")
    return opened(name, *arguments, **named)
ctypes.CDLL = of_a_name
runpy.run_module("agent_node", run_name="__main__", alter_sys=True)
"""


def play(script: Callable[[subprocess.Popen, NodeSession], Awaitable[None]]) -> tuple[int, str]:
    """Exit code of a node that went through the script, and what it said."""

    async def session() -> tuple[int, str]:
        async with (
            asyncio.timeout(2 * DEADLINE_S),
            LoneCoordinator(scripted_bundle(slot=0, team_size=2)) as coordinator,
        ):
            command = [sys.executable, "-c", PROGRAM, "--coordinator", coordinator.address, "--slot", "0"]
            node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            try:
                await script(node, await coordinator.session())
                _, said = await asyncio.to_thread(node.communicate, timeout=DEADLINE_S)
                return node.returncode, said
            finally:
                node.kill()
                node.wait()

    return asyncio.run(session())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_acts_and_is_drained_by_a_signal(number: signal.Signals, code: int) -> None:
    async def script(node: subprocess.Popen, session: NodeSession) -> None:
        await session.agent_input(0, first=True)
        await session.receive("act")
        node.send_signal(number)
        await asyncio.wait_for(session.left(), DEADLINE_S)
        session.over.set_result(None)

    ended, said = play(script)
    assert ended == code
    assert re.fullmatch(r"joined \S+ as slot 0\n", said)
