"""A lean connection without its socket: h2 is told the same as if it had read and written everything itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import hpack
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, WindowUpdated
from h2.settings import SettingCodes, Settings
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_node.transport.lean.connection import ALLOWED_AT_ONCE, Connection, Taker
from heliograph.errors import MessageError
from heliograph.http2 import LARGEST_FRAME, PREFACE, FrameHeader
from heliograph.rpc import MAX_METADATA_BYTES, MAX_STREAMS

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/heliograph.v1.Peer/Exchange"),
    (":authority", "peer"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
ANSWER = [(":status", "200"), ("content-type", "application/grpc")]


class Server:
    """A lean connection, and what it has told and written."""

    def __init__(self) -> None:
        self.data: dict[int, bytes] = {}
        self.events: list[Event] = []
        self.written = b""
        self.completes = 1
        """Messages that a frame of data completes."""
        self.connection = Connection(is_client=False, write=self._write, taker=self._taker, on_event=self.events.append)
        self.connection.open()

    def _write(self, data: bytes) -> None:
        self.written += data

    def _taker(self, stream: int) -> Taker:
        return partial(self._take, stream)

    def _take(self, stream: int, data: bytes) -> int:
        self.data[stream] = self.data.get(stream, b"") + data
        return self.completes

    def receive(self, data: bytes) -> None:
        self.connection.receive(data)

    def send(self, stream: int, message: bytes) -> None:
        if not self.connection.send_at_once(stream, message):
            self.connection.send(stream, message)

    def take_written(self) -> bytes:
        written, self.written = self.written, b""
        return written

    def told(self) -> list[tuple[object, ...]]:
        return [told(event) for event in self.events if not isinstance(event, WindowUpdated)]


class Oracle:
    """h2 alone, told everything."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        limits = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_METADATA_BYTES,
        }
        self.h2.local_settings = Settings(client=False, initial_values=limits)
        self.h2.decoder.max_header_list_size = MAX_METADATA_BYTES
        self.h2.initiate_connection()
        self.data: dict[int, bytes] = {}
        self.events: list[Event] = []

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, DataReceived):
                self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                self.events.append(event)

    def told(self) -> list[tuple[object, ...]]:
        return [told(event) for event in self.events if not isinstance(event, WindowUpdated)]


def told(event: Event) -> tuple[object, ...]:
    """What an event says that matters to a call."""
    code = getattr(event, "error_code", None)
    return type(event).__name__, getattr(event, "stream_id", None), None if code is None else int(code)


def opening(client: H2Connection) -> bytes:
    client.initiate_connection()
    client.send_headers(1, REQUEST)
    return client.data_to_send()


def opened() -> Server:
    """A connection with stream 1 open both ways."""
    server = Server()
    server.connection.receive(opening(H2Connection(H2Configuration(client_side=True))))
    server.connection.answer(1, ANSWER)
    server.written = b""
    return server


def frame(made: Frame) -> bytes:
    return made.serialize()


def window_update(stream: int, increment: int) -> bytes:
    made = WindowUpdateFrame(stream)
    made.window_increment = increment
    return frame(made)


def data(stream: int, payload: bytes, *, padding: int | None = None, ends: bool = False) -> bytes:
    flags = [*(["PADDED"] if padding is not None else []), *(["END_STREAM"] if ends else [])]
    return frame(DataFrame(stream, data=payload, pad_length=padding or 0, flags=flags))


PING = frame(PingFrame(0, opaque_data=bytes(8)))

STREAMS = st.sampled_from([1, 1, 1, 3])
FRAMES = st.one_of(
    st.builds(data, STREAMS, st.binary(max_size=60)),
    st.builds(data, STREAMS, st.binary(min_size=2000, max_size=9000)),
    st.builds(lambda stream, padding: data(stream, b"in padding", padding=padding), STREAMS, st.integers(0, 255)),
    st.builds(window_update, st.sampled_from([0, 1, 3]), st.integers(1, 2**20)),
    st.builds(lambda opaque: frame(PingFrame(0, opaque_data=opaque)), st.binary(min_size=8, max_size=8)),
    st.just(frame(PingFrame(0, opaque_data=bytes(8), flags=["ACK"]))),
    st.just(frame(PriorityFrame(1, depends_on=0, stream_weight=9))),
    st.builds(lambda size: frame(SettingsFrame(0, settings={4: size})), st.integers(2**16, 2**20)),
    st.just(FrameHeader(9, 0x77, 0, 0).serialise() + b"not known"),
    st.just(b"send"),
)
ENDS = st.sampled_from([b"", data(1, b"last", ends=True), frame(RstStreamFrame(1, error_code=8))])


