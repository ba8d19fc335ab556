"""The processes of a mesh: what a member runs, and the handle through which a benchmark leads them all.

A member reads commands from stdin and answers on stdout, one JSON value a line; it ends when stdin is closed.
Imported by `exchange.py` and `wire_bytes.py`, and started by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

START_TIMEOUT_S = 60.0
"""For imports and connecting, on a busy machine."""

END_TIMEOUT_S = 5.0


async def serve_member(slot: int, size: int, host: str, names: Sequence[str]) -> None:
    """Be a member of one mesh per name, until stdin is closed."""
    from meshes import MESHES, ROUND_TIMEOUT_S

    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    meshes = {name: MESHES[name](slot, size) for name in names}
    _say({name: await mesh.serve(host) for name, mesh in meshes.items()})
    everybody = json.loads(await commands.readline())
    for name, mesh in meshes.items():
        async with asyncio.timeout(START_TIMEOUT_S):
            await mesh.connect([addresses[name] for addresses in everybody])
    _say("connected")
    while line := await commands.readline():
        command = json.loads(line)
        mesh = meshes[command["mesh"]]
        limit_s = ROUND_TIMEOUT_S + (command["warm_up"] + command["rounds"]) * (command["period_s"] or 0.0)
        async with asyncio.timeout(limit_s + ROUND_TIMEOUT_S):
            _say(await _play(mesh, **{key: value for key, value in command.items() if key != "mesh"}))
    for mesh in meshes.values():
        await mesh.close()


async def _play(mesh: Any, *, episode: int, warm_up: int, rounds: int, period_s: float | None) -> dict[str, Any]:
    """Rounds back to back, or on the common clock's multiples of `period_s`."""
    for step in range(warm_up):
        await _tick(period_s)
        await mesh.round(episode, step)
    cpu_s, ends = time.process_time(), [time.perf_counter()]
    for step in range(warm_up, warm_up + rounds):
        await _tick(period_s)
        await mesh.round(episode, step)
        ends.append(time.perf_counter())
    return {
        "rounds_s": [later - earlier for earlier, later in itertools.pairwise(ends)],
        "cpu_s": time.process_time() - cpu_s,
        "missed": mesh.missed,
        "payload_bytes": mesh.bytes_sent(),
    }


async def _tick(period_s: float | None) -> None:
    if period_s is not None:
        now = time.time()
        await asyncio.sleep((now // period_s + 1) * period_s - now)


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


class Members:
    """`size` processes, each a member of the meshes `names`; an async context manager.

    `prefixes` is put before each one's command line, `hosts` is where each listens; by default all on the loopback.
    """

    def __init__(
        self,
        size: int,
        names: Sequence[str],
        *,
        hosts: Sequence[str] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.size, self.names = size, list(names)
        self._hosts = hosts or ["127.0.0.1"] * size
        self._prefixes = prefixes or [()] * size
        self._episode = 0
        self.processes: list[asyncio.subprocess.Process] = []
        self.addresses: list[dict[str, str]] = []
        """By slot and mesh, once all listen."""

    async def __aenter__(self) -> Members:
        try:
            for slot in range(self.size):
                arguments = [str(slot), str(self.size), self._hosts[slot], json.dumps(self.names)]
                command = [*self._prefixes[slot], sys.executable, __file__, *arguments]
                pipe = asyncio.subprocess.PIPE
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=pipe,
                    stdout=pipe,
                    limit=2**24,
                    env=os.environ | {"GRPC_VERBOSITY": "ERROR"},  # else it tells of every connection that ends
                )
                self.processes.append(process)
            self.addresses = await self._answers(START_TIMEOUT_S)
            await self._ask(self.addresses)
            await self._answers(START_TIMEOUT_S)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            try:
                await asyncio.wait_for(process.wait(), END_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def play(
        self, name: str, *, rounds: int, warm_up: int, period_s: float | None = None
    ) -> list[dict[str, Any]]:
        """Let all play rounds on the mesh `name`; what each measured."""
        self._episode += 1
        command = {"mesh": name, "episode": self._episode, "warm_up": warm_up, "rounds": rounds, "period_s": period_s}
        await self._ask(command)
        return await self._answers(START_TIMEOUT_S + (warm_up + rounds) * (period_s or 0.05))

    async def _ask(self, value: Any) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(value).encode() + b"\n")
            await process.stdin.drain()

    async def _answers(self, timeout_s: float) -> list[Any]:
        answers = []
        async with asyncio.timeout(timeout_s):
            for process in self.processes:
                assert process.stdout is not None
                line = await process.stdout.readline()
                if not line:
                    raise SystemExit("a member of the mesh ended; what it said is above")
                answers.append(json.loads(line))
        return answers


if __name__ == "__main__":
    import uvloop

    own_slot, team_size, own_host, mesh_names = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_member(int(own_slot), int(team_size), own_host, json.loads(mesh_names)))
