"""The open pages of a run: what they are told, each through a bounded queue.  Lives on the server's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from coordinator.watch import events
from coordinator.watch.events import Event, PageEvents
from coordinator.watch.gate import Gate
from coordinator.watch.watcher import Watcher

SEND_INTERVAL_S = 0.05
"""Twenty times a second is as often as anybody can look."""

QUEUED_EVENTS = 32
"""What a page has not taken by then is forgotten, the oldest first."""

ALIVE_INTERVAL_S = 10.0
"""A silent stream says so in between, which tells whether its page is still there."""

RELEASE_AFTER_S = 3.0
"""A run that was paused goes on when no page has been open for so long: somebody has closed it, and not reloaded."""


class Pages:
    """Takes what `watcher` keeps and tells it to every page."""

    def __init__(self, watcher: Watcher, gate: Gate, page_events: PageEvents) -> None:
        self.gate = gate
        self._watcher, self._page_events = watcher, page_events
        self._open: set[asyncio.Queue[str]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._newest: dict[str, Event] = {}
        self._sent_episodes = 0
        self._sent_paused = False
        self._over = False

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events for one page, from now on until the run ends or the page is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUED_EVENTS)
        queue.put_nowait(_as_text(self._page_events.hello(list(self._watcher.outcomes), paused=self.gate.closed)))
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
        self._send_news()
        self._send(events.OVER)
        self._over = True

    @property
    def watched(self) -> bool:
        return bool(self._open)

    def _enter(self, queue: asyncio.Queue[str]) -> None:
        self._open.add(queue)
        if self._over:
            queue.put_nowait(_as_text(events.OVER))
        if self._telling is None:
            self._sent_episodes = self._watcher.episodes
            self._telling = asyncio.get_running_loop().create_task(self._broadcast())
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

    async def _broadcast(self) -> None:
        while True:
            self._send_news()
            await asyncio.sleep(SEND_INTERVAL_S)

    def _send_news(self) -> None:
        watcher = self._watcher
        if (paused := self.gate.closed) != self._sent_paused:
            self._sent_paused = paused
            self._send(events.state(paused=paused))
        records = [watcher.steps.popleft() for _ in range(len(watcher.steps))]
        if records:
            self._send(self._page_events.steps(watcher.pass_name, records))
        if watcher.frames:
            self._send(events.frame(watcher.frames.popleft()))
        if (new := watcher.episodes - self._sent_episodes) > 0:
            self._sent_episodes += new
            self._send(events.outcomes(list(watcher.outcomes)[-new:], episodes=self._sent_episodes))

    def _send(self, event: Event) -> None:
        text = _as_text(event)
        if event["kind"] in ("steps", "frame"):
            self._newest[event["kind"]] = event
        for queue in self._open:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(text)


def _as_text(event: Event) -> str:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