@settings(max_examples=25)
@given(st.lists(FRAMES, max_size=60), ENDS, st.lists(st.integers(100, 4000), min_size=1, max_size=20))
def test_legal_frames_are_to_a_lean_connection_what_they_are_to_h2(
    script: list[bytes], end: bytes, cuts: list[int]
) -> None:
    """The same data and the same events of every stream, however the bytes are cut."""
    client = H2Connection(H2Configuration(client_side=True))
    begin = opening(client)
    client.send_headers(3, REQUEST)
    begin += client.data_to_send()
    server, oracle = Server(), Oracle()
    server.receive(begin)
    oracle.receive(begin)
    for stream in (1, 3):
        server.connection.answer(stream, ANSWER)
        oracle.h2.send_headers(stream, ANSWER)
    sizes = itertools.cycle(cuts)
    for item in [*script, end]:
        if item == b"send":
            server.send(1, bytes(30))
            oracle.h2.send_data(1, bytes(35))
            continue
        oracle.receive(item)
        at = 0
        while at < len(item):
            size = next(sizes)
            server.receive(item[at : at + size])
            at += size
    assert server.data == oracle.data
    assert server.told() == oracle.told()
    assert server.connection.has_opened


FATAL = {
    "data on a stream that nobody opened": data(5, b"x"),
    "a window update of nothing": window_update(0, 1)[:-4] + bytes(4),
    "a window beyond its largest": window_update(0, 2**31 - 1) + PING,
    "a frame too long": FrameHeader(LARGEST_FRAME + 1, 0, 0, 1).serialise(),
    "settings of a wrong length": FrameHeader(5, 4, 0, 0).serialise() + bytes(5),
    "padding longer than its frame": FrameHeader(3, 0, 8, 1).serialise() + b"\x09ab",
    "a push": FrameHeader(4, 5, 4, 1).serialise() + bytes(4),
    "headers that nothing continues": FrameHeader(3, 1, 0, 3).serialise() + b"\x82\x86\x84" + data(1, b"x"),
    "a continuation of nothing": frame(ContinuationFrame(1, data=b"x")),
    "headers that are none": FrameHeader(4, 1, 4, 3).serialise() + b"\xff\xff\xff\xff",
    "headers that unpack to far more": frame(
        HeadersFrame(3, data=hpack.Encoder().encode([("x", "y" * 9000)]), flags=["END_HEADERS"])
    ),
}


@pytest.mark.parametrize("name", FATAL)
def test_what_breaks_the_protocol_ends_the_connection_by_goaway(name: str) -> None:
    server = opened()
    server.receive(data(1, b"before"))
    with pytest.raises(MessageError):
        server.receive(FATAL[name])
    assert FrameHeader.at(server.written[-len(goaway(server.written)) :], 0).type == 7


def goaway(written: bytes) -> bytes:
    """The last frame of what was written."""
    at = 0
    while True:
        header = FrameHeader.at(written, at)
        after = at + 9 + header.length
        if after == len(written):
            return written[at:]
        at = after


