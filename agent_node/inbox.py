"""The inbox: keeps what peers sent for the step that reads it, and closes each step in bounded time.

Imported by the node and by the in-process team.  A message labelled (episode, t - 1) is read at step t of that
episode.  What comes early is kept, what comes twice or cannot be is rejected, what comes after its step was closed
is late; the order of arrival never matters, nor does it to what a simulated channel lost or delayed.  The deadline
sits on a future of the event loop and never on an operation of a stream, since a timeout around such an operation
cancels the stream.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from agent_node.counters import CounterTable
from agent_node.message import Label, Message
from heliograph.link_counters import LinkCounters

SILENT_STEPS = 3
"""A peer that was awaited in vain for so many steps in a row is neither waited for nor sent to, until it speaks."""

EARLY_KEPT = 16
"""Messages kept per peer for steps to come.  A sender stops after SILENT_STEPS unanswered ones, unless it cannot hear
us; then only its newest matter."""

MAX_AHEAD = 1024
"""A label further ahead of our own clock, in steps or episodes, cannot come from a sane peer of the same run."""


_NOTHING_LATE: Mapping[int, int] = {}

_NEVER = 2**63
"""The step on which the simulated channel delivers what it has lost."""


class LatePolicy(Enum):
    """What stands for a message that is not there when its step is closed."""

    MASK = "mask"
    """Nothing: its sender is absent."""
    HOLD = "hold"
    """The sender's last known message of this episode, which then counts as present."""
    PREDICT = "predict"
    """What the receiver's bundle predicts of that one, whose age it is told."""


@dataclass(frozen=True, kw_only=True)
class ClosedStep:
    """What one step reads."""

    messages: dict[int, Message]
    """By sender slot; all labelled with the step before."""
    masked: tuple[int, ...]
    """Slots that should have been heard and are absent, ascending."""


_Arrival = tuple[Message, int, int]
"""A message, its serialised bytes, the bits of its latent."""


@dataclass(slots=True)
class _Received:
    """What is known of one peer."""

    kept: dict[Label, _Arrival] = field(default_factory=dict)
    """What has come for the step that is open, or for later ones."""
    known: Message | None = None
    """The newest whose step is over, unless those that are not there are masked."""
    taken: Label | None = None
    """The label that was delivered last, to tell a duplicate from a late one."""
    last: Label | None = None
    """The newest label that came, whatever a channel made of it."""
    silent_steps: int = 0


