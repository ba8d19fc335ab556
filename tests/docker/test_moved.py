"""A peer that comes back under its name at another address is found there."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import Log, Project, docker, inspect

OVERLAY = """
services:
  node:
    deploy: {replicas: 1}
    environment: {SECURITY_OPTIONS: --insecure --slot 0 --log-level info}
  moving:
    image: heliograph-node
    command: >
      node --coordinator coordinator:7100 --listen 0.0.0.0:7200 --advertise moving --slot 1 --insecure
    depends_on:
      coordinator:
        condition: service_healthy
"""

# A channel to a name whose address changes, as without a coordinator, when nobody tells that a peer is another.
MOVE = """
import asyncio, time
from pathlib import Path
from heliograph import rpc
from heliograph.errors import NetworkError

HOSTS = Path("/etc/hosts")
OTHERS = HOSTS.read_text()

async def serve(address):
    HOSTS.write_text(f"{OTHERS}\\n{address} peer\\n")
    server = rpc.server(max_message_bytes=1024)
    health = rpc.Health(server)
    rpc.bind(server, f"{address}:7200", insecure=True)
    await server.start()
    await health.serving()
    return server

async def main():
    server = await serve("127.0.0.2")
    async with rpc.channel("peer:7200", max_message_bytes=1024) as channel:
        print(await rpc.health_status(channel, timeout_s=5))
        await server.stop(None)
        server = await serve("127.0.0.3")
        moved = time.monotonic()
        while True:
            try:
                print(await rpc.health_status(channel, timeout_s=5))
                break
            except NetworkError:
                await asyncio.sleep(0.1)
        print(time.monotonic() - moved)
        await server.stop(None)

asyncio.run(main())
"""
FOUND_DEADLINE_S = 10.0
"""gRPC by itself looks a name up again after 30."""

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(1800)]


@pytest.mark.usefixtures("first_up")
def test_a_node_that_is_made_anew_elsewhere_is_found_by_its_name(project: Project, slow: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "compose.moving.yaml"
    overlay.write_text(OVERLAY)
    project = project.with_overlay(slow, overlay)
    placeholder = f"{project.name}-placeholder"
    with Log(project.command("up", "--no-build"), environment=project.environment({"minimum": 0.1})) as up:
        up.until("running address")
        before = address(project)
        docker("rm", "--force", project.container("moving"))
        up.until("node left slot=1")
        # It takes the address that has become free.
        sleep = ("--entrypoint", "sleep", "heliograph-node", "600")
        docker("run", "--detach", "--name", placeholder, "--network", project.network, *sleep)
        try:
            code, said = project.compose("up", "--no-build", "--detach", "moving", minimum=0.1)
            assert code == 0, said
            assert address(project) != before
            up.until("peer connected slot=1")
        finally:
            docker("rm", "--force", placeholder)
        up.until("success (95 % interval)")
        assert up.process.wait(60) == 0, up.text


def test_a_channel_to_a_name_follows_it() -> None:
    options = ["--rm", "--user", "0", "--network", "none", "--entrypoint", "/opt/heliograph/bin/python"]
    first, second, seconds = docker("run", *options, "heliograph-node", "-c", MOVE).split()
    assert (first, second) == ("SERVING", "SERVING")
    assert float(seconds) < FOUND_DEADLINE_S


def address(project: Project) -> str:
    networks = inspect("container", project.container("moving"))["NetworkSettings"]["Networks"]
    return networks[project.network]["IPAddress"]
