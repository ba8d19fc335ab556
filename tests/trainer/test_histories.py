"""Histories from replay: windows that end with a row that an action followed, and reach back within its episode."""

from __future__ import annotations

from collections import Counter

import numpy as np
from replay_model import COPIES, SPEC, replay_of

from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows

LENGTH = 3


def write(replay: Replay, copy: int, rows: int, *, serial: int, ends: tuple[int, ...] = ()) -> None:
    """One episode, whose rows observe their serials; agent i has terminated from its row `ends[i]` on."""
    episode = empty_rows(SPEC, rows)
    episode.observation[..., 0] = serial + np.arange(rows)[:, None]
    episode.first[0] = True
    for agent, end in enumerate(ends):
        episode.terminated[end:, agent] = True
    replay.add(np.full(rows, copy), episode)


def drawn(replay: Replay, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Serials and inside, [T, B]."""
    random = np.random.default_rng(0)
    batch = replay.histories(random, batch=6000, length=LENGTH, **changes)  # type: ignore[arg-type]
    return batch.window.observation[:, :, 0, 0].long().numpy(), batch.inside.numpy()


def test_they_end_with_every_row_that_an_action_followed_and_with_no_other_and_stay_in_its_episode() -> None:
    replay = replay_of(minimum=1)
    write(replay, 0, 4, serial=100, ends=(2, 3))  # rows 100 to 103, the last of which nobody acted on
    write(replay, 0, 2, serial=200)
    write(replay, 1, 6, serial=300)
    serials, inside = drawn(replay)
    ends = Counter(serials[-1].tolist())
    assert ends.keys() == {100, 101, 102, 200, 300, 301, 302, 303, 304}
    assert max(ends.values()) < 1.3 * min(ends.values()), "uniformly"
    for column, there in zip(serials.T, inside.T, strict=True):
        newest, begin = column[-1], column[-1] // 100 * 100
        expected = newest - np.arange(LENGTH - 1, -1, -1)
        assert there.tolist() == (expected >= begin).tolist()
        assert column[there].tolist() == expected[expected >= begin].tolist()


def test_over_episodes_each_counts_alike_until_the_end_of_its_first_agent() -> None:
    replay = replay_of(minimum=1)
    write(replay, 0, 4, serial=100, ends=(2, 3))
    write(replay, 0, 2, serial=200)
    write(replay, 1, 6, serial=300)
    ends = Counter(drawn(replay, over="episodes")[0][-1].tolist())
    assert ends.keys() == {100, 101, 200, 300, 301, 302, 303, 304}
    for episode in (100, 200, 300):
        of_it = sum(count for serial, count in ends.items() if serial // 100 * 100 == episode)
        assert 0.9 < of_it / 2000 < 1.1


def test_what_was_overwritten_is_no_part_of_them() -> None:
    replay = replay_of(minimum=1, capacity=5 * COPIES)
    write(replay, 2, 9, serial=100)
    assert replay.capacity == 5
    serials, inside = drawn(replay)
    assert serials.min() == 104
    assert set(serials[-1].tolist()) == {104, 105, 106, 107}
    assert inside[:, serials[-1] == 104].sum(0).max() == 1
