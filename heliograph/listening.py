"""Addresses that pages and metrics are served at: host:port, read and bound; who reaches them.  For every role."""

from __future__ import annotations

import ipaddress
import re
import socket

from heliograph.errors import PortTaken, SettingsError

LAST_PORT = 65535
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def parse_address(address: str) -> tuple[str, int]:
    """Host and port.  Raises SettingsError if it is not host:port."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if colon and host and re.fullmatch("[0-9]{1,9}", port) and int(port) > LAST_PORT:
        remedy = f"Ports end at {LAST_PORT}; 0 is any free one"
        raise SettingsError(f"address {address!r} has port {port}", remedy=remedy)
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port):
        raise SettingsError(f"address {address!r} is not host:port", remedy="Use port 0 for any free one")
    return host, int(port)


def as_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(address: str) -> tuple[socket.socket, str]:
    """A listening socket (port 0: any free one), and its address.  Raises SettingsError, or PortTaken."""
    host, port = parse_address(address)
    try:
        family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if host == "::":  # everywhere, as gRPC takes it
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(target)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError:
        raise PortTaken(
            f"cannot listen on {address}", remedy="The port is taken or the host is not ours; use port 0"
        ) from None
    return listener, as_address(host, listener.getsockname()[1])


def network_of(host: str) -> str:
    """What counts as one client: an address, or for IPv6 its /64, of which a machine may have as many as it likes."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
