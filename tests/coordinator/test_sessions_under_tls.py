"""A coordinator under TLS: bundles and seats go to the slot of a certificate, and only the coordinator is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest
from plain_node import PlainNode
from relay_team import relay_bundles

from agent_node import coordinator_channel
from agent_node.coordinator_world import CoordinatorWorld
from coordinator.serving import team as coordinator_team
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.team_certificates import coordinator_tls, temporary
from heliograph import bundle as bundle_files
from heliograph import rpc
from heliograph.certificates.folder import make_team, team
from heliograph.certificates.identity import COORDINATOR
from heliograph.errors import CoordinatorGone, PeerRefused, SettingsError
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc as pb_grpc
from heliograph.tls import Tls

BUNDLES = relay_bundles(2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_team(folder, team(2))
    return folder


def serve(tls: Path | None, check: Callable[[CoordinationServer], Awaitable[None]]) -> None:
    async def run() -> None:
        server = CoordinationServer(
            BUNDLES,
            TeamSettings(run_seed=9, greedy=True),
            reached=ListenSettings(tls=None if tls is None else Tls(tls)),
        )
        async with asyncio.timeout(30), server:
            await check(server)

    asyncio.run(run())


async def fetched(server: CoordinationServer, tls: Tls, **request: object) -> int | tuple[str, str]:
    """The slot of the bundle that was handed out, or why none was."""
    async with rpc.channel(
        server.address, max_message_bytes=rpc.MAX_CONTROL_BYTES, tls=tls, peer=COORDINATOR
    ) as channel:
        try:
            chunks = pb_grpc.CoordinationStub(channel).FetchBundle(
                pb.FetchBundleRequest(**request), wait_for_ready=True
            )
            tar = b"".join([chunk.data async for chunk in chunks])
            return bundle_files.from_tar(tar, origin="the wire").manifest.slot
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()


def test_a_bundle_and_a_seat_are_for_the_slot_of_the_certificate(certificates: Path) -> None:
    zero, one = (Tls(certificates / f"slot-{slot}") for slot in (0, 1))

    async def check(server: CoordinationServer) -> None:
        assert await fetched(server, zero, slot=0) == 0
        assert await fetched(server, one, any_slot=True) == 1
        denied = ("PERMISSION_DENIED", "certificate of heliograph://slot/1 does not speak for slot 0")
        assert await fetched(server, one, slot=0) == denied
        chief = Tls(certificates / "coordinator")
        assert (await fetched(server, chief, any_slot=True))[0] == "PERMISSION_DENIED"
        async with PlainNode(server.address, BUNDLES[0], tls=one) as thief:
            assert await thief.status() == denied
            async with PlainNode(server.address, BUNDLES[0], tls=zero) as owner:
                await owner.read("welcome")
                assert server.team.live == (0,)
        assert server.refusals.counts == {"PERMISSION_DENIED": 3}

    serve(certificates / "coordinator", check)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives up asks once more, to learn the cause; only what hangs may leave that unanswered."""
    monkeypatch.setattr(coordinator_channel, "CAUSE_TIMEOUT_S", 30.0)


@pytest.mark.usefixtures("patient")
def test_a_node_believes_nobody_but_the_coordinator(certificates: Path) -> None:
    async def check(server: CoordinationServer) -> None:
        world = CoordinatorWorld(server.address, join_timeout_s=0.3, tls=Tls(certificates / "slot-0"))
        with pytest.raises(CoordinatorGone, match=r"cannot be reached within 0.3 s: .*Hostname Verification"):
            await world.fetch_bundle(0)
        await world.leave()

    serve(certificates / "slot-1", check)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("server_side", "client_side"), [(True, False), (False, True)])
def test_tls_and_plaintext_do_not_meet_and_say_so(certificates: Path, server_side: bool, client_side: bool) -> None:
    async def check(server: CoordinationServer) -> None:
        world = CoordinatorWorld(
            server.address, join_timeout_s=0.3, tls=Tls(certificates / "slot-0") if client_side else None
        )
        with pytest.raises(CoordinatorGone, match=r"within 0.3 s: UNAVAILABLE .*(Socket closed|WRONG_VERSION)"):
            await world.fetch_bundle(0)
        await world.leave()

    serve(certificates / "coordinator" if server_side else None, check)


def test_a_node_is_told_that_its_certificate_is_for_another_slot(certificates: Path) -> None:
    async def check(server: CoordinationServer) -> None:
        world = CoordinatorWorld(server.address, join_timeout_s=5, tls=Tls(certificates / "slot-1"))
        with pytest.raises(PeerRefused, match=r"slot/1 does not speak for slot 0.*certificate of its slot"):
            await world.fetch_bundle(0)
        await world.leave()

    serve(certificates / "coordinator", check)


def test_a_node_that_talks_without_end_is_put_out_and_the_others_stay(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator_team, "MESSAGES_PER_STEP", 50)

    async def check(server: CoordinationServer) -> None:
        async with (
            PlainNode(server.address, BUNDLES[0], tls=Tls(certificates / "slot-0")) as talker,
            PlainNode(server.address, BUNDLES[1], tls=Tls(certificates / "slot-1")) as other,
        ):
            for _ in range(51):
                await talker.send(connected=pb.Connected(slots=[1]))
            assert await talker.status() == ("INVALID_ARGUMENT", "slot 0 sent more than 50 messages in one step")
            await other.read("welcome")
            assert await server.team.wait_until(lambda: server.team.live == (1,), timeout_s=10)

    serve(certificates / "coordinator", check)


def test_certificates_for_one_run_are_gone_after_it() -> None:
    with temporary(2) as folder:
        assert coordinator_tls(folder).identity == coordinator_tls(folder / "coordinator").identity == COORDINATOR
        assert Tls(folder / "slot-1").identity.slot == 1
        assert not list(folder.rglob("ca.key"))
        with pytest.raises(SettingsError, match="not of heliograph://coordinator"):
            coordinator_tls(folder / "slot-1")
    assert not folder.exists()
