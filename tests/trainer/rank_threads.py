"""Ranks as threads of one process: real process groups over real sockets, without the start of a process each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

from trainer.ranks.group import Joined, among, in_brief

T = TypeVar("T")
COUNT = 2
DEADLINE_S = 60.0


def on_ranks(part: Callable[[Joined], T], *, count: int = COUNT) -> list[T]:
    """What `part` returns on each rank.  Raises what the lowest rank that failed has raised, once all are through."""
    store = dist.HashStore()
    results: list[T | BaseException] = [AssertionError("did not end")] * count

    def member(number: int) -> T:
        group = dist.ProcessGroupGloo(store, number, count, timedelta(seconds=DEADLINE_S))
        joined = Joined(group, store, rank=number, count=count)
        try:
            with among(joined):
                return part(joined)
        except BaseException as error:
            joined.report_end(in_brief(error))
            raise

    def rank(number: int) -> None:
        try:
            results[number] = member(number)
        except BaseException as error:
            results[number] = error.with_traceback(None)  # whose frames would keep the group's connections open

    threads = [threading.Thread(target=rank, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
