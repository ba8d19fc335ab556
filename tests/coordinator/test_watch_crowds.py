"""The page under connections that say nothing, ask for nothing or read nothing: it stays open for those who look."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

import pytest
from relay_team import relay_plan

from coordinator.running.in_process import LocalTeam
from coordinator.watch.events import PageEvents
from coordinator.watch.gate import Gate
from coordinator.watch.server import WatchServer
from coordinator.watch.watcher import Watcher
from heliograph.listening import parse_address

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
resource = pytest.importorskip("resource")
from coordinator.watch import application as application_module  # noqa: E402
from coordinator.watch import visitors  # noqa: E402

DEADLINE_S = 60.0
CROWD = 200
ASKS_FOR_EVENTS = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A run in this process, whose page is served."""

    address: tuple[str, int]
    watcher: Watcher

    def play(self, episode: int) -> None:
        """An episode of which every step is told to the watcher."""
        plan = relay_plan(2)
        team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
        world = plan.world("open")
        self.watcher.begin("open", world)
        found = team.run_episode(
            world, episode=episode, observe=lambda record: self.watcher.step("open", record), report_latents=True
        )
        self.watcher.episode("open", found.result)

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, object]]]:
        with closing(http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)) as connection:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            yield (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))

    def page(self) -> int:
        with closing(http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status

    def connect(self, stack: ExitStack, said: bytes, *, source: str = "127.0.0.1") -> socket.socket:
        made = socket.create_connection(self.address, DEADLINE_S, source_address=(source, 0))
        stack.enter_context(made)
        made.sendall(said)
        return made


@pytest.fixture
def watched() -> Iterator[Watched]:
    plan, gate = relay_plan(2), Gate()
    watcher = Watcher(gate)
    events = PageEvents(plan, plan.world("open").spec, title="two")
    with WatchServer(watcher, gate, events, listen="127.0.0.1:0") as server:
        yield Watched(address=parse_address(server.address), watcher=watcher)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """This process may open those of the crowd, and on top of them those that the page may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/dev/null") as newest:  # descriptors are given out from the lowest
        own = visitors.MAX_ASKING + visitors.MAX_ANSWERED + 6 * visitors.TAKEN_AT_ONCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest.fileno() + CROWD + own, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ended(connection: socket.socket) -> None:
    """Return once the other side has ended it."""
    with suppress(ConnectionError):
        while connection.recv(2**16):
            pass


def until(events: Iterator[dict[str, object]], kind: str) -> dict[str, object]:
    return next(event for event in events if event["kind"] == kind)


@pytest.mark.usefixtures("few_descriptors")
@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost:", b"POST /control/", ASKS_FOR_EVENTS])
def test_a_crowd_takes_no_descriptors_of_the_run_and_keeps_nobody_out(watched: Watched, said: bytes) -> None:
    with ExitStack() as stack:
        crowd = [watched.connect(stack, said) for _ in range(CROWD)]
        socket.socket().close()
        assert watched.page() == 200
        with watched.events() as events:
            assert until(events, "hello")["title"] == "two"
            watched.play(0)
            assert until(events, "outcomes")["episodes"] == 1
        for connection in crowd[: -visitors.MAX_ASKING]:
            ended(connection)


@pytest.mark.parametrize("said", [b"", ASKS_FOR_EVENTS])
def test_an_open_page_stays_open_whatever_another_client_does(watched: Watched, said: bytes) -> None:
    with ExitStack() as stack, watched.events() as events:
        until(events, "hello")
        for _ in range(CROWD):
            watched.connect(stack, said, source="127.0.0.9")
        assert watched.page() == 200
        watched.play(0)
        assert until(events, "outcomes")["episodes"] == 1


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n", b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n"]
)
def test_who_does_not_ask_in_time_is_cut_and_an_open_page_is_not(
    watched: Watched, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "ASKING_DEADLINE_S", 0.2)
    with ExitStack() as stack, watched.events() as events:
        until(events, "hello")
        ended(watched.connect(stack, said))
        watched.play(0)
        assert until(events, "outcomes")["episodes"] == 1


def test_who_reads_nothing_of_its_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "ASKING_DEADLINE_S", 0.2)
    left = threading.Event()

    async def endless(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            await send({"type": "http.response.body", "body": bytes(2**25), "more_body": True})
        left.set()

    monkeypatch.setattr(application_module, "application", lambda *_arguments, **_named: endless)
    plan, gate = relay_plan(2), Gate()
    events = PageEvents(plan, plan.world("open").spec, title="")
    with ExitStack() as stack, WatchServer(Watcher(gate), gate, events, listen="127.0.0.1:0") as server:
        reader = stack.enter_context(socket.create_connection(parse_address(server.address)))
        reader.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert left.wait(DEADLINE_S)
