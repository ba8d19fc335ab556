"""Cuts as the commands live through them: what they say, and with which codes they end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from child_environment import importing_test_modules
from held_run import held_run
from relay_team import relay_bundles
from scripted_bundle import save_team
from tcp_detour import TcpDetour
from warm.starting import at_work_for

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("bundles"))


class Command:
    """A command that runs; what it says on stderr is waited for, and kept."""

    def __init__(self, process: Process) -> None:
        self.process, self.said = process, ""

    @classmethod
    async def start(cls, *arguments: object) -> Command:
        command = [sys.executable, "-m", "heliograph", *map(str, arguments), "--log-level", "info"]
        environment = importing_test_modules()
        return cls(await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE))

    async def until(self, part: str) -> str:
        """The first line that has that part."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.said += line
            if part in line:
                return line
        raise AssertionError(f"ended without saying {part!r}:\n{self.said}")

    async def end(self) -> int:
        shown, said = await self.process.communicate()
        self.said += said.decode()
        self.shown = shown.decode()
        assert self.process.returncode is not None
        return self.process.returncode


def play(script: Callable[[Callable[..., Coroutine[Any, Any, Command]]], Coroutine[Any, Any, None]]) -> None:
    """Run `script(start)`; commands that it has started and that are still there in the end are killed."""

    async def run() -> None:
        commands: list[Command] = []

        async def start(*arguments: object) -> Command:
            commands.append(await Command.start(*arguments))
            return commands[-1]

        try:
            async with asyncio.timeout(DEADLINE_S):
                await script(start)
        finally:
            for command in commands:
                if command.process.returncode is None:
                    command.process.kill()
                    await command.process.wait()

    asyncio.run(run())


def test_a_cut_that_outlasts_the_grace_ends_coordinator_and_nodes_each_with_a_sentence(team: Path) -> None:
    async def script(start: Callable[..., Coroutine[Any, Any, Command]]) -> None:
        async with TcpDetour() as detour:
            coordinator = await start(
                *("coordinator", "--bundles", team, "--listen", "127.0.0.1:0"), *("--rejoin-s", 2, "--episodes", 10**6)
            )
            detour.target = (await coordinator.until("nodes at")).split()[-1]
            nodes = [await start("node", "--coordinator", detour.address, "--slot", slot) for slot in range(2)]
            await coordinator.until("running address")
            detour.sever()
            assert [await node.end() for node in nodes] == [7, 7]
            assert await coordinator.end() == 6
        assert re.search(r"world paused cut_off=\[.*\] for_at_most_s=2", coordinator.said)
        said = coordinator.said
        assert re.search(r"every node is gone in episode \d+ at step \d+, and none came back within 2 s", said)
        for node in nodes:
            assert f"coordinator {detour.address} cannot be reached within 2 s: UNAVAILABLE" in node.said

    play(script)


def test_a_run_whose_nodes_all_stood_still_for_longer_than_the_keepalive_goes_on(tmp_path: Path) -> None:
    async def script(start: Callable[..., Coroutine[Any, Any, Command]]) -> None:
        result = tmp_path / "result.json"
        words, over = held_run(tmp_path)
        run = await start(*words, "--json", result)
        await run.until("running address")
        nodes = [at_work_for(int(number)) for number in re.findall(r"started slot=\d pid=(\d+)", run.said)]
        assert len(nodes) == 2
        for node in nodes:
            os.kill(node, signal.SIGSTOP)
        await run.until("world paused")
        for node in nodes:
            os.kill(node, signal.SIGCONT)
        await run.until("world goes on")
        over.touch()
        assert await run.end() == 0, run.said
        report = json.loads(result.read_text())
        [cut] = report["cuts"]
        assert cut["slots"] == cut["back"] == [0, 1]
        assert report["summaries"][0]["episodes"] == 1
        assert "The world was paused once, for" in " ".join(run.shown.split())

    play(script)


@pytest.mark.usefixtures("teams_from_nothing")
def test_nodes_of_a_run_that_is_killed_do_not_wait_for_it(team: Path) -> None:
    async def script(start: Callable[..., Coroutine[Any, Any, Command]]) -> None:
        run = await start("run", "--bundles", team, "--episodes", 10**6, "--rejoin-s", 3600)
        await run.until("running address")
        nodes = psutil.Process(run.process.pid).children()
        assert len(nodes) == 2
        run.process.kill()
        await run.process.wait()
        gone, there = await asyncio.to_thread(psutil.wait_procs, nodes, timeout=DEADLINE_S / 2)
        assert (len(gone), there) == (2, [])

    play(script)
