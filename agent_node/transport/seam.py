"""What a node asks of the transport under its peer streams.  Imported by the node's peer code and by transports.

A peer stream is one gRPC call of `Peer.Exchange`: the dialler's hello in the metadata of the call, the listener's in
that of the answer, messages as bytes in both directions, a status at the end.  All transports are the same on the wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from heliograph.certificates.identity import Identity
from heliograph.errors import NetworkError, PeerRefused
from heliograph.refusals import Refusals
from heliograph.tls import Tls

QUEUED_MESSAGES = 8
"""A stream that has so many messages unwritten does not keep up; a message that would wait longer is late anyway."""

Take: TypeAlias = Callable[[bytes], None]


class CallEnded(NetworkError):
    """A call is over and not as it should be: `grpc_status` is the name of a status, `message` its details."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.grpc_status = status


def refused(status: str, sentence: str) -> NetworkError:
    """What it means that a call ends in place of the peer's hello.

    PeerRefused, but CallEnded if the peer cannot judge yet, or was not reached, which gRPC tells alike.
    """
    return CallEnded(status, sentence) if status == "UNAVAILABLE" else PeerRefused(f"{status}: {sentence}")


class Call(Protocol):
    """One stream with one peer, dialled or accepted."""

    def send(self, data: bytes) -> bool:
        """Hand over a message and return at once; False if the stream is broken or does not keep up."""
        ...

    def attend(self) -> None:
        """What has come, or comes next, is wanted now."""
        ...

    def rest(self) -> None:
        """What comes next is not wanted until something is sent, or `attend` is called; a transport may leave it for
        that long, and for some hundredths of a second at most."""
        ...

    async def flush(self, *, timeout_s: float) -> bool:
        """Wait until all is written, `timeout_s` at most, without disturbing the stream; whether it was."""
        ...

    def abandon(self) -> None:
        """Nothing more is sent; what the transport has not taken is forgotten."""
        ...

    async def receive(self, take: Take) -> None:
        """Hand every message to `take` until the other side has said all.  Raises CallEnded if that never happens."""
        ...


class DialledCall(Call, Protocol):
    """A stream that this node dialled."""

    async def answer(self) -> bytes:
        """The hello of the peer.

        Raises PeerRefused if it refuses, CallEnded if it is not reached, or answers UNAVAILABLE: it does not yet know.
        """
        ...

    async def half_close(self) -> None:
        """Say that nothing more comes.  Raises CallEnded if the stream is broken."""
        ...

    def cancel(self) -> None:
        """The stream is over for this side, whatever its state."""
        ...


class AcceptedCall(Call, Protocol):
    """A stream that a peer dialled.  Its handler raises CallEnded to end it with that status."""

    hello: bytes
    """What the dialler says of itself; empty if it does not."""
    peer: str
    """Its address, for logs."""
    identity: Identity | None
    """Whom its certificate speaks for; None without TLS."""

    async def accept(self, hello: bytes) -> None:
        """Answer with this node's own hello."""
        ...


Handler: TypeAlias = Callable[[AcceptedCall], Awaitable[None]]


class Health(Protocol):
    """The states of the standard health service: NOT_SERVING, SERVING, and NOT_SERVING for good."""

    async def starting(self) -> None: ...

    async def serving(self) -> None: ...

    async def draining(self) -> None: ...


class PeerServer(Protocol):
    """Serves `Peer.Exchange` and the standard health service on one port."""

    @property
    def health(self) -> Health: ...

    def serve(self, handler: Handler) -> None:
        """Hand accepted streams to `handler`; call before the server starts."""
        ...

    def bind(self, listen: str, *, insecure: bool) -> int:
        """Listen on host:port, port 0 for any free one; the port.  Raises SettingsError or PortTaken."""
        ...

    async def start(self) -> None: ...

    async def stop(self, *, grace_s: float) -> None:
        """Take nobody any more; end what is open after `grace_s`."""
        ...


class Line(Protocol):
    """The way to one peer, which is dialled as often as it takes."""

    async def call(self, hello: bytes) -> DialledCall:
        """Dial, with the certificate of now.  Raises CallEnded if the peer is not reached, PeerRefused over TLS."""
        ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """Makes both ends of peer streams."""

    def server(self, *, tls: Tls | None, refusals: Refusals) -> PeerServer: ...

    def line(self, address: str, *, tls: Tls | None, peer: Identity) -> Line:
        """To host:port; with `tls` no other process than `peer` is talked to.  Raises SettingsError for no address."""
        ...
