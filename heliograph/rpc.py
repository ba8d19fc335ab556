"""One factory each for gRPC channels and servers: their options, and why each is set.

The only module that spells channel options.  Servers bind port 0 on request and tell the port they got.
"""

from __future__ import annotations

import ipaddress
import logging

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from heliograph.certificates.identity import ANYBODY, Identity
from heliograph.errors import NetworkError, PortTaken, SettingsError
from heliograph.listening import parse_address
from heliograph.refusals import Refusals, RequestGuard
from heliograph.tls import Tls

PROTOCOL_VERSION = 2
"""Version of the wire protocol in `proto/`; peers of different versions refuse one another."""

MAX_CONTROL_BYTES = 4 * 2**20
"""Largest message of the coordination service: a bundle chunk or an observation."""

MAX_PEER_BYTES = 4096
"""Largest peer message: a latent of 4,096 categoricals would not fit, and none is ever that large."""

BUNDLE_CHUNK_BYTES = 256 * 2**10

HANDSHAKE_DEADLINE_MS = 5000
"""A connection that is not ready for calls by then, its TLS and its HTTP/2 settings done, is closed."""

MAX_CONNECTIONS, MAX_STREAMS, MAX_CALLS = 512, 16, 1024
"""At one server; calls on one connection; calls on all.  A team has a connection and a call per pair of processes."""

KEEPALIVE_MS = 3000
"""A connection on which nothing came for so long is asked whether it lives, and has as long to answer."""

NOTICED_WITHIN_S = 2 * KEEPALIVE_MS / 1e3
"""By then a connection whose other end was stopped or unplugged is known to be broken, even if nobody writes."""

MAX_METADATA_BYTES = 8192
"""The largest metadata of ours is a hello of 1,024 bytes."""

_UNIX = ("unix:", "unix-abstract:")

_log = logging.getLogger(__name__)

_SHARED_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Bandwidth probing sends a ping after every few messages; our messages are far below any window.
    ("grpc.http2.bdp_probe", 0),
    # A lost stream is handled by our own reconnect, which must know of it; silent retries would hide it.
    ("grpc.enable_retries", 0),
    # An agent talks to addresses from its roster; a proxy variable of the shell must not reroute it.
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
    # The one that ends the connection when a ping stays unanswered; its default is a minute.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

_SERVER_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Without this two processes can bind one port and share its connections at random.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    # Who pings faster than that twice is cut off.
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    # Who connects and then calls nothing, also not anything any more, makes room.
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
)

_CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # A restarted peer is dialled again within a step or two, not after gRPC's default of up to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # What one attempt may take, whatever its name says; a refused one is followed by the next as above.  TCP, TLS and
    # HTTP/2 are three round trips, of which a satellite or a busy machine makes more than a second.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # A peer that moved is looked up by its name again as often as it is dialled, not every 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Every channel is one connection of one pair; sharing subchannels would join unrelated streams.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel(
    address: str, *, max_message_bytes: int, tls: Tls | None = None, peer: Identity | None = None
) -> grpc.aio.Channel:
    """Open a lazily connecting channel to `host:port`; `tls` None means plaintext.

    With TLS the connection fails unless the other side's certificate is of `peer`, wherever that may listen today; of
    any process of the same authority if that is None.  Raises SettingsError for what is no address.
    """
    _require_address(address)
    options = [*_SHARED_OPTIONS, *_CHANNEL_OPTIONS, *_size_limits(max_message_bytes)]
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    options.append(("grpc.ssl_target_name_override", ANYBODY if peer is None else peer.host))
    return grpc.aio.secure_channel(address, tls.channel_credentials(), options=options)


def server(*, max_message_bytes: int, refusals: Refusals | None = None) -> grpc.aio.Server:
    """Make a server; add services, then `bind` it, then start it.  Malformed requests are counted in `refusals`."""
    return grpc.aio.server(
        interceptors=[RequestGuard(refusals or Refusals())],
        options=[
            *_SHARED_OPTIONS,
            *_SERVER_OPTIONS,
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_DEADLINE_MS),
            ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
            *_size_limits(max_message_bytes),
        ],
        maximum_concurrent_rpcs=MAX_CALLS,
    )


def bind(aio_server: grpc.aio.Server, address: str, *, tls: Tls | None = None, insecure: bool = False) -> int:
    """Bind `host:port` (port 0: any free one) and return the port.

    Raises PortTaken if it cannot be had, SettingsError for what is no address, and for plaintext that other machines
    could reach, unless `insecure` says that this is meant.
    """
    _require_address(address)
    require_private(address, tls=tls, insecure=insecure)
    try:
        if tls is None:
            port = aio_server.add_insecure_port(address)
        else:
            port = aio_server.add_secure_port(address, tls.server_credentials())
    except RuntimeError:
        port = 0
    if port == 0:
        raise PortTaken(f"cannot listen on {address}", remedy="The port is taken or the host is not ours; use port 0")
    return port


def require_private(address: str, *, tls: Tls | None, insecure: bool) -> None:
    """Raises SettingsError for plaintext that other machines could reach; warns of it if `insecure`."""
    if tls is not None or is_local(address):
        return
    if not insecure:
        raise SettingsError(
            f"plaintext on {address} could be reached by other machines",
            remedy="Give certificates with --tls, or say --insecure",
        )
    _log.warning("plaintext address=%s: whoever reaches it can read along, and speak for any slot", address)


def _require_address(address: str) -> None:
    # gRPC itself takes a port modulo 65536.
    if not address.startswith(_UNIX):
        parse_address(address)


def is_local(address: str) -> bool:
    """Whether only this machine can reach a server at that address, host:port or unix:path."""
    host, _, _ = address.rpartition(":")
    if host in ("localhost", "unix"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _size_limits(max_message_bytes: int) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
    )


class Health:
    """The standard health service (grpc.health.v1) with states that mean something.

    NOT_SERVING from start to `serving()`, SERVING while work can be done, NOT_SERVING again once draining.
    """

    def __init__(self, aio_server: grpc.aio.Server) -> None:
        self._servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, aio_server)

    async def starting(self) -> None:
        await self._servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    async def serving(self) -> None:
        await self._servicer.set("", health_pb2.HealthCheckResponse.SERVING)

    async def draining(self) -> None:
        # For good: the servicer ignores later changes, which is what a process on its way out wants.
        await self._servicer.enter_graceful_shutdown()


async def health_status(channel: grpc.aio.Channel, *, timeout_s: float) -> str:
    """What the health service at the other end says: SERVING, NOT_SERVING, ...  Raises NetworkError if it does not."""
    request = health_pb2.HealthCheckRequest()
    try:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # made when it is constructed
        answer = await check(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        raise NetworkError(f"{error.code().name} {error.details()}") from None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
