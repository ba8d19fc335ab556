"""The coordination protocol over real gRPC streams: joining, refusals, bundles, shutdown."""

import asyncio

import pytest
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.serving import seats
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from heliograph import bundle as bundle_files
from heliograph import rpc
from heliograph.errors import NodeFailed, PortTaken
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc as pb_grpc

BUNDLES = relay_bundles(2)


def serve(check, **arguments):
    """Run `check(server)` against a coordination server of a team of two."""

    async def run():
        server = CoordinationServer(BUNDLES, TeamSettings(run_seed=9, greedy=True, **arguments))
        async with asyncio.timeout(30), server:
            await check(server)

    asyncio.run(run())


def test_a_node_is_welcomed_and_everybody_gets_each_new_roster():
    async def check(server):
        async with PlainNode(server.address, BUNDLES[0]) as first:
            welcome = await first.read("welcome")
            assert (welcome.run_id, welcome.run_seed, welcome.team_size) == (server.run_id, 9, 2)
            assert welcome.greedy
            assert welcome.late_policy == pb.LATE_POLICY_HOLD
            assert [member.slot for member in (await first.read("roster")).members] == [0]
            async with PlainNode(server.address, BUNDLES[1]) as second:
                members = (await first.read("roster")).members
                assert [member.slot for member in members] == [0, 1]
                assert members[1].peer_address == "127.0.0.1:4001"
                assert members[1].bundle_digest == BUNDLES[1].digest
                assert [member.slot for member in (await second.read("roster")).members] == [0, 1]
            assert [member.slot for member in (await first.read("roster")).members] == [0]

    serve(check, late_policy="hold")


@pytest.mark.parametrize(("after_s", "is_told_of_two"), [(600, False), (0.001, True)])
def test_while_a_team_comes_together_a_roster_waits_a_little_but_once_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, after_s: float, is_told_of_two: bool
) -> None:
    monkeypatch.setattr(seats, "ANNOUNCE_AFTER_S", after_s)
    bundles = relay_bundles(3)

    async def told(node: PlainNode) -> list[int]:
        return [member.slot for member in (await node.read("roster")).members]

    async def run() -> None:
        server = CoordinationServer(bundles, TeamSettings(run_seed=9, greedy=True))
        async with asyncio.timeout(30), server, PlainNode(server.address, bundles[0]) as first:
            assert await told(first) == [0]
            async with PlainNode(server.address, bundles[1]):
                assert await server.team.wait_until(lambda: server.team.live == (0, 1), timeout_s=20)
                if is_told_of_two:
                    assert await told(first) == [0, 1]
                async with PlainNode(server.address, bundles[2]) as third:
                    assert await told(first) == await told(third) == [0, 1, 2]

    asyncio.run(run())


def test_a_slot_has_one_live_node_and_is_free_again_when_that_leaves():
    async def check(server):
        async with PlainNode(server.address, BUNDLES[0]) as holder:
            await holder.read("roster")
            async with PlainNode(server.address, BUNDLES[0]) as other:
                status, sentence = await other.status()
                assert status == "ALREADY_EXISTS"
                assert "slot 0 is held by a live node at 127.0.0.1:4000" in sentence
            assert server.team.live == (0,)
        assert await server.team.wait_until(lambda: server.team.live == (), timeout_s=10)
        async with PlainNode(server.address, BUNDLES[0]) as successor:
            await successor.read("welcome")

    serve(check)


@pytest.mark.parametrize(
    ("fields", "expected_status", "part"),
    [
        ({"bundle_digest": "0" * 64}, "FAILED_PRECONDITION", "holds bundle 000000000000"),
        ({"bundle_digest": ""}, "FAILED_PRECONDITION", "holds bundle none"),
        ({"protocol_version": 99}, "FAILED_PRECONDITION", "protocol version 99"),
        ({"slot": 2}, "NOT_FOUND", "there is no slot 2"),
        ({"instance": ""}, "INVALID_ARGUMENT", "needs an instance"),
        ({"peer_address": "nowhere"}, "INVALID_ARGUMENT", "host:port"),
    ],
)
def test_a_wrong_join_is_refused(fields, expected_status, part):
    async def check(server):
        async with PlainNode(server.address, BUNDLES[0], **fields) as node:
            status, sentence = await node.status()
            assert status == expected_status
            assert part in sentence
        assert server.team.live == ()

    serve(check)


def test_a_session_that_breaks_the_protocol_is_ended_and_its_slot_freed():
    async def check(server):
        async with PlainNode(server.address, BUNDLES[0], join=False) as node:
            await node.send(act=pb.Act())
            assert (await node.status())[0] == "INVALID_ARGUMENT"
        for wrong in (
            {"join": pb.Join()},
            {"act": pb.Act(masked=[5])},
            {"act": pb.Act(latent=b"xx" * 50)},
            {"counters": pb.Counters(links=[pb.LinkCounters(peer=0)])},
            {},
        ):
            async with PlainNode(server.address, BUNDLES[0]) as node:
                await node.read("welcome")
                await node.send(**wrong)
                assert (await node.status())[0] == "INVALID_ARGUMENT", wrong
            assert server.team.live == ()

    serve(check)


def test_a_bundle_is_handed_out_whole():
    big = relay_bundles(2, size=6)

    async def check(server):
        async with rpc.channel(server.address, max_message_bytes=rpc.MAX_CONTROL_BYTES) as channel:
            call = pb_grpc.CoordinationStub(channel).FetchBundle(pb.FetchBundleRequest(slot=1))
            chunks = [chunk async for chunk in call]
            fetched = bundle_files.from_tar(b"".join(chunk.data for chunk in chunks), origin="the coordinator")
            assert fetched.digest == BUNDLES[1].digest == chunks[-1].digest
            assert fetched.graph == BUNDLES[1].graph
            missing = pb_grpc.CoordinationStub(channel).FetchBundle(pb.FetchBundleRequest(slot=7))
            assert (await missing.code()).name == "NOT_FOUND"

    serve(check)
    assert big[0].digest != BUNDLES[0].digest


def test_nodes_are_told_to_leave_and_their_calls_end_well():
    async def run():
        async with asyncio.timeout(30):
            server = CoordinationServer(BUNDLES, TeamSettings(run_seed=0, greedy=True))
            await server.__aenter__()
            async with PlainNode(server.address, BUNDLES[0]) as node:
                await node.read("roster")
                closing = asyncio.create_task(server.__aexit__(None, None, None))
                assert (await node.read("shutdown")).reason == "the run is over"
                await node.call.done_writing()
                assert (await node.status())[0] == "OK"
                await closing

    asyncio.run(run())


def test_absent_nodes_are_named_when_the_time_is_over():
    async def check(server):
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
            with pytest.raises(NodeFailed, match=r"no node joined within 0.2 s for slots \[1\]"):
                await server.team.wait_for_all(timeout_s=0.2)

    serve(check)


def test_a_taken_port_is_told():
    async def check(server):
        taken = ListenSettings(listen=server.address)
        with pytest.raises(PortTaken, match="cannot listen on"):
            async with CoordinationServer(BUNDLES, TeamSettings(run_seed=0, greedy=True), reached=taken):
                pass

    serve(check)
