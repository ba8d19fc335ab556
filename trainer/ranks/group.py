"""What ranks say to one another while they learn: gradients and moments are averaged, decisions are made by all.

Every rank calls the same methods in the same order.  One that ends, or raises, is noticed by the others where they
wait for it, which raises RankLost with its reason there; nobody waits longer than WAIT_S.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from heliograph.errors import HeliographError, RankLost

WAIT_S = 1800.0
"""How long a rank waits for another: the first evaluates, exports and writes checkpoints meanwhile."""
LOOK_S = 0.5
"""Between two looks, while it waits, for the end of another: each costs a round trip."""
LONGEST_PAUSE_S = 0.01
"""Between two looks at what is waited for, so that a signal is seen, and the core is free for who is waited for."""
_ENDED, _LEAD_ENDED, _LEFT = "heliograph.ended", "heliograph.lead_ended", "heliograph.left"


class Ranks:
    """A training without others: what is to be averaged or agreed on stays what it is, bit for bit."""

    rank = 0
    count = 1

    @property
    def lead(self) -> bool:
        """Whether this is the rank that evaluates, exports, and writes what a run leaves."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over the ranks into tensors of one kind and device, all in one message."""

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over the ranks into them, likewise."""

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        """Put the first rank's into them, likewise."""

    def rows(self, own: Tensor) -> Tensor:
        """Those of all ranks, one rank's after another's, of each one's own [V, ...], which may be more or fewer."""
        return own

    def weighted_mean(self, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The mean over the ranks of values [...], each rank's counting for its weight (scalar), and the weights' sum.

        Zeros where all weigh nothing.
        """
        return values, weight

    def total(self, value: float) -> float:
        """Over the ranks."""
        return value

    def mean(self, value: float) -> float:
        """Over the ranks."""
        return self.total(value) / self.count

    def least(self, value: int) -> int:
        """Over the ranks."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return flag

    def all(self, flag: bool) -> bool:
        """Whether it is so on every rank."""
        return not self.any(not flag)

    def of_lead(self, value: Any) -> Any:
        """The first rank's value, which JSON must know; that of the others is not looked at."""
        return value

    def begin_run(self) -> None:
        """From here on a stop is asked of another run than before: all ranks begin the same ones, in the same order."""

    def ask_to_stop(self) -> None:
        """Have all ranks see that somebody wants the training to end."""

    @property
    def asked_to_stop(self) -> bool:
        """Whether a rank has called `ask_to_stop`; the one thing that is not agreed on."""
        return False

    def leave(self, *, within_s: float) -> None:
        """Let this process end: the first rank at once; another once the first has left, or so much time has passed.

        What starts ranks ends all of them with the first that fails or is interrupted, and the first rank has more to
        write than the others.
        """

    def is_reported(self, error: HeliographError) -> bool:
        """Whether the first rank, which this process has left after, has ended by the same, and says so itself."""
        return False


ALONE = Ranks()
_current: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def ranks() -> Ranks:
    """Those that the running thread belongs to; `ALONE` where nobody has joined any."""
    return _current.get()


@contextmanager
def among(group: Ranks) -> Iterator[None]:
    """Inside, this thread is one of them."""
    token = _current.set(group)
    try:
        yield
    finally:
        _current.reset(token)


class Joined(Ranks):
    """One of several, over a process group of torch."""

    def __init__(self, group: Any, store: Any, *, rank: int, count: int) -> None:
        """`group` sums and broadcasts tensors, `store` holds notes that need no one to wait."""
        self._group, self._store = group, store
        self._end_of_lead = ""
        self._run = 0
        self.rank, self.count = rank, count

    def average(self, tensors: Sequence[Tensor]) -> None:
        self._summed(tensors, parts=self.count)

    def add(self, tensors: Sequence[Tensor]) -> None:
        self._summed(tensors, parts=1)

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        for tensor in () if self.lead else tensors:
            tensor.zero_()
        self._summed(tensors, parts=1)

    def rows(self, own: Tensor) -> Tensor:
        counts = torch.zeros(self.count, dtype=torch.int64)
        counts[self.rank] = len(own)
        self._sum(counts)
        begin = int(counts[: self.rank].sum())
        every = own.new_zeros(int(counts.sum()), *own.shape[1:])
        every[begin : begin + len(own)] = own
        return self._sum(every)

    def weighted_mean(self, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        flat = torch.cat([(values.double() * weight.double()).reshape(-1), weight.double().reshape(1)])
        self._sum(flat)
        total = flat[-1]
        mean = flat[:-1] / torch.where(total > 0, total, 1.0)
        return mean.view_as(values).to(values.dtype), total.to(weight.dtype)

    def total(self, value: float) -> float:
        return float(self._sum(torch.tensor([value], dtype=torch.float64)))

    def least(self, value: int) -> int:
        return int(self._sum(torch.tensor([value], dtype=torch.int64), dist.ReduceOp.MIN))

    def any(self, flag: bool) -> bool:
        return bool(self._sum(torch.tensor([int(flag)], dtype=torch.int64), dist.ReduceOp.MAX))

    def of_lead(self, value: Any) -> Any:
        told = torch.frombuffer(bytearray(json.dumps(value if self.lead else None).encode()), dtype=torch.uint8)
        size = torch.tensor([told.numel()], dtype=torch.int64)
        self._wait(lambda: self._group.broadcast([size], dist.BroadcastOptions()), on=size)
        told = told if self.lead else torch.empty(int(size), dtype=torch.uint8)
        self._wait(lambda: self._group.broadcast([told], dist.BroadcastOptions()), on=told)
        return json.loads(bytes(told.tolist()))

    def begin_run(self) -> None:
        self._run += 1

    def ask_to_stop(self) -> None:
        self._note(f"heliograph.stop.{self._run}", "")

    @property
    def asked_to_stop(self) -> bool:
        return self._noted(f"heliograph.stop.{self._run}")

    def report_end(self, reason: str) -> None:
        """Leave word of why this rank ends before the others; only the first word of all ranks counts."""
        told = f"rank {self.rank} has ended: {reason}"
        if self.lead:
            self._note(_LEAD_ENDED, told)
        if not self._noted(_ENDED):
            self._note(_ENDED, told)

    def leave(self, *, within_s: float) -> None:
        if self.lead:
            self._note(_LEFT, "")
            return
        over = time.monotonic() + within_s
        with suppress(RuntimeError):  # the store has ended with it
            left = False
            while not left and time.monotonic() < over:
                left = self._store.check([_LEFT])
                if not self._end_of_lead and self._store.check([_LEAD_ENDED]):
                    self._end_of_lead = self._store.get(_LEAD_ENDED).decode()
                time.sleep(0 if left else LONGEST_PAUSE_S)

    def is_reported(self, error: HeliographError) -> bool:
        return bool(self._end_of_lead) and (isinstance(error, RankLost) or in_brief(error) in self._end_of_lead)

    def _summed(self, tensors: Sequence[Tensor], *, parts: int) -> None:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._sum(flat)
        if parts > 1:
            flat /= parts
        for tensor, found in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(found.view_as(tensor))

    def _sum(self, tensor: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        self._wait(lambda: self._group.allreduce([tensor], options), on=tensor)
        return tensor

    def _wait(self, begin: Callable[[], Any], *, on: Tensor) -> None:
        """Until a message of all ranks is through.  Raises RankLost."""
        try:
            work = begin()
            pause, over = 0.0, time.monotonic() + WAIT_S
            look = time.monotonic() + LOOK_S
            while on.device.type == "cpu" and not work.is_completed() and time.monotonic() < over:
                time.sleep(pause)
                pause = min(1.5 * pause + 1e-5, LONGEST_PAUSE_S)
                if time.monotonic() >= look:
                    look = time.monotonic() + LOOK_S
                    if self._noted(_ENDED):  # its connections may last as long as its process
                        raise RuntimeError("it has ended")
            work.wait()
        except RuntimeError as error:
            raise RankLost(
                self._end_of_another() or f"another rank was killed, or does not answer ({in_brief(error)})",
                remedy="Go on with as many ranks",
            ) from error

    def _end_of_another(self) -> str:
        try:
            return self._store.get(_ENDED).decode() if self._noted(_ENDED) else ""
        except RuntimeError:  # the store has ended with it
            return ""

    def _note(self, key: str, text: str) -> None:
        try:
            self._store.set(key, text)
        except RuntimeError:  # nobody is there any more who could read it
            return

    def _noted(self, key: str) -> bool:
        try:
            return bool(self._store.check([key]))
        except RuntimeError:
            return False


def in_brief(error: BaseException) -> str:
    """Why one has ended, as the others are told: of this project's errors what is wrong, without the remedy, which each
    has of its own; of gloo's without where in its code, and what that may typically mean."""
    if isinstance(error, HeliographError):
        return error.message
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[\S+\] ", "", line).partition(". This is")[0][:200]
