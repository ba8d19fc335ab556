"""Metrics under clients that connect and say nothing: scraped all the same, and no thread for each of them."""

from __future__ import annotations

import socket
import threading
import urllib.request
from contextlib import ExitStack

import pytest

from heliograph import bounded_http
from heliograph.errors import PortTaken
from heliograph.listening import parse_address
from heliograph.metrics import serving_metrics

pytest.importorskip("prometheus_client")


def scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"GET /metrics HTTP/1.1\r\nHost:"])
def test_silent_clients_hold_a_bounded_number_of_threads_and_nobody_else_up(said: bytes) -> None:
    before = set(threading.enumerate())
    with serving_metrics("127.0.0.1:0") as (_, address), ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(socket.create_connection(parse_address(address)))
            client.sendall(said)
        assert "process_cpu_seconds_total" in scraped(address)
        # The server has taken all of them by now, since it takes them in their order; its own thread is the first.
        _, *threads = (thread for thread in threading.enumerate() if thread not in before)
        for thread in threads[: -bounded_http.MAX_CONNECTIONS]:
            thread.join(30)
            assert not thread.is_alive()


def test_the_oldest_silent_client_makes_room() -> None:
    with serving_metrics("127.0.0.1:0") as (_, address), ExitStack() as stack:
        oldest = stack.enter_context(socket.create_connection(parse_address(address)))
        for _ in range(bounded_http.MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(parse_address(address)))
        oldest.settimeout(30)
        assert oldest.recv(1) == b""


def test_a_scraper_is_not_cut_for_another_client() -> None:
    with serving_metrics("127.0.0.1:0") as (_, address), ExitStack() as stack:
        scraper = stack.enter_context(socket.create_connection(parse_address(address), 30))
        for _ in range(2 * bounded_http.MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(parse_address(address), 30, source_address=("127.0.0.9", 0)))
        scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert scraper.recv(12) == b"HTTP/1.0 200"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_metrics_are_served_at_the_address_that_is_told(listen: str) -> None:
    with serving_metrics(listen) as (_, address):
        assert "process_cpu_seconds_total" in scraped(address)
        with pytest.raises(PortTaken), serving_metrics(address):
            pass
