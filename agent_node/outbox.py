"""The outbox: which neighbours still have to get the newest message.  Imported by the node and the in-process team."""

from __future__ import annotations

from collections.abc import Callable, Collection

from agent_node.counters import CounterTable
from agent_node.message import Message
from agent_node.wire import MessageWire, Outgoing, Written


class Outbox:
    """Hands the message of the last step, written as `wire` says, to each listener once.

    `send(peer, message)` hands it to the peer's stream, and returns what was written to that, or None if there is none.
    `is_silent(peer)` says that sending is useless: a stopped process blocks no writer, and would get all of it at once
    when it resumes.  `instance_of(peer)` tells one process of a slot from the next: one that was started anew
    has got nothing.  `withholds` says that what is not sent is as it was, so that an old message goes on to matter.
    """

    def __init__(
        self,
        *,
        wire: MessageWire | None,
        send: Callable[[int, Outgoing], Written | None],
        is_silent: Callable[[int], bool],
        counts: CounterTable,
        instance_of: Callable[[int], str | None] = lambda peer: None,
        withholds: bool = False,
    ) -> None:
        self._wire = wire
        self._send = send
        self._is_silent = is_silent
        self._counts = counts
        self._newest: Outgoing | None = None
        self._meant_for: set[int] = set()
        self._sent_to: dict[int, str | None] = {}  # by peer, which instance of it
        self._instance_of, self._withholds = instance_of, withholds

    def push(self, message: Message, *, sends_to: Collection[int]) -> None:
        """A new message replaces the last one; it goes at once to whoever can hear this agent at its step."""
        for peer in self._meant_for - self._sent_to.keys():
            self._counts[peer].send_skipped += 1
        assert self._wire is not None, "a bundle without messages says nothing"
        before = None if self._newest is None else self._newest.message
        self._newest = Outgoing(message, before=before, wire=self._wire)
        self._meant_for, self._sent_to = set(), {}
        self._offer(sends_to)

    def catch_up(self, episode: int, step: int, *, sends_to: Collection[int]) -> None:
        """At a new step: its listeners that have not got the message of the step before get it now; or the last one of
        the episode, if all since then were withheld."""
        newest = self._newest
        if newest is None or newest.message.episode != episode:
            return
        if newest.message.step == step - 1 or self._withholds:
            sent_to, instance_of = self._sent_to, self._instance_of
            for peer in sends_to:
                now = instance_of(peer)
                if now is not None and sent_to.get(peer, now) != now:
                    del sent_to[peer]  # it was another process that got the message
            self._offer([peer for peer in sends_to if peer not in sent_to])

    def _offer(self, listeners: Collection[int]) -> None:
        newest, sent_to = self._newest, self._sent_to
        assert newest is not None
        self._meant_for.update(listeners)
        for peer in listeners:
            if peer in sent_to or self._is_silent(peer):
                continue
            written = self._send(peer, newest)
            if written is not None:
                sent_to[peer] = self._instance_of(peer)
                counters = self._counts[peer]
                counters.sent += 1
                counters.sent_bytes += len(written.data)
                counters.sent_bits += written.latent_bits
