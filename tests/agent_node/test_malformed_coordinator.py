"""A coordinator that sends bytes which are no message, or a damaged one: the node ends with one sentence, and waits for
nothing."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import grpc
import grpc.aio
import pytest
from google.protobuf.message import DecodeError
from mangled_bytes import mangled
from scripted_bundle import scripted_bundle

from agent_node.coordinator_world import CoordinatorWorld
from agent_node.node import Node
from heliograph import rpc
from heliograph.errors import HeliographError, WorldError
from heliograph.pb import coordination_pb2 as pb

BUNDLE = scripted_bundle(slot=0, team_size=2)
OTHER = pb.Member(slot=1, peer_address="127.0.0.1:1", instance="other", bundle_digest="b" * 64)
SPEC = BUNDLE.manifest
SAID = {
    "welcome": pb.CoordinatorMessage(
        welcome=pb.Welcome(
            run_id="run", run_seed=3, team_size=2, greedy=True, late_policy="LATE_POLICY_MASK", rejoin_ms=0
        )
    ),
    "roster": pb.CoordinatorMessage(roster=pb.Roster(members=[OTHER])),
    "percept": pb.CoordinatorMessage(
        percept=pb.Percept(
            observation=bytes(4 * SPEC.observation_size),
            action_mask=bytes([1] * SPEC.actions.count),
            hears=[1],
            heard_by=[1],
            first=True,
            lost=[1],
            message_deadline_us=1,
        )
    ),
    "counters_request": pb.CoordinatorMessage(counters_request=pb.CountersRequest()),
    "shutdown": pb.CoordinatorMessage(shutdown=pb.Shutdown(reason="the run is over")),
    "prepare": pb.CoordinatorMessage(prepare=pb.Prepare(digest="c" * 64)),
    "switch": pb.CoordinatorMessage(switch=pb.Switch(digest="c" * 64, roster=pb.Roster(members=[OTHER]))),
}
"""All that a coordinator can say, as it says it."""
WELCOME = SAID["welcome"].SerializeToString()
GARBAGE = b"\xff\xff\xff"

LOOP = asyncio.Runner()
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


def assert_no_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """Of the node; when it leaves, gRPC tells of what the test's own coordinator was about."""
    theirs = [record for record in caplog.records if record.name != "grpc._cython.cygrpc"]
    assert [record.getMessage() for record in theirs if record.exc_info] == []


def is_percept(data: bytes) -> bool:
    try:
        return pb.CoordinatorMessage.FromString(data).WhichOneof("kind") == "percept"
    except DecodeError:
        return False


async def hear(sent: list[bytes], *, ends: bool = False) -> None:
    """Run a node whose coordinator says this, and waits for the act where it says a percept; at last it waits for the
    node to leave, or `ends` the session."""

    async def participate(requests, context):  # type: ignore[no-untyped-def]
        await context.read()
        for data in sent:
            await context.write(data)
            if is_percept(data):
                while (said := await context.read()) is not grpc.aio.EOF:
                    if pb.NodeMessage.FromString(said).WhichOneof("kind") == "act":
                        break
        if not ends:
            await context.read()

    server = rpc.server(max_message_bytes=rpc.MAX_CONTROL_BYTES)
    handlers = {"Participate": grpc.stream_stream_rpc_method_handler(participate)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("heliograph.v1.Coordination", handlers),))
    address = f"127.0.0.1:{rpc.bind(server, '127.0.0.1:0')}"
    await server.start()
    try:
        async with asyncio.timeout(60):
            await Node(BUNDLE).run(CoordinatorWorld(address, join_timeout_s=60, rejoin_s=0))
    finally:
        await server.stop(grace=0)


@pytest.mark.parametrize("sent", [[GARBAGE], [WELCOME, GARBAGE]], ids=["instead of a welcome", "after it"])
def test_bytes_that_are_no_message_end_the_node(sent: list[bytes]) -> None:
    with pytest.raises(WorldError, match="3 bytes that are no message"):
        LOOP.run(hear(sent))


def test_all_kinds_of_messages_are_tried() -> None:
    kinds = pb.CoordinatorMessage.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert [kind.name for kind in kinds] == list(SAID)
    assert all(message.WhichOneof("kind") == kind for kind, message in SAID.items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAID)
def test_a_damaged_message_ends_the_node_in_one_sentence_or_is_taken(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = [] if kind == "welcome" else [WELCOME]

    async def run() -> Counter[str]:
        endings: Counter[str] = Counter()
        for seed in range(30):
            data = mangled(SAID[kind].SerializeToString(), seed)
            try:
                await hear([*before, data, SAID["shutdown"].SerializeToString()], ends=True)
                endings["taken"] += 1
            except HeliographError as error:
                endings["a sentence" if "\n" not in str(error) else str(error)] += 1
        return endings

    endings = LOOP.run(run())
    assert set(endings) <= {"a sentence", "taken"}
    assert endings["a sentence"] >= 15
    assert_no_tracebacks(caplog)


def changed(kind: str, **fields: object) -> bytes:
    """A message of the coordinator with other values."""
    message = pb.CoordinatorMessage()
    message.CopyFrom(SAID[kind])
    for name, value in fields.items():
        setattr(getattr(message, kind), name, value)
    return message.SerializeToString()


NOBODY = pb.Roster(members=[pb.Member(slot=1, peer_address="nowhere", instance="x")])
WHOLE_AND_WRONG = {
    "an empty message": ([WELCOME, b""], "message of unknown kind None"),
    "a roster instead of a welcome": ([SAID["roster"].SerializeToString()], "did not welcome slot 0"),
    "another welcome": ([WELCOME, WELCOME], "message of unknown kind 'welcome'"),
    "no run": ([changed("welcome", run_id="")], "names no run"),
    "no late policy": ([changed("welcome", late_policy=0)], "late policy 0"),
    "another team": ([changed("welcome", team_size=9)], "for a team of 2, this team has 9"),
    "an address that is none": ([WELCOME, pb.CoordinatorMessage(roster=NOBODY).SerializeToString()], "'nowhere'"),
    "half a number": ([WELCOME, changed("percept", observation=b"abc")], "3 bytes, not a multiple of 4"),
    "too little": ([WELCOME, changed("percept", observation=bytes(4))], "observation"),
    "a mask of another size": ([WELCOME, changed("percept", action_mask=bytes(99))], "mask"),
    "a switch to what was never prepared": ([WELCOME, SAID["switch"].SerializeToString()], "c" * 12),
}


@pytest.mark.parametrize("case", WHOLE_AND_WRONG)
def test_a_message_that_means_nothing_ends_the_node_in_one_sentence(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent, sentence = WHOLE_AND_WRONG[case]
    with pytest.raises(HeliographError, match=re.escape(sentence)):
        LOOP.run(hear(sent))
    assert_no_tracebacks(caplog)
