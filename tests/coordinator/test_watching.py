"""What a page is told of a run, without processes: numbers that agree with the counters, bounds, pausing."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import aclosing
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from relay_team import relay_plan

from coordinator.channel import Channel
from coordinator.observers.observers import ObservedTeam, observing
from coordinator.observers.settings import ObserverSettings
from coordinator.running.in_process import LocalTeam
from coordinator.watch import gate as gate_module
from coordinator.watch import pages as pages_module
from coordinator.watch import watcher as watcher_module
from coordinator.watch.events import PageEvents
from coordinator.watch.gate import Gate, GatedClock
from coordinator.watch.watcher import Watcher
from coordinator.world.trajectory import StepRecord
from coordinator.world.world import World
from heliograph.codecs import LatentTables
from heliograph.environments.relay import RelayEnvironment
from heliograph.errors import MissingExtra

pytest.importorskip("starlette")


def played(plan, watcher: Watcher, *, episode: int = 0):  # type: ignore[no-untyped-def]
    """An episode in one process, which the watcher is told of."""
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy, codec=plan.codec)
    world = plan.world("open")
    watcher.begin("open", world)
    found = team.run_episode(
        world, episode=episode, observe=lambda record: watcher.step("open", record), report_latents=True
    )
    watcher.episode("open", found.result)
    return found


def watched() -> Watcher:
    watcher = Watcher(Gate())
    watcher.pages = 1
    return watcher


@pytest.mark.parametrize("codec", ["bit-packed", "repeats", "entropy"])
def test_the_bits_of_all_steps_are_those_that_were_counted(codec: str) -> None:
    tables = LatentTables(np.arange(1, 33).reshape(4, 8)) if codec == "entropy" else None
    plan, watcher = relay_plan(3, codec=codec, tables=tables), watched()
    found = played(plan, watcher)
    event = PageEvents(plan, plan.world("open").spec, title="").steps("open", list(watcher.steps))
    counted = sum(link.sent_bits + 3 * link.sent for link in found.links)  # an action of 5 has 3 bits
    assert sum(row[2] for row in event["trail"]) == counted
    assert sum(row[5] for row in event["trail"]) == sum(link.read for link in found.links)
    assert [row[:2] for row in event["trail"]] == [[0, step] for step in range(found.result.steps)]


def test_links_say_what_became_of_their_messages() -> None:
    plan, watcher = relay_plan(3, channel=Channel.parse("erasure=0.4")), watched()
    found = played(plan, watcher)
    event = PageEvents(plan, plan.world("open").spec, title="").steps("open", list(watcher.steps))
    told = {(listener, speaker): counts for listener, speaker, *counts in event["links"]}
    for link in found.links:
        # The last messages come after the last step that could read them.
        assert told[link.receiver, link.sender] == [link.read, link.lost, link.lost, 0]
    assert 0 < found.result.masked < found.result.hearable


@pytest.mark.parametrize("drawn", [ImportError("no pygame"), RuntimeError(), None, np.zeros((4, 4))], ids=repr)
def test_a_world_that_cannot_be_drawn_is_watched_without_pictures(
    drawn: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def render(*_: object) -> object:
        if isinstance(drawn, Exception):
            raise drawn
        return drawn

    monkeypatch.setattr(RelayEnvironment, "render", render)
    watcher = watched()
    played(relay_plan(2), watcher)
    assert len(watcher.steps) > 1
    assert not watcher.frames
    (said,) = [record.getMessage() for record in caplog.records if record.name == watcher_module.__name__]
    assert said.startswith("the world cannot be drawn")


def test_nothing_is_kept_without_a_page_and_no_more_than_is_allowed_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "KEPT_STEPS", 5)
    plan, watcher = relay_plan(2), watched()
    watcher.pages = 0
    played(plan, watcher)
    assert not watcher.steps
    assert not watcher.frames
    assert len(watcher.outcomes) == 1, "the score is there for whoever comes later"
    watcher.pages = 1
    for episode in range(1, 4):
        played(plan, watcher, episode=episode)
    assert len(watcher.steps) == 5
    assert watcher.steps[-1].episode == 3
    assert len(watcher.frames) == 1


@pytest.mark.parametrize(("drawing_s", "pause_s"), [(0.001, 0.2), (0.1, 2.0)], ids=["quick", "slow"])
def test_drawing_takes_a_small_share_of_a_run_unless_that_is_held(
    drawing_s: float, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, drawn_at = 1000.0, []
    monkeypatch.setattr(watcher_module, "time", SimpleNamespace(perf_counter=lambda: now_s))

    def render() -> np.ndarray:
        nonlocal now_s
        drawn_at.append(now_s)
        now_s += drawing_s
        return np.zeros((1, 1, 3), np.uint8)

    def step(at_s: float) -> None:
        nonlocal now_s
        now_s = at_s
        watcher.step("open", cast(StepRecord, None))

    gate = Gate()
    watcher = Watcher(gate)
    watcher.pages = 1
    drawable = SimpleNamespace(spec=SimpleNamespace(renders=True), environment=SimpleNamespace(render=render))
    watcher.begin("open", cast(World, drawable))
    times = [1000.0, 1000.0 + 0.75 * pause_s, 1000.0 + 1.25 * pause_s, 1000.0 + 1.5 * pause_s]
    for at_s in times:
        step(at_s)
    assert drawn_at == [times[0], times[2]]
    gate.pause()
    step(times[3])
    assert drawn_at == [times[0], times[2], times[3]]


def test_a_page_that_takes_nothing_gets_the_newest_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "QUEUED_EVENTS", 4)
    monkeypatch.setattr(pages_module, "SEND_INTERVAL_S", 0.0)
    plan, watcher = relay_plan(2), watched()

    async def watch() -> list[str]:
        pages = pages_module.Pages(watcher, Gate(), PageEvents(plan, plan.world("open").spec, title=""))
        async with aclosing(pages.stream()) as stream:
            first = await anext(stream)
            for episode in range(12):
                played(plan, watcher, episode=episode)
                while watcher.steps:
                    await asyncio.sleep(0)
            pages.end()
            return [first, *[text async for text in stream]]

    texts = asyncio.run(watch())
    assert '"kind":"hello"' in texts[0]
    assert len(texts) == 1 + 4
    assert '"kind":"over"' in texts[-1]
    assert watcher.pages == 0


def test_every_episode_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "SEND_INTERVAL_S", 0.0)
    plan, watcher = relay_plan(2), watched()
    played(plan, watcher, episode=7)  # before anybody looked

    async def watch() -> list[str]:
        pages = pages_module.Pages(watcher, Gate(), PageEvents(plan, plan.world("open").spec, title=""))
        async with aclosing(pages.stream()) as stream:
            first = await anext(stream)
            for episode in range(3):
                played(plan, watcher, episode=episode)
                while watcher.steps:
                    await asyncio.sleep(0)
            pages.end()
            return [first, *[text async for text in stream]]

    events = [json.loads(text.removeprefix("data: ")) for text in asyncio.run(watch())]
    told = [event for event in events if event["kind"] == "outcomes"]
    assert [event["episodes"] for event in told] == [2, 3, 4]
    assert [len(event["outcomes"]) for event in told] == [1, 1, 1]


class Polls:
    """Stands in for the pauses of a held run, and counts them."""

    def __init__(self) -> None:
        self._count = 0
        self._pause = asyncio.sleep

    async def sleep(self, _pause_s: float) -> None:
        self._count += 1
        await self._pause(0)

    async def two_more(self) -> None:
        seen = self._count
        while self._count < seen + 2:
            await self._pause(0)


def test_a_run_that_is_held_goes_on_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, ticks, polls = Gate(), [], Polls()
    monkeypatch.setattr(gate_module.asyncio, "sleep", polls.sleep)

    async def run() -> None:
        clock = GatedClock(None, gate)
        for number in range(4):
            await clock.tick()
            ticks.append(number)

    async def hold() -> None:
        gate.pause()
        running = asyncio.create_task(run())
        for expected in ([], [0], [0, 1]):
            await polls.two_more()
            assert ticks == expected
            gate.step()
        gate.resume()
        await running

    asyncio.run(hold())
    assert ticks == [0, 1, 2, 3]
    assert not gate.closed


def test_a_run_in_one_process_is_held_as_well() -> None:
    gate, passed = Gate(), threading.Event()
    gate.pause()
    thread = threading.Thread(target=lambda: (gate.wait(), passed.set()))
    thread.start()
    assert not passed.wait(0.1)
    gate.step()
    assert passed.wait(60)
    thread.join()
    assert gate.closed


def test_records_say_how_long_things_took() -> None:
    records: list[StepRecord] = []
    plan = relay_plan(2)
    team = LocalTeam(plan.bundles, run_seed=0, greedy=False)
    found = team.run_episode(plan.world("open"), episode=0, observe=records.append)
    assert [record.latency_s for record in records] == list(found.result.latency_s)
    assert all(np.isnan(record.waited_s).all() for record in records), "nobody waits within a process"


@pytest.mark.parametrize(
    ("settings", "package", "extra"),
    [
        (ObserverSettings(watch="127.0.0.1:0"), "uvicorn", "observe"),
        (ObserverSettings(metrics="127.0.0.1:0"), "prometheus_client", "observe"),
        (ObserverSettings(trace="http://127.0.0.1:9"), "opentelemetry.sdk.trace", "trace"),
    ],
)
def test_who_lacks_what_is_asked_for_is_told_what_to_install(
    settings: ObserverSettings, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "coordinator.watch.visitors", raising=False)  # which has uvicorn once it is loaded
    plan = relay_plan(2)
    expected = pytest.raises(MissingExtra, match=rf"pip install 'heliograph\[{extra}\]'")
    with expected, observing(settings, plan, plan.world("open").spec, ObservedTeam(name="", live=lambda: 0)):
        pass
