"""Who may ask for the page of a run: its addresses and names of this machine, on every address that it listens on."""

from __future__ import annotations

import http.client
import json
import socket

import pytest
from relay_team import relay_plan

from coordinator.watch.events import PageEvents
from coordinator.watch.gate import Gate
from coordinator.watch.server import WatchServer
from coordinator.watch.watcher import Watcher
from heliograph.listening import parse_address

pytest.importorskip("starlette")

LISTENS = ("127.0.0.1:0", "[::1]:0", "localhost:0", "0.0.0.0:0")


def asked(address: str, *hosts: str) -> tuple[int, dict[str, str], str]:
    """The answer to a request for the page under these names: status, headers, text."""
    host, port = parse_address(address)
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=30)
    try:
        connection.putrequest("GET", "/", skip_host=True)
        for name in hosts:
            connection.putheader("Host", name)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(params=LISTENS)
def address(request):
    plan, gate = relay_plan(2), Gate()
    events = PageEvents(plan, plan.world("open").spec, title="two")
    with WatchServer(Watcher(gate), gate, events, listen=request.param) as server:
        yield server.address


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7180", "localhost:1", "LOCALHOST", "[::1]", "[::1]:7180", "10.1.2.3:80"]
)
def test_an_address_and_a_name_of_this_machine_are_answered(address, host) -> None:
    assert asked(address, host)[0] == 200


def test_the_name_of_this_machine_is_answered(address) -> None:
    assert asked(address, socket.gethostname())[0] == 200


@pytest.mark.parametrize("hosts", [("evil.example",), ("evil.example:7180",), ("localhost.evil.example",), ()])
def test_any_other_name_is_sent_away_with_the_remedy(address, hosts) -> None:
    status, _, text = asked(address, *hosts)
    assert status in (400, 421)  # without any, HTTP itself forbids it
    if hosts:
        assert "by its address" in json.loads(text)["error"]


def test_no_other_page_may_hold_this_one_in_a_frame(address) -> None:
    _, headers, _ = asked(address, "127.0.0.1")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
