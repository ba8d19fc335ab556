"""How long the rest of a campaign takes, as far as that can be told from what has run already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from analysis.campaign.standing import Standing, State


@dataclass(frozen=True, kw_only=True)
class Left:
    """Processor time of training that runs still need."""

    seconds: float | None
    """Of those whose pace is known; None if it is of none."""
    unknown: int
    """Runs of whose pace nothing is known."""
    at_most: float | None
    """Seconds: the same, and the budgets of those of unknown pace; None if one of them has no budget of time."""


def pace(standings: Iterable[Standing]) -> float | None:
    """Processor seconds per environment step, the median over runs that tell it; None if none does.

    A few steps tell nothing: an iteration that only collects is much faster than one that learns.
    """
    told = [
        each.cpu_seconds / each.env_steps
        for each in standings
        if each.cpu_seconds is not None
        and each.env_steps
        and (each.state.is_settled or each.env_steps >= 0.05 * each.plan.env_steps)
    ]
    return median(told) if told else None


def left(of_cell: Sequence[Standing]) -> Left:
    """What the runs of one cell still need."""
    unsettled = [each for each in of_cell if not each.state.is_settled and each.state is not State.MEASURING]
    if not unsettled:
        return Left(seconds=0.0, unknown=0, at_most=0.0)
    limits = [_limit(each) for each in unsettled]
    known = None if None in limits else sum(limit for limit in limits if limit is not None)
    speed = pace(of_cell)
    if speed is None:
        return Left(seconds=None, unknown=len(unsettled), at_most=known)
    needed = 0.0
    for each, limit in zip(unsettled, limits, strict=True):
        steps = speed * max(0, each.plan.env_steps - (each.env_steps or 0))
        needed += steps if limit is None else min(steps, limit)
    return Left(seconds=needed, unknown=0, at_most=needed)


def together(parts: Iterable[Left]) -> Left:
    """Of several cells."""
    parts = list(parts)
    known = [part.seconds for part in parts if part.seconds is not None]
    limits = [part.at_most for part in parts]
    return Left(
        seconds=sum(known) if known else None,
        unknown=sum(part.unknown for part in parts),
        at_most=None if None in limits else sum(limit for limit in limits if limit is not None),
    )


def in_words(found: Left, *, jobs: int = 1) -> str:
    """As `3.2 h`, `3.2 h and 4 runs of unknown pace (5.0 h at most)`, `unknown`."""
    if found.seconds is None:
        told = "unknown"
    else:
        told = duration(found.seconds / jobs)
        if found.unknown:
            told += f" and {found.unknown} runs of unknown pace"
    if found.unknown and found.at_most is not None:
        told += f" (at most {duration(found.at_most / jobs)})"
    return told


def duration(seconds: float) -> str:
    """As people say it: `45 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _limit(each: Standing) -> float | None:
    """Seconds that its budget leaves it; None: any.  Wall time limits one thread's processor time as well."""
    limits = []
    if each.plan.cpu_minutes:
        limits.append(60 * each.plan.cpu_minutes - (each.cpu_seconds or 0.0))
    if each.plan.minutes:
        limits.append(60 * each.plan.minutes - (each.seconds or 0.0))
    return max(0.0, min(limits)) if limits else None
