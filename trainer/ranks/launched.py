"""Among how many ranks this process was started.  Imports no torch."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from heliograph.errors import INTERRUPTED_EXIT_CODE, HeliographError, SettingsError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Of the environment, as torchrun sets them."""
LEAVING_S = 10.0
"""How long a rank that was interrupted or has failed lets the first one tell, and write, how it has ended."""


def launched_ranks() -> int:
    """1 if it was started alone, or not all variables are there.  Raises SettingsError if they make no sense."""
    if not all(name in os.environ for name in VARIABLES):
        return 1
    try:
        rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        sound = 0 <= rank < count
    except ValueError:
        sound = False
    if not sound:
        raise SettingsError(
            f"RANK is {os.environ['RANK']} and WORLD_SIZE {os.environ['WORLD_SIZE']}, which names no rank",
            remedy="Start the ranks by torchrun, or unset these variables to train alone",
        )
    return count


def train_command() -> str:
    """How a person starts as many ranks as these again, up to the options."""
    count = launched_ranks()
    return "heliograph train" if count == 1 else f"torchrun --standalone --nproc-per-node {count} -m heliograph train"


def local_rank() -> int:
    """Which of the ranks on this machine it is, as torchrun says; 0 if nobody does."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def leads() -> bool:
    """Whether this process is the first of its ranks, or alone; once `launched_ranks` has found them sound."""
    return launched_ranks() == 1 or os.environ["RANK"] == "0"


@contextmanager
def first_rank_reports() -> Iterator[None]:
    """Inside, before the ranks have joined, an error that all of them run into is told by the first alone.

    What starts ranks ends all of them with the first that fails, so the others hold theirs back for a while, and tell
    of it only if they are still there: then it is theirs alone.  One that is ended meanwhile says nothing.
    """
    try:
        try:
            yield
        except HeliographError:
            if not leads():
                time.sleep(LEAVING_S)  # until ended, by a signal
            raise
    except KeyboardInterrupt:
        if leads():
            raise
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None


@contextmanager
def first_rank_parses() -> Iterator[None]:
    """Inside, what a parser of arguments says before it exits, is told by the first rank alone, as its errors are
    (`first_rank_reports`).  Variables that name no rank are not its affair.
    """
    try:
        follows = not leads()
    except SettingsError:
        follows = False
    if not follows:
        yield
        return
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    except SystemExit as end:
        if end.code:
            try:
                time.sleep(LEAVING_S)  # until ended, by a signal
            except KeyboardInterrupt:
                raise SystemExit(INTERRUPTED_EXIT_CODE) from None
            sys.stderr.write(err.getvalue())
        raise
