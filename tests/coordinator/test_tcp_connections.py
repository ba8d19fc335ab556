"""What the kernel tells of the established connections of a namespace."""

from __future__ import annotations

import socket
import sys

import pytest

from coordinator.links.tcp_info import connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")


def test_both_ends_of_every_connection_are_there_with_what_they_sent_and_got() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as calls:
        calls.connect(server.getsockname())
        with server.accept()[0] as called:
            calls.sendall(b"flash")
            assert called.recv(5, socket.MSG_WAITALL) == b"flash"
            ends = [f"127.0.0.1:{each.getsockname()[1]}" for each in (calls, called)]
            found = {(each.local, each.remote): each.info for each in connections()}
    ours, theirs = found[ends[0], ends[1]], found[ends[1], ends[0]]
    assert (ours.bytes_sent, theirs.bytes_received) == (5, 5)
    assert (theirs.bytes_sent, ours.bytes_received) == (0, 0)
