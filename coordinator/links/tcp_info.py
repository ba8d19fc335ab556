"""What the kernel counts of a TCP socket: TCP_INFO, of a socket of our own or of every one of a network namespace.

The layout is that of Linux's `struct tcp_info`, which only ever grows at its end; what an older kernel does not
count is None.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

TIMESTAMPS_OPTION = 1
"""TCPI_OPT_TIMESTAMPS: every segment carries 12 more bytes of header."""

_OPTIONS_AT, _BYTES_ACKED_AT, _BYTES_RECEIVED_AT, _SEGS_OUT_AT, _SEGS_IN_AT = 5, 120, 128, 136, 140
_BYTES_SENT_AT, _BYTES_RETRANS_AT = 200, 208
_INFO_BYTES = 512

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, _DONE, _ERROR = 4, 20, 0x301, 3, 2
_INET_DIAG_INFO, _ESTABLISHED = 2, 1
_NETLINK_HEADER, _DIAG_MESSAGE_BYTES = struct.Struct("=IHHII"), 72


@dataclass(frozen=True, kw_only=True)
class TcpInfo:
    """Totals of one socket.  None: this kernel does not count it."""

    timestamps: bool
    bytes_received: int | None
    """Payload, each byte once."""
    bytes_sent: int | None
    """Payload, each byte once."""
    segments_out: int | None
    """Pure acknowledgements and those sent again among them."""
    segments_in: int | None


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An established socket of a namespace; addresses are host:port."""

    local: str
    remote: str
    info: TcpInfo


def parse(data: bytes) -> TcpInfo:
    """Read as much of a `struct tcp_info` as there is."""

    def number(at: int, layout: str) -> int | None:
        return struct.unpack_from(layout, data, at)[0] if len(data) >= at + struct.calcsize(layout) else None

    sent, again = number(_BYTES_SENT_AT, "=Q"), number(_BYTES_RETRANS_AT, "=Q")
    return TcpInfo(
        timestamps=bool((number(_OPTIONS_AT, "=B") or 0) & TIMESTAMPS_OPTION),
        bytes_received=number(_BYTES_RECEIVED_AT, "=Q"),
        bytes_sent=None if sent is None or again is None else sent - again,
        segments_out=number(_SEGS_OUT_AT, "=I"),
        segments_in=number(_SEGS_IN_AT, "=I"),
    )


def of_socket(descriptor: int) -> TcpInfo | None:
    """Of an open socket; None where the system has no TCP_INFO of this kind, or the socket is gone."""
    if sys.platform != "linux":
        return None
    # A duplicate, because closing a Python socket closes its descriptor, and this one is somebody else's.
    try:
        with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as ours:
            return parse(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES))
    except OSError:
        return None


def connections() -> list[Connection]:
    """All established TCP sockets of the calling thread's network namespace.  Raises OSError if the kernel refuses."""
    return [found for family in (socket.AF_INET, socket.AF_INET6) for found in _dump(family)]


def _dump(family: int) -> Iterator[Connection]:
    request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 1 << _ESTABLISHED)
    header = _NETLINK_HEADER.pack(_NETLINK_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
        netlink.settimeout(5.0)
        netlink.sendto(header + request, (0, 0))
        while True:
            data = netlink.recv(2**18)
            while data:
                length, kind, *_ = _NETLINK_HEADER.unpack_from(data)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", data, _NETLINK_HEADER.size)[0], "socket diagnosis refused")
                yield _connection(data[_NETLINK_HEADER.size : length])
                data = data[length + 3 & ~3 :]


def _connection(message: bytes) -> Connection:
    ports = struct.unpack_from("!HH", message, 4)
    hosts = [_host(message[0], message[at : at + 16]) for at in (8, 24)]
    local, remote = (f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    info, at = b"", _DIAG_MESSAGE_BYTES
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _INET_DIAG_INFO:
            info = message[at + 4 : at + length]
        at += max(4, length + 3 & ~3)
    return Connection(local=local, remote=remote, info=parse(info))


def _host(family: int, data: bytes) -> str:
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(data[:4]))
    address = ipaddress.IPv6Address(data)
    return str(address.ipv4_mapped or address)
