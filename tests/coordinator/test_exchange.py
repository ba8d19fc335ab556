"""Who sent whom a message and who read it, worked out by hand for one listener, 1, and its speakers."""

from __future__ import annotations

import numpy as np

from coordinator.world.delivery import received, sent

STEPS, AGENTS = 4, 3


def table(*true: tuple[int, ...], axes: int = 3) -> np.ndarray:
    """bool [T, N] or [T, N, N] with these entries."""
    made = np.zeros((STEPS, *[AGENTS] * (axes - 1)), dtype=bool)
    for place in true:
        made[place] = True
    return made


def entries(made: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, np.argwhere(made).tolist()))


EVERYBODY = np.ones((STEPS, AGENTS), dtype=bool)


def test_a_message_goes_to_whoever_listens_at_its_step_or_at_the_next() -> None:
    hears = table((1, 1, 0))
    assert entries(sent(spoke=EVERYBODY, present=EVERYBODY, hears=hears)) == {(0, 0, 1), (1, 0, 1)}
    only_then = table((1, 0), axes=2)
    assert entries(sent(spoke=only_then, present=EVERYBODY, hears=hears)) == {(1, 0, 1)}
    assert not sent(spoke=table(axes=2), present=EVERYBODY, hears=hears).any()


def test_who_departs_after_its_step_has_said_so_at_once_and_says_nothing_later() -> None:
    """Agent 0 takes part in steps 0 and 1; what it makes at step 1 goes to who hears it then, to nobody later."""
    present = table((0, 0), (1, 0), *((step, agent) for step in range(STEPS) for agent in (1, 2)), axes=2)
    spoke = table((0, 0), (1, 0), axes=2)
    assert entries(sent(spoke=spoke, present=present, hears=table((1, 1, 0)))) == {(0, 0, 1), (1, 0, 1)}
    # Slot 2 can hear it only at step 2, when it is gone.
    assert entries(sent(spoke=spoke, present=present, hears=table((2, 2, 0)))) == set()
    assert entries(sent(spoke=spoke, present=EVERYBODY, hears=table((2, 2, 0)))) == {(1, 0, 2)}


def test_read_is_what_was_sent_the_step_before_can_be_heard_now_and_is_not_absent() -> None:
    said = table((0, 0, 1), (1, 0, 1), (1, 2, 1), (2, 0, 2))
    hears = table((0, 1, 0), (1, 1, 0), (2, 1, 0), (2, 1, 2), (3, 1, 0))
    assert entries(received(sent=said, hears=hears, absent=table())) == {(1, 1, 0), (2, 1, 0), (2, 1, 2)}
    assert entries(received(sent=said, hears=hears, absent=table((2, 1, 0)))) == {(1, 1, 0), (2, 1, 2)}
