"""The open pages of a run: what they are told, each through a bounded queue.  Lives on the server's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from coordinator.watch import events
from coordinator.watch.events import Event, Script
from coordinator.watch.gate import Gate
from coordinator.watch.watcher import Watcher

TELL_INTERVAL_S = 0.05
"""Twenty times a second is as often as anybody can look."""

QUEUED_EVENTS = 32
"""What a page has not taken by then is forgotten, the oldest first."""

ALIVE_INTERVAL_S = 10.0
"""A silent stream says so in between, which tells whether its page is still there."""

RELEASE_AFTER_S = 3.0
"""A run that was paused goes on when no page has been open for so long: somebody has closed it, and not reloaded."""


class Pages:
    """Takes what `watcher` keeps and tells it to every page."""

    def __init__(self, watcher: Watcher, gate: Gate, script: Script) -> None:
        self.gate = gate
        self._watcher, self._script = watcher, script
        self._open: set[asyncio.Queue[str]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._newest: dict[str, Event] = {}
        self._told_episodes = 0
        self._told_paused = False
        self._over = False

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events for one page, from now on until the run ends or the page is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUED_EVENTS)
        queue.put_nowait(_as_text(self._script.hello(list(self._watcher.outcomes), paused=self.gate.closed)))
        for event in self._newest.values():
            queue.put_nowait(_as_text(event))
        self._enter(queue)
        try:
            while not (self._over and queue.empty()):
                try:
                    async with asyncio.timeout(ALIVE_INTERVAL_S):
                        text = await queue.get()
                except TimeoutError:
                    text = ": still here\n\n"
                yield text
        finally:
            self._leave(queue)

    def end(self) -> None:
        """Tell every page the rest, and that the run is over; their streams end."""
        self._tell_news()
        self._tell(events.OVER)
        self._over = True

    @property
    def watched(self) -> bool:
        return bool(self._open)

    def _enter(self, queue: asyncio.Queue[str]) -> None:
        self._open.add(queue)
        if self._over:
            queue.put_nowait(_as_text(events.OVER))
        if self._telling is None:
            self._told_episodes = self._watcher.episodes
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())
        self._watcher.pages = len(self._open)

    def _leave(self, queue: asyncio.Queue[str]) -> None:
        self._open.discard(queue)
        self._watcher.pages = len(self._open)
        if not self._open:
            if self._telling is not None:
                self._telling.cancel()
                self._telling = None
            self._watcher.steps.clear()
            asyncio.get_running_loop().call_later(RELEASE_AFTER_S, self._release)

    def _release(self) -> None:
        if not self._open:
            self.gate.resume()

    async def _tell_all(self) -> None:
        while True:
            self._tell_news()
            await asyncio.sleep(TELL_INTERVAL_S)

    def _tell_news(self) -> None:
        watcher = self._watcher
        if (paused := self.gate.closed) != self._told_paused:
            self._told_paused = paused
            self._tell(events.state(paused=paused))
        records = [watcher.steps.popleft() for _ in range(len(watcher.steps))]
        if records:
            self._tell(self._script.steps(watcher.pass_name, records))
        if watcher.frames:
            self._tell(events.frame(watcher.frames.popleft()))
        if (new := watcher.episodes - self._told_episodes) > 0:
            self._told_episodes += new
            self._tell(events.outcomes(list(watcher.outcomes)[-new:], episodes=self._told_episodes))

    def _tell(self, event: Event) -> None:
        text = _as_text(event)
        if event["kind"] in ("steps", "frame"):
            self._newest[event["kind"]] = event
        for queue in self._open:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(text)


def _as_text(event: Event) -> str:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
