"""One HTTP/2 connection without its socket: `h2` is told everything, but of messages on an established stream only how
many bytes they had, and only before it has to know.  Imported by `link.py`.

A DATA frame without flags on the stream that spoke last, in or out, is read and written here, as long as the windows
that h2 knew of have room.  Before anything else is said to h2 it is told of these frames, as one of zeros in each
direction (`_settle`), so its books, and the window updates that it writes, are those of the frames that passed.
Window updates of the other side wait in the same way, since grpcio sends two with each message.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes, Settings

from agent_node.transport.lean.rate import Rate
from heliograph.errors import MessageError
from heliograph.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADER_BYTES,
    HEADERS,
    LARGEST_FRAME,
    PREFACE,
    PUSH_PROMISE,
    SETTINGS,
    WINDOW_UPDATE,
    FrameHeader,
)
from heliograph.rpc import MAX_METADATA_BYTES, MAX_STREAMS

ALLOWED_AT_ONCE, ALLOWED_PER_S = 160, 100
"""Frames of a connection that bring no whole message: so many at once, in about 10 ms, and so many more each second."""

COUNT_AS = {HEADERS: 7, SETTINGS: 2}
"""What takes as long as so many other frames."""

EARNED_BY_MESSAGE = 4
"""grpcio may send two window updates with each message, and does so, too, when it is told one."""

NOT_READ = b"no frame"
LONG_FRAME_BYTES = 64
"""A frame that is not of data counts once more for each so many bytes: of settings it may hold thousands."""

Headers: TypeAlias = Sequence[tuple[str, str]]
Taker: TypeAlias = Callable[[bytes], int]

_MESSAGE = struct.Struct(">BHBBIBI")


class Connection:
    """Either end of a connection.  `write(data)` sends; `taker(stream)` is who is told what the DATA frames of a stream
    hold, and returns how many messages that completed; `on_event(event)` is told the rest that h2 says.

    Raises MessageError for what breaks the protocol, or costs more than it brings; GOAWAY has been written then.
    """

    def __init__(
        self,
        *,
        is_client: bool,
        write: Callable[[bytes], None],
        taker: Callable[[int], Taker],
        on_event: Callable[[Event], None],
    ) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=is_client, header_encoding=None))
        limits = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_METADATA_BYTES,
        }
        self._h2.local_settings = Settings(client=is_client, initial_values=limits)
        self._h2.decoder.max_header_list_size = MAX_METADATA_BYTES
        self._write, self._taker, self._on_event = write, taker, on_event
        self._preface_left = 0 if is_client else len(PREFACE)
        self.has_opened = False
        """The other side has begun as the protocol demands."""
        self._readable: set[int] = set()
        self._writable: set[int] = set()  # streams of which one half or the other is open
        self._rest = b""
        self._is_in_headers = False
        self._stream = 0  # the one that is read and written here
        self._take: Taker = lambda _: 0  # its taker
        self._start = NOT_READ  # of a frame that is read here, after its length
        self._usual_start, self._usual_bytes = NOT_READ, -1  # of the last frame that was read here
        self._header, self._usual_size = b"", -1  # of the last message that was written here
        self._could_read = self._could_write = 0  # bytes, when h2 was asked last
        self._may_read = self._may_write = 0  # what is left of them; h2 has not been told of the difference
        self._earned = 0
        self._granted: dict[int, int] = {}  # window updates that it has not been told of
        self._outgoing: dict[int, bytearray] = {}  # what windows have no room for, by stream
        self._allowed = Rate(at_once=ALLOWED_AT_ONCE, per_s=ALLOWED_PER_S)

    def open(self) -> None:
        """Say what each side says first."""
        self._h2.initiate_connection()
        self._flush()

    def receive(self, data: bytes) -> None:
        """Take the next bytes, in chunks of any size."""
        at, end = 0, len(data)
        if end == self._usual_bytes and end <= self._may_read and data.startswith(self._usual_start) and not self._rest:
            self._take_frame(data[HEADER_BYTES:])
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
            end = len(data)
        if self._preface_left:
            at = self._receive_preface(data)
        begin = at
        while end - at >= HEADER_BYTES:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            after = at + HEADER_BYTES + length
            if after > end:
                if length > LARGEST_FRAME:
                    self.refuse(f"a frame of {length} bytes", ErrorCodes.FRAME_SIZE_ERROR)
                break
            if (
                data[at + 3 : at + HEADER_BYTES] == self._start  # of DATA without flags
                and length <= self._may_read
            ):
                self._usual_bytes, self._usual_start = after - at, data[at : at + HEADER_BYTES]
                self._take_frame(data[at + HEADER_BYTES : after])
            else:
                self._receive_frame(data[at:after])
            at = after
        if at < end:
            self._rest = data[at:]
            if at == begin:
                self._spend(1)  # by the byte it would cost more to look than to send

    def send_at_once(self, stream: int, message: bytes) -> bool:
        """Write one gRPC message without asking h2; False if that must be asked, by `send`."""
        size = len(message) + 5
        if stream != self._stream or size > self._may_write or self._outgoing:
            return False
        if size != self._usual_size:
            self._usual_size, self._header = size, _MESSAGE.pack(0, size, DATA, 0, stream, 0, len(message))
        self._may_write -= size
        self._write(self._header + message)
        return True

    def send(self, stream: int, message: bytes) -> None:
        """Write one gRPC message; what the other side's windows have no room for is kept until they have."""
        self._settle()
        self._outgoing.setdefault(stream, bytearray()).extend(b"\0" + len(message).to_bytes(4, "big") + message)
        self._pump()
        self._prefer(stream)

    def kept_bytes(self, stream: int) -> int:
        """What its windows had no room for so far."""
        return len(self._outgoing.get(stream, b""))

    def begin(self, headers: Headers) -> int:
        """Open a stream; its number."""
        self._settle()
        stream = self._h2.get_next_available_stream_id()
        self._answer(stream, headers)
        return stream

    def answer(self, stream: int, headers: Headers) -> None:
        """Send the headers that come before messages."""
        self._settle()
        self._answer(stream, headers)

    def finish(self, stream: int, trailers: Headers = ()) -> None:
        """Send the headers that come after all messages, or end this half without any; what was kept is lost."""
        self._settle()
        if self._outgoing.pop(stream, None) is not None:
            self.reset(stream, ErrorCodes.CANCEL)
        elif trailers:
            self._h2.send_headers(stream, trailers, end_stream=True)
        else:
            self._h2.end_stream(stream)
        self._writable.discard(stream)
        self._flush()
        self._prefer(stream)

    def reset(self, stream: int, code: ErrorCodes) -> None:
        """End both halves of a stream; one that is closed stays so."""
        self._settle()
        with contextlib.suppress(StreamClosedError):
            self._h2.reset_stream(stream, code)
            self._flush()
        self._forget(stream)

    def ping(self) -> None:
        """Ask whether the other side is there."""
        self._settle()
        self._h2.ping(bytes(8))
        self._flush()
        self._prefer(self._stream)

    def close(self) -> None:
        """Say that this side is done."""
        self._settle()
        with contextlib.suppress(H2Error):
            self._h2.close_connection()
            self._flush()

    def refuse(self, reason: str, code: ErrorCodes) -> NoReturn:
        """End the connection by GOAWAY, which says why."""
        self._h2.clear_outbound_data_buffer()
        with contextlib.suppress(H2Error):
            self._h2.close_connection(error_code=code, additional_data=reason.encode())
        self._flush()
        error = MessageError(reason)
        if code == ErrorCodes.ENHANCE_YOUR_CALM:
            error.grpc_status = "RESOURCE_EXHAUSTED"
        raise error

    def _take_frame(self, data: bytes) -> None:
        self._may_read -= len(data)
        if self._take(data):
            self._earned += EARNED_BY_MESSAGE
        else:
            self._spend(1)

    def _receive_preface(self, data: bytes) -> int:
        taken = data[: self._preface_left]
        self._preface_left -= len(taken)
        self._feed(taken)
        return len(taken)

    def _receive_frame(self, frame: bytes) -> None:
        header = FrameHeader.at(frame, 0)
        # Data is cheap by the byte, and a long message has much of it.
        length = 0 if header.type == DATA else len(frame)
        self._spend(COUNT_AS.get(header.type, 1) + length // LONG_FRAME_BYTES)
        if not self.has_opened:
            if header.type != SETTINGS:
                self.refuse("its first frame is not of settings", ErrorCodes.PROTOCOL_ERROR)
            self.has_opened = True
        elif not self._is_in_headers and header.violation is None and self._is_deferred(header, frame):
            return
        self._settle()
        if header.type in (HEADERS, PUSH_PROMISE, CONTINUATION):
            self._is_in_headers = not header.flags & END_HEADERS
        self._feed(frame)
        self._prefer(header.stream if header.type == DATA else self._stream)

    def _is_deferred(self, header: FrameHeader, frame: bytes) -> bool:
        """Whether a frame can wait until h2 has to know of it, or is none of its business."""
        if header.type == GOAWAY:
            # Streams that are open go on after it if it is no error, which h2 would not let them; and nobody here
            # begins another one on a connection.
            return frame[HEADER_BYTES + 4 : HEADER_BYTES + 8] == bytes(4)
        if header.type != WINDOW_UPDATE or header.stream not in (0, self._stream) or self._outgoing:
            return False
        increment = int.from_bytes(frame[HEADER_BYTES:], "big") & 0x7FFF_FFFF
        if not increment or increment + self._granted.get(header.stream, 0) >= 2**31:
            return False
        self._granted[header.stream] = self._granted.get(header.stream, 0) + increment
        return True

    def _feed(self, data: bytes) -> None:
        """Tell h2 what has come, and others what it says of that."""
        events = self._events(data)
        self._flush()
        for event in events:
            if isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._flush()
                if self._taker(event.stream_id)(event.data):
                    self._earned += EARNED_BY_MESSAGE
            else:
                if isinstance(event, RequestReceived | ResponseReceived):
                    self._readable.add(event.stream_id)
                elif isinstance(event, StreamEnded):
                    self._readable.discard(event.stream_id)
                elif isinstance(event, StreamReset):
                    self._forget(event.stream_id)
                elif isinstance(event, WindowUpdated | RemoteSettingsChanged) and self._outgoing:
                    self._pump()
                self._on_event(event)

    def _events(self, data: bytes) -> list[Event]:
        try:
            return self._h2.receive_data(data)
        except H2Error as error:
            self._flush()
            raise MessageError(f"it breaks HTTP/2: {str(error) or type(error).__name__}") from None

    def _settle(self) -> None:
        """Tell h2 what it has not been told of."""
        read, written = self._could_read - self._may_read, self._could_write - self._may_write
        self._could_read = self._could_write = self._may_read = self._may_write = 0
        if written:
            self._h2.send_data(self._stream, bytes(written))
            self._h2.clear_outbound_data_buffer()  # it has been written
        if self._granted:
            granted, self._granted = self._granted, {}
            for stream, increment in granted.items():
                self._feed(FrameHeader(4, WINDOW_UPDATE, 0, stream).serialise() + increment.to_bytes(4, "big"))
        if read:
            self._events(FrameHeader(read, DATA, 0, self._stream).serialise() + bytes(read))
            self._h2.acknowledge_received_data(read, self._stream)
            self._flush()

    def _prefer(self, stream: int) -> None:
        """Read and write this stream here from now on, as far as it is open."""
        is_read, is_written = stream in self._readable and not self._is_in_headers, stream in self._writable
        self._stream, self._take = stream, self._taker(stream)
        self._usual_bytes = self._usual_size = -1
        self._start = b"\0\0" + stream.to_bytes(4, "big") if is_read else NOT_READ
        self._could_read = min(LARGEST_FRAME, self._h2.remote_flow_control_window(stream)) if is_read else 0
        self._could_write = min(LARGEST_FRAME, self._h2.local_flow_control_window(stream)) if is_written else 0
        self._may_read, self._may_write = self._could_read, self._could_write

    def _answer(self, stream: int, headers: Headers) -> None:
        self._h2.send_headers(stream, headers)
        self._writable.add(stream)
        self._flush()
        self._prefer(stream)

    def _forget(self, stream: int) -> None:
        """It is over."""
        self._outgoing.pop(stream, None)
        self._readable.discard(stream)
        self._writable.discard(stream)

    def _pump(self) -> None:
        """Write what was kept, as far as there is room now."""
        for stream, kept in list(self._outgoing.items()):
            while kept:
                size = min(len(kept), self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                if size <= 0:
                    break
                self._h2.send_data(stream, bytes(kept[:size]))
                del kept[:size]
            if not kept:
                del self._outgoing[stream]
        self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._write(data)

    def _spend(self, frames: int) -> None:
        self._allowed.earn(self._earned)
        self._earned = 0
        if self._allowed.spend(frames) > 0:
            self.refuse("far more frames than messages", ErrorCodes.ENHANCE_YOUR_CALM)
