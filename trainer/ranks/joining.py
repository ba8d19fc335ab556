"""How a process becomes a rank: as torchrun, or whatever else sets its variables, has started it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from heliograph.errors import SettingsError
from trainer.ranks.group import ALONE, LONGEST_PAUSE_S, WAIT_S, Joined, Ranks, among, in_brief
from trainer.ranks.launched import LEAVING_S, VARIABLES, launched_ranks

JOINING_S = 120.0
"""How long the ranks wait for all of them to be there."""
_times = itertools.count()
"""Of joining, in this process; what was noted the time before is none of the next one's."""


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Inside, this process is one of the ranks that it was started among; alone if it was started alone.

    Raises SettingsError if the others do not come, and RankLost inside where one of them ends before.
    """
    if launched_ranks() == 1:
        yield ALONE
        return
    rank, count = int(os.environ["RANK"]), launched_ranks()
    try:
        # A store first, where each says that it is here: an absent rank is told of within that bound.
        store, rank, count = next(rendezvous("env://", timeout=timedelta(seconds=JOINING_S)))
        store = PrefixStore(f"heliograph.{next(_times)}", store)
        store.set(f"heliograph.here.{rank}", "")
        _await(store, [f"heliograph.here.{each}" for each in range(count)])
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=store,
            rank=rank,
            world_size=count,
            timeout=timedelta(seconds=WAIT_S),
        )
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise SettingsError(
            f"rank {rank} of {count} has not found all others at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} within {JOINING_S:g} s",
            remedy=f"Start all of them by torchrun, which sets {', '.join(VARIABLES)}",
        ) from error
    joined = Joined(dist.group.WORLD, store, rank=rank, count=count)
    patience_s = 0.0
    try:
        with among(joined):
            yield joined
    except BaseException as error:
        joined.report_end(in_brief(error))
        patience_s = LEAVING_S
        raise
    finally:
        dist.destroy_process_group()
        joined.leave(within_s=patience_s)


def _await(store: Any, keys: list[str]) -> None:
    """Until all are there; a signal is seen meanwhile.  Raises TimeoutError if they do not come."""
    over = time.monotonic() + JOINING_S
    while not store.check(keys):
        if time.monotonic() > over:
            raise TimeoutError
        time.sleep(LONGEST_PAUSE_S)
