"""`--watch` as a person meets it: a real run, its page over HTTP, pausing it, and a browser that shows it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from child_environment import importing_test_modules
from held_run import held_run
from relay_team import relay_bundles
from reserved_ports import reserved_address
from scripted_bundle import save_team

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0
ENDLESS = 100_000
QUIET = ("--log-level", "warning")
"""So that nothing comes before the page's address."""

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(3), tmp_path_factory.mktemp("bundles"))


def heliograph(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "heliograph", *(str(argument) for argument in arguments)]


class Run:
    """A run with a page, as a process."""

    def __init__(self, *words: object) -> None:
        command = heliograph(*words, "--watch", "127.0.0.1:0")
        self.process = subprocess.Popen(
            command, env=importing_test_modules(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.search(r"http://(127\.0\.0\.1):(\d+)/", said)
        assert found, said + self.process.stderr.read()
        self.url, self.host, self.port = found[0], found[1], int(found[2])

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def control(self, name: str) -> tuple[int, dict[str, Any]]:
        status, text = self.ask("POST", f"/control/{name}", x_heliograph_watch="test")
        return status, json.loads(text)

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            assert answer.getheader("content-type", "").startswith("text/event-stream")
            yield (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))
        finally:
            connection.close()


@contextmanager
def running(*words: object) -> Iterator[Run]:
    run = Run(*words)
    try:
        yield run
    finally:
        run.process.terminate()  # it takes its nodes along
        run.process.communicate(timeout=DEADLINE_S)


def playing(team: Path, **options: object) -> list[object]:
    """The words of a run that does not end by itself."""
    named = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
    return ["run", "--bundles", team, "--episodes", ENDLESS, *named]


def until(events: Iterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["kind"] == kind)


def test_a_run_tells_its_page_and_waits_when_asked_to(team: Path) -> None:
    with running(*playing(team, channel="erasure=0.2", period_s=0.01)) as run:
        status, document = run.ask("GET", "/")
        assert status == 200
        assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|@import", document), "nothing from elsewhere"
        assert run.control("pause")[0] == 409, "nobody looks"
        with run.events() as events:
            hello = next(events)
            assert (hello["agents"], hello["categoricals"], hello["classes"]) == (3, 4, 8)
            assert hello["channel"] == "erasure=0.2"
            told = until(events, "steps")
            assert len(told["latent"]) == 3
            assert all(0 <= value < 8 for latent in told["latent"] for value in latent)
            assert until(events, "frame")["png"].startswith("iVBOR")
            assert until(events, "outcomes")["episodes"] > 0

            assert run.ask("POST", "/control/pause")[0] == 403, "another site's page could send that"
            assert run.ask("GET", "/events", host="elsewhere.example")[0] == 421, "another site's name led here"
            assert run.ask("POST", "/control/explode", x_heliograph_watch="test")[0] == 404
            assert run.control("pause") == (200, {"paused": True})
            assert until(events, "state")["paused"]
            # Steps that were under way may still be told; then each one only when asked for.
            seen: list[tuple[int, int]] = []
            for _ in range(3):
                assert run.control("step") == (200, {"paused": True})
                (row,) = until(events, "steps")["trail"][-1:]
                seen.append((row[0], row[1]))
            assert len(set(seen)) == 3
            assert seen == sorted(seen)
            assert run.control("resume") == (200, {"paused": False})
            assert not until(events, "state")["paused"]
            until(events, "outcomes")
            run.process.terminate()
            until(events, "over")


def test_a_team_in_one_process_is_watched_and_held_as_well(team: Path, tmp_path: Path) -> None:
    words = ["evaluate", team, "--episodes", ENDLESS, "--record", tmp_path / "steps.jsonl"]
    with running(*words) as run, run.events() as events:
        assert next(events)["title"] == "3 agents in one process, scripted in relay"
        until(events, "outcomes")
        assert run.control("pause") == (200, {"paused": True})
        until(events, "state")
        for _ in range(3):
            assert run.control("step")[0] == 200
            rows = until(events, "steps")["trail"]
        assert len(rows) <= 2, "and not all that it can play in between"
        run.process.send_signal(signal.SIGINT)
        until(events, "over")
        assert run.process.wait(DEADLINE_S) == 130


def test_a_run_whose_pages_are_closed_or_read_nothing_ends_by_itself(tmp_path: Path) -> None:
    words, over = held_run(tmp_path)
    with running(*words, *QUIET) as run, socket.create_connection((run.host, run.port)) as silent:
        silent.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with run.events() as events:
            until(events, "steps")
        over.touch()
        shown, complaints = run.process.communicate(timeout=DEADLINE_S)
        assert run.process.returncode == 0, complaints
        assert "All 2 links conserve" in shown


def test_a_paused_run_goes_on_when_its_page_is_closed(tmp_path: Path) -> None:
    words, over = held_run(tmp_path)
    with running(*words, *QUIET) as run:
        with run.events() as events:
            until(events, "steps")
            assert run.control("pause")[0] == 200
            over.touch()
        assert run.process.wait(DEADLINE_S) == 0


def test_watch_finds_the_page_or_says_that_there_is_none(team: Path) -> None:
    def look(address: str) -> subprocess.CompletedProcess[str]:
        command = heliograph("watch", address, "--no-browser")
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    with running(*playing(team, period_s=0.01)) as run:
        found = look(f"{run.host}:{run.port}")
        assert (found.returncode, found.stdout.strip()) == (0, run.url)
        taken = heliograph("run", "--bundles", team, "--watch", f"{run.host}:{run.port}")
        second = subprocess.run(taken, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert second.returncode == 6
        assert f"cannot listen on {run.host}:{run.port}" in second.stderr
    with reserved_address() as nobody:
        assert look(nobody).returncode == 6
    assert look("nowhere").returncode == 2


def test_a_browser_shows_the_team(team: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    with running(*playing(team, channel="erasure=0.2", period_s=0.02)) as run, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(run.url)
        shown = playwright.expect
        shown.set_options(timeout=DEADLINE_S * 1e3)  # nodes may start slowly
        shown(page.locator("#title")).to_have_text("3 processes, scripted in relay")
        shown(page.locator("#state")).to_have_text("running")
        shown(page.locator("#tiles canvas")).to_have_count(3)
        shown(page.locator("#frame")).to_have_attribute("src", re.compile("^data:image/png;base64,iVBOR"))
        shown(page.locator("#score")).to_contain_text("with messages")
        for part in ("#graph", "#tiles canvas >> nth=0", "#bits-chart", "#margin-chart", "#score-chart"):
            assert colours(page, part) > 2, f"{part} is blank"
        page.click("#pause")
        shown(page.locator("#state")).to_have_text("paused, nodes wait")
        for width in (1300, 700, 380):
            page.set_viewport_size({"width": width, "height": 900})
            assert inked_edges(page, "#graph") == 0, f"something is cut at {width} pixels"
        before = page.inner_text("#place")
        page.click("#step")
        shown(page.locator("#place")).not_to_have_text(before)
        page.click("#pause")
        shown(page.locator("#state")).to_have_text("running")
        run.process.terminate()
        shown(page.locator("#state")).to_have_text("the run is over")
        assert not faults
        browser.close()


def colours(page: Any, part: str) -> int:
    """How many different colours a canvas shows, once what the page was told is drawn."""
    return page.locator(part).evaluate(
        "(canvas) => new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(() => tell("
        "new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size))))"
    )


def inked_edges(page: Any, part: str) -> int:
    """How many pixels of the leftmost and the rightmost column of a canvas are drawn on."""
    return page.locator(part).evaluate(
        "(canvas) => new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const of = (x) => canvas.getContext('2d').getImageData(x, 0, 1, canvas.height).data;"
        "tell([...of(0), ...of(canvas.width - 1)].filter((value, at) => at % 4 === 3 && value > 0).length); })))"
    )