FLOODS = {
    "pings": PING,
    "settings": frame(SettingsFrame(0, settings={4: 70_000})),
    "window updates": window_update(1, 1),
    "window updates of the connection": window_update(0, 1),
    "priorities": frame(PriorityFrame(1, depends_on=0, stream_weight=9)),
    "empty data": data(1, b""),
    "padding alone": data(1, b"", padding=200),
    "unknown frames": FrameHeader(900, 0x77, 0, 0).serialise() + bytes(900),
    "resets": frame(RstStreamFrame(1, error_code=8)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_frames_that_bring_no_message_are_taken_only_so_often(name: str) -> None:
    server = opened()
    server.completes = 0
    with pytest.raises(MessageError, match="far more frames than messages") as cut:
        repeat(2 * ALLOWED_AT_ONCE, lambda: server.receive(FLOODS[name]))
    assert cut.value.grpc_status == "RESOURCE_EXHAUSTED"
    assert int.from_bytes(goaway(server.written)[13:17], "big") == 11, "ENHANCE_YOUR_CALM"


def repeat(times: int, act: Callable[[], None]) -> None:
    for _ in range(times):
        act()


def test_headers_without_end_are_cut() -> None:
    server = opened()
    server.receive(FrameHeader(9000, 1, 0, 3).serialise() + bytes(9000))
    with pytest.raises(MessageError):
        repeat(ALLOWED_AT_ONCE, lambda: server.receive(frame(ContinuationFrame(3, data=b""))))


def test_calls_that_are_taken_back_at_once_are_cut() -> None:
    server, client = Server(), H2Connection(H2Configuration(client_side=True))
    server.receive(opening(client))
    streams = itertools.count(3, 2)

    def call() -> None:
        stream = next(streams)
        client.send_headers(stream, REQUEST)
        client.reset_stream(stream)
        server.receive(client.data_to_send())

    with pytest.raises(MessageError, match="far more frames"):
        repeat(60, call)


def test_a_byte_at_a_time_is_taken_only_so_often() -> None:
    server, sent = opened(), iter(data(1, bytes(5000)))
    with pytest.raises(MessageError, match="far more frames"):
        repeat(2 * ALLOWED_AT_ONCE, lambda: server.receive(bytes([next(sent)])))


@pytest.mark.slow
def test_honest_traffic_with_two_window_updates_for_each_message_goes_on_for_ever() -> None:
    """As grpcio sends it, both ways; the windows of both sides hold, and are opened in steps of half a window."""
    server, client = Server(), H2Connection(H2Configuration(client_side=True))
    server.receive(opening(client))
    server.connection.answer(1, ANSWER)
    message, updates, said = bytes(43), 0, 0
    for _ in range(8_000):
        client.send_data(1, message)
        client.increment_flow_control_window(48)
        client.increment_flow_control_window(48, 1)
        server.receive(client.data_to_send())
        server.send(1, message)
        for event in client.receive_data(server.take_written()):
            if isinstance(event, DataReceived):
                said += len(event.data)
            updates += isinstance(event, WindowUpdated)
    assert len(server.data[1]) == 8_000 * 43
    assert said == 8_000 * 48
    assert 2 < updates < 50
    assert not server.connection.kept_bytes(1)


@pytest.mark.parametrize("size", [1000, 2500, 4096])
def test_long_messages_count_as_messages(size: int) -> None:
    server = opened()
    repeat(4 * ALLOWED_AT_ONCE, lambda: server.receive(data(1, b"\0" + size.to_bytes(4, "big") + bytes(size))))
    assert len(server.data[1]) == 4 * ALLOWED_AT_ONCE * (5 + size)


def test_what_a_window_has_no_room_for_waits_in_order() -> None:
    server, client = Server(), H2Connection(H2Configuration(client_side=True))
    client.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: 50})
    server.receive(opening(client))
    server.connection.answer(1, ANSWER)
    client.receive_data(server.take_written())
    got = b""
    for number in range(4):
        server.send(1, bytes([number]) * 40)
    assert server.connection.kept_bytes(1) == 4 * 45 - 50
    for _ in range(10):
        for event in client.receive_data(server.take_written()):
            if isinstance(event, DataReceived):
                got += event.data
                client.increment_flow_control_window(event.flow_controlled_length, 1)
        server.receive(client.data_to_send())
    assert got == b"".join(b"\0\0\0\0\x28" + bytes([number]) * 40 for number in range(4))
    assert not server.connection.kept_bytes(1)


def test_data_after_the_end_of_a_stream_is_nobodys() -> None:
    server = opened()
    server.receive(data(1, b"all", ends=True) + data(1, b"more"))
    assert server.data == {1: b"all"}


def test_leave_is_taken_without_an_end_to_what_is_open() -> None:
    server = opened()
    server.receive(frame(GoAwayFrame(0, last_stream_id=1, error_code=0)) + data(1, b"still"))
    assert server.data == {1: b"still"}


def test_the_first_frame_is_of_settings_after_the_preface() -> None:
    http1 = b"GET / HTTP/1.1\r\n\r\nmore bytes"
    for begin in (PREFACE + data(1, b"x"), PREFACE[:-1] + b"x" + frame(SettingsFrame(0)), http1):
        server = Server()
        with pytest.raises(MessageError):
            server.receive(begin)


@settings(max_examples=100)
@given(st.binary(max_size=200), st.lists(FRAMES.filter(lambda item: item != b"send"), max_size=6), st.integers(0, 4))
def test_random_bytes_raise_nothing_but_a_message_error(garbage: bytes, script: list[bytes], place: int) -> None:
    server = opened()
    try:
        for item in [*script[:place], garbage, *script[place:]]:
            server.receive(item)
            server.send(1, b"x")
    except MessageError:
        assert server.written