class Inbox:
    """The messages of one node's peers.  They are counted in `counts`; unknown peers are the caller's to refuse."""

    def __init__(self, *, late_policy: LatePolicy, counts: CounterTable) -> None:
        self.silent: set[int] = set()
        """Peers that were awaited in vain for SILENT_STEPS steps and have not spoken since."""
        self._policy = late_policy
        self._masks = late_policy is LatePolicy.MASK
        self._counts = counts
        self._received: dict[int, _Received] = defaultdict(_Received)
        self._withheld: dict[tuple[int, Label], int] = {}  # by peer: the step on which the channel delivers it
        self._delayed: list[tuple[int, int, Message]] = []  # (step, peer, message) that are not delivered yet
        self._clock: Label | None = None  # the step that was begun last
        self._reads: Label | None = None  # the label of the messages that this step reads
        self._closed: Label | None = None  # labels up to this one are over
        self._unread: Label | None = None  # the last step of the episode before: no step reads its messages
        self._awaited: set[int] = set()
        self._all_here: asyncio.Future[None] | None = None
        self._until = 0.0  # the loop's time at which waiting ends
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # when it comes

    def receive(self, peer: int, message: Message, *, size_bytes: int = 0, latent_bits: int = 0) -> None:
        """Take a well-formed message at any time; counted now or when its step closes.

        `size_bytes` is its serialised size, `latent_bits` that of the latent in it as its codec counts.
        """
        received = self._received[peer]
        if received.silent_steps:
            self.received_again(peer)
        label, kept, clock = (message.episode, message.step), received.kept, self._clock
        if (
            label in kept
            or label == received.taken
            or (clock is not None and label > clock and _is_beyond(label, clock))
        ):
            self.reject(peer)
            return
        if received.last is None or received.last < label:
            received.last = label
        if label == self._unread:
            # Of an episode's last step: nobody was to read it, so it cannot have missed its step.
            received.taken = label
            counters = self._counts[peer]
            counters.delivered += 1
            counters.delivered_bytes += size_bytes
        elif self._closed is not None and label <= self._closed:
            self._leave_out(peer, message)
        else:
            kept[label] = (message, size_bytes, latent_bits)
            if len(kept) > EARLY_KEPT:
                self._drop(peer, min(kept))
            if self._awaited and label == self._reads:
                self.give_up(peer)

    def reject(self, peer: int) -> None:
        """Count bytes of a peer that are not a message."""
        self._counts[peer].rejected += 1

    def begin(
        self, episode: int, step: int, *, lost: Iterable[int] = (), late: Mapping[int, int] = _NOTHING_LATE
    ) -> None:
        """The clock moves to a step: what is older than its messages is over.

        Of the messages that it reads, a simulated channel has lost those of the peers `lost`, and delayed those of
        `late` by so many steps.
        """
        before = self._clock
        self._clock = (episode, step)
        reads = self._reads = (episode, step - 1)  # at step 0 a label that no message can have
        if before is not None and before[0] != episode:
            self._unread = before
        for peer, received in self._received.items():
            kept = received.kept
            if not kept or (len(kept) == 1 and reads in kept):
                continue  # the usual cases, which what follows would leave as they are
            for label in sorted(kept):
                if label == self._unread:
                    self._deliver(peer, label)
                elif label < reads:
                    self._drop(peer, label)
                elif _is_beyond(label, self._clock):
                    del kept[label]
                    self._counts[peer].rejected += 1
        self._closed = (reads[0], reads[1] - 1)
        if self._withheld or self._delayed:
            self._deliver_delayed(episode, step)
        for peer in lost:
            self._withheld[peer, reads] = _NEVER
        for peer, steps in late.items():
            self._withheld[peer, reads] = step + steps

    def is_worth_waiting_for(self, peer: int) -> bool:
        """Whether the peer may still say something that matters to this step."""
        if peer in self.silent:
            return False
        # What the channel withholds is not read now.  But what stands in for it depends on what the peer had got
        # through before, and that is certainly here only once this is.
        return not self._masks or (peer, self._reads) not in self._withheld

    def steps_without(self, peer: int) -> int | None:
        """By how many steps the message that this step reads is newer than the peer's newest that came before it; None
        if none has come in this episode."""
        assert self._reads is not None
        last = self._received[peer].last
        return None if last is None or last[0] != self._reads[0] else self._reads[1] - last[1]

    async def wait(
        self, awaited: Collection[int], *, until: float, attend: Callable[[Collection[int]], None] | None = None
    ) -> None:
        """Wait until the messages of `awaited` are here or given up; at loop time `until` at the latest.

        `attend` is told of whom nothing is here yet.
        """
        reads = self._reads
        missing = {peer for peer in awaited if reads not in self._received[peer].kept}
        if not missing:
            return
        if attend is not None:
            attend(missing)
        loop = asyncio.get_running_loop()
        if loop.time() >= until:
            return
        self._awaited, self._all_here, self._until = missing, loop.create_future(), until
        # A timer that is set for earlier stays, and is set again when it has come: to set and cancel one for every step
        # takes as long as to read a message.
        if self._timer is not None and self._timer_s > until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._set_timer(loop)
        try:
            await self._all_here
        finally:
            self._all_here = None
            self._awaited = set()

    def awaits(self, peer: int) -> bool:
        """Whether a step waits for this peer's message now."""
        return peer in self._awaited

    def give_up(self, peer: int) -> None:
        """Do not wait for this peer any longer: its message is here, or its stream is gone."""
        self._awaited.discard(peer)
        if not self._awaited:
            self._end_waiting()

    def received_again(self, peer: int) -> None:
        """A new stream of the peer is up: it is no longer silent."""
        self._received[peer].silent_steps = 0
        self.silent.discard(peer)

    def close(self, receives_from: Iterable[int], *, awaited: Collection[int]) -> ClosedStep:
        """Close the step: what it reads of them.  Of `awaited`, those who are absent have been silent once more."""
        assert self._reads is not None
        reads = self._closed = self._reads
        arrived = {}
        for peer, received in self._received.items():
            if reads not in received.kept:
                continue
            if self._withheld and (peer, reads) in self._withheld:
                received.taken = reads
                self._drop(peer, reads)
            else:
                arrived[peer] = self._deliver(peer, reads)
        messages, masked = {}, []
        for peer in sorted(receives_from):
            if (arrival := arrived.get(peer)) is not None:
                messages[peer], _, latent_bits = arrival
                counters = self._counts[peer]
                counters.read += 1
                counters.read_bits += latent_bits
            elif (stand_in := self._stand_in(peer, reads)) is not None:
                messages[peer] = stand_in
            else:
                masked.append(peer)
                self._counts[peer].masked += 1
        for peer in awaited:
            received = self._received[peer]
            if received.taken != reads:
                received.silent_steps += 1
                if received.silent_steps >= SILENT_STEPS:
                    self.silent.add(peer)
        return ClosedStep(messages=messages, masked=tuple(masked))

    def totals(self) -> dict[int, LinkCounters]:
        """Counters by peer as of now; what is kept for a step to come, in time so far, counts as delivered."""
        totals = {peer: replace(counters) for peer, counters in self._counts.items()}
        for peer, received in self._received.items():
            for _, size_bytes, _ in received.kept.values():
                counters = totals.setdefault(peer, LinkCounters())
                counters.delivered += 1
                counters.delivered_bytes += size_bytes
        return totals

    def _deliver(self, peer: int, label: Label) -> _Arrival:
        received, counters = self._received[peer], self._counts[peer]
        arrival = received.kept.pop(label)
        counters.delivered += 1
        counters.delivered_bytes += arrival[1]
        received.taken = label
        if not self._masks:
            self._remember(peer, arrival[0])
        return arrival

    def _drop(self, peer: int, label: Label) -> None:
        self._leave_out(peer, self._received[peer].kept.pop(label)[0])

    def _leave_out(self, peer: int, message: Message) -> None:
        """Count a message that its step does not read as lost or late; a late one may stand in later."""
        delivered_at = self._withheld.pop((peer, message.label), None)
        if delivered_at == _NEVER:
            self._counts[peer].lost += 1
            return
        self._counts[peer].late += 1
        if delivered_at is not None and self._clock is not None and self._clock < (message.episode, delivered_at):
            self._delayed.append((delivered_at, peer, message))
        else:
            self._remember(peer, message)

    def _deliver_delayed(self, episode: int, step: int) -> None:
        """At the beginning of a step: what the channel delivers by now may stand in from now on."""
        arrived, self._delayed = self._delayed, []
        for delivered_at, peer, message in arrived:
            if (episode, step) < (message.episode, delivered_at):
                self._delayed.append((delivered_at, peer, message))
            else:
                self._remember(peer, message)
        # What the channel withheld and was never sent must not pile up.
        stale = [key for key in self._withheld if key[1] < (episode - 1, 0) or key[1] < (episode, step - MAX_AHEAD)]
        for key in stale:
            del self._withheld[key]

    def _remember(self, peer: int, message: Message) -> None:
        received = self._received[peer]
        if not self._masks and (received.known is None or received.known.label < message.label):
            received.known = message

    def _stand_in(self, peer: int, reads: Label) -> Message | None:
        known = self._received[peer].known
        if known is None or known.episode != reads[0] or known.label > reads:
            return None
        age = reads[1] - known.step if self._policy is LatePolicy.PREDICT else 0
        return known._replace(step=reads[1], age=age)

    def _end_waiting(self) -> None:
        if self._all_here is not None and not self._all_here.done():
            self._all_here.set_result(None)

    def _look_at_the_clock(self) -> None:
        """The timer has come, which was set for this step or for an earlier one."""
        self._timer = None
        if self._timer_s >= self._until:
            self._end_waiting()
        elif self._all_here is not None:
            self._set_timer(asyncio.get_running_loop())

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._timer_s = loop.call_at(self._until, self._look_at_the_clock), self._until


def _is_beyond(label: Label, clock: Label) -> bool:
    """Whether no sane peer can have such a label while this step is our newest."""
    episode, step = clock
    start = step if label[0] == episode else 0
    return label[0] > episode + MAX_AHEAD or (label[0] >= episode and label[1] > start + MAX_AHEAD)
