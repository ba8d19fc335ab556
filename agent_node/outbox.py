"""The outbox: which neighbours still have to get the newest message.  Imported by the node and the in-process team."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from agent_node.counters import Ledger
from agent_node.message import Label
from agent_node.wire import Outgoing, Written


class Outbox:
    """Hands the message of the last step to each listener once.

    `send(peer, message)` hands it to the peer's stream, and returns what was written to that, or None if there is none.
    `is_silent(peer)` says that sending is useless: a stopped process blocks no writer, and would get all of it at once
    when it resumes.
    """

    def __init__(
        self,
        *,
        send: Callable[[int, Outgoing], Written | None],
        is_silent: Callable[[int], bool],
        ledger: Ledger,
    ) -> None:
        self._send = send
        self._is_silent = is_silent
        self._ledger = ledger
        self._label: Label | None = None
        self._newest: Outgoing | None = None
        self._meant_for: set[int] = set()
        self._sent_to: set[int] = set()

    def push(self, message: Outgoing, *, heard_by: Iterable[int]) -> None:
        """A new message replaces the last one; it goes at once to whoever can hear this agent at its step."""
        for peer in self._meant_for - self._sent_to:
            self._ledger[peer].send_skipped += 1
        self._label, self._newest = message.message.label, message
        self._meant_for, self._sent_to = set(), set()
        self._offer(heard_by)

    def catch_up(self, episode: int, step: int, *, heard_by: Collection[int]) -> None:
        """At a new step: its listeners that have not got the message of the step before get it now."""
        if self._label == (episode, step - 1) and not self._sent_to.issuperset(heard_by):
            self._offer(heard_by)

    def _offer(self, listeners: Iterable[int]) -> None:
        assert self._newest is not None
        for peer in listeners:
            self._meant_for.add(peer)
            if peer in self._sent_to or self._is_silent(peer):
                continue
            written = self._send(peer, self._newest)
            if written is not None:
                self._sent_to.add(peer)
                counters = self._ledger[peer]
                counters.sent += 1
                counters.sent_bytes += len(written.data)
                counters.sent_bits += written.latent_bits
