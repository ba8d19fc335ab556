"""Replay keeps rows of a copy in order, and its windows never run over the write head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_model import AGENTS, COPIES, EPISODE, Episodes, replay_of, spec

from heliograph.errors import CheckpointError
from trainer.experience.columns import STATE
from trainer.experience.replay import Replay
from trainer.experience.rows import Rows
from trainer.experience.settings import ReplaySettings
from trainer.experience.window import Window


class Writer:
    """Writes rows whose every field tells the copy and how many rows it had before."""

    def __init__(self, replay: Replay) -> None:
        self.replay, self.written = replay, np.zeros(COPIES, dtype=np.int64)

    def add(self, copies: list[int], *, hears: np.ndarray | None = None) -> None:
        chosen = np.array(copies)
        number = self.written[chosen]
        per_agent = np.stack([number, number + 0.5], axis=1)  # [E, N]
        place = np.stack([chosen, number, number % EPISODE], axis=-1)
        self.replay.add(
            chosen,
            Rows(
                observation=np.repeat(place[:, None], AGENTS, axis=1),
                action_mask=(number[:, None, None] >> np.arange(4)) & 1 == np.ones((AGENTS, 1)),
                hears=np.tile((number % 2 == 0)[:, None, None], (AGENTS, AGENTS)) if hears is None else hears,
                present=np.broadcast_to((number % 3 > 0)[:, None], (len(copies), AGENTS)),
                first=number % EPISODE == 0,
                action=np.stack([number % 4, (number + 1) % 4], axis=1),
                reward=per_agent,
                terminated=np.broadcast_to((number % 7 == 0)[:, None], (len(copies), AGENTS)),
                columns={name: place[:, :2] for name in self.replay.columns},
            ),
        )
        self.written[chosen] += 1


def check(window: Window, writer: Writer, capacity: int) -> None:
    """Every window holds consecutive rows of one copy, all of them still stored, with all their fields."""
    copy, number = window.observation[:, :, 0, 0].long(), window.observation[:, :, 0, 1].long()
    assert torch.equal(copy, copy[:1].expand_as(copy))
    assert torch.equal(number, number[0] + torch.arange(number.shape[0]).unsqueeze(1))
    assert bool((number >= torch.from_numpy(writer.written)[copy] - capacity).all())
    assert torch.equal(window.reward, torch.stack([number, number + 0.5], dim=-1).float())
    assert torch.equal(window.action, torch.stack([number % 4, (number + 1) % 4], dim=-1))
    assert torch.equal(window.first, number % EPISODE == 0)
    assert torch.equal(window.present[..., 0], number % 3 > 0)
    assert torch.equal(window.terminated[..., 1], number % 7 == 0)
    assert torch.equal(window.action_mask[..., 0, :], (number.unsqueeze(-1) >> torch.arange(4)) & 1 == 1)
    if STATE in window.columns:
        assert torch.equal(window.columns[STATE], window.observation[:, :, 0, :2])
    if window.hears is not None:
        assert torch.equal(window.hears[..., 1, 0], number % 2 == 0)


@pytest.mark.slow
@given(
    st.lists(st.sets(st.integers(0, COPIES - 1), min_size=1).map(sorted), min_size=30, max_size=90),
    st.sampled_from(["anywhere", "first"]),
)
@settings(max_examples=25)
def test_windows_are_consecutive_rows_of_one_copy_however_often_the_ring_went_around(
    schedule: list[list[int]], start: str
) -> None:
    replay = replay_of(start=start)
    writer = Writer(replay)
    random = np.random.default_rng(0)
    for index, copies in enumerate(schedule):
        writer.add(copies)
        if index % 10 == 9 and replay.ready:
            window = replay.sample(random).window
            check(window, writer, replay.capacity)
            assert start == "anywhere" or bool(window.first[0].all())
    assert len(replay) == int(np.minimum(writer.written, replay.capacity).sum())


def test_every_possible_window_is_drawn_and_equally_often() -> None:
    replay = replay_of(batch=4000)
    writer = Writer(replay)
    for _ in range(3 * replay.capacity + 5):
        writer.add([0, 1, 2])
    window = replay.sample(np.random.default_rng(0)).window
    starts = window.observation[0, :, 0, :2].long()
    drawn, counts = torch.unique(starts, dim=0, return_counts=True)
    oldest, newest = int(writer.written[0]) - replay.capacity, int(writer.written[0]) - 4
    expected = [[copy, number] for copy in range(COPIES) for number in range(oldest, newest + 1)]
    assert drawn.tolist() == expected
    share = 4000 / len(expected)
    assert counts.min() > share - 6 * share**0.5
    assert counts.max() < share + 6 * share**0.5


def test_starts_at_first_rows_alone_if_asked() -> None:
    replay = replay_of(start="first")
    writer = Writer(replay)
    for _ in range(2 * replay.capacity + 3):
        writer.add([0, 1, 2])
    starts = replay.sample(np.random.default_rng(0)).window.observation[0, :, 0, 1].long()
    oldest, newest = int(writer.written[0]) - replay.capacity, int(writer.written[0]) - 4
    assert set(starts.tolist()) == {number for number in range(oldest, newest + 1) if number % EPISODE == 0}


def test_it_is_ready_with_the_minimum_of_rows_and_one_whole_window() -> None:
    replay = replay_of(minimum=3, start="first")
    writer = Writer(replay)
    readiness = []
    for _ in range(5):
        writer.add([1])
        readiness.append(replay.ready)
    assert readiness == [False, False, False, True, True]
    enough = replay_of(minimum=10)
    other = Writer(enough)
    for _ in range(4):
        assert not enough.ready
        other.add([0, 1, 2])
    assert enough.ready


@pytest.mark.parametrize("odd", [True, False])
def test_a_window_has_neighbour_sets_unless_everybody_heard_everybody_in_all_of_it(odd: bool) -> None:
    replay = replay_of(complete=True, start="first", window=2)
    everyone = np.broadcast_to(~np.eye(AGENTS, dtype=bool), (COPIES, AGENTS, AGENTS))
    nobody = np.zeros((COPIES, AGENTS, AGENTS), dtype=bool)
    writer = Writer(replay)
    for number in range(4):
        writer.add([0, 1, 2], hears=nobody if number == (1 if odd else 3) else everyone)
    window = replay.sample(np.random.default_rng(0)).window  # of rows 0 and 1
    assert (window.hears is None) == (not odd)
    if window.hears is not None:
        assert window.hears.any((1, 2, 3)).tolist() == [True, False]


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, COPIES - 1), st.integers(0, 15), st.booleans()), min_size=20, max_size=60),
    st.sampled_from(["anywhere", "first"]),
)
@settings(max_examples=60)
def test_no_window_holds_rows_of_a_lost_episode_or_crosses_a_gap_that_it_left(
    schedule: list[tuple[int, int, bool]], start: str
) -> None:
    replay = replay_of(start=start)  # 12 rows of a copy, so that a long episode laps itself
    episodes = Episodes(replay)
    for copy, steps, lost in schedule:
        for step in range(steps + 1):
            episodes.write(copy, first=step == 0)
        if lost:
            episodes.lose(copy)
        intact = [episodes.intact(copy) for copy in range(COPIES)]
        # A lost episode longer than the ring leaves nothing, as do rows that are older than its overwritten ones.
        assert len(replay) == sum(map(len, intact))
        if not replay.ready:
            continue
        window = replay.sample(np.random.default_rng(0)).window
        owner, serial = window.observation[0, :, 0, 0].long().tolist(), window.observation[:, :, 0, 1].long()
        for number, copy in enumerate(owner):
            rows = serial[:, number].tolist()
            place = intact[copy].index(rows[0])
            assert rows == intact[copy][place : place + len(rows)]
        assert start == "anywhere" or bool(window.first[0].all())


def test_actions_of_a_running_episode_are_those_since_its_first_row_while_that_is_there() -> None:
    replay = replay_of()
    writer = Writer(replay)
    for _ in range(2 * EPISODE + 3):
        writer.add([1])
    done = replay.running_actions(1)
    assert done is not None
    assert done.tolist() == [[number % 4, (number + 1) % 4] for number in (11, 12)]
    assert replay.newest().reward[1].tolist() == [12.0, 12.5]
    long = Episodes(replay_of())
    for step in range(replay.capacity):
        long.write(0, first=step == 0)
    assert len(long.replay.running_actions(0)) == replay.capacity - 1
    long.write(0, first=False)
    assert long.replay.running_actions(0) is None


@pytest.mark.parametrize("keeps_state", [False, True])
@pytest.mark.parametrize("rows", [7, 40])
def test_a_restored_replay_goes_on_as_the_saved_one(rows: int, keeps_state: bool) -> None:
    saved = replay_of(keeps_state=keeps_state)
    writer = Writer(saved)
    for number in range(rows):
        writer.add([0, 1, 2] if number % 2 else [1])
    restored = replay_of(keeps_state=keeps_state)
    restored.restore({name: array.copy() for name, array in saved.state().items()})
    again = Writer(restored)
    again.written = writer.written.copy()
    for one in (writer, again):
        for _ in range(9):
            one.add([0, 2])
    assert len(saved) == len(restored)
    windows = [replay.sample(np.random.default_rng(1)).window for replay in (saved, restored)]
    one, other = (vars(window) | window.columns for window in windows)
    assert (STATE in one) == keeps_state
    for name in one.keys() - {"columns"}:
        assert one[name] is other[name] is None or torch.equal(one[name], other[name]), name
    check(windows[1], again, restored.capacity)


def test_a_saved_replay_leaves_out_rows_that_were_never_written() -> None:
    replay = replay_of()
    writer = Writer(replay)
    for _ in range(5):
        writer.add([0, 1])
    assert replay.state()["reward"].shape == (COPIES, 5, AGENTS)


def test_a_replay_of_other_dimensions_is_refused() -> None:
    other = Replay(ReplaySettings(capacity=36, window=4), spec(observation_size=4), copies=COPIES)
    with pytest.raises(CheckpointError, match="observation"):
        replay_of().restore(other.state())
    with pytest.raises(CheckpointError, match="shape"):
        replay_of().restore(Replay(ReplaySettings(capacity=36, window=4), spec(), copies=2).state())


def test_what_has_not_been_read_is_read_once_and_never_more_than_a_ring_holds() -> None:
    replay = replay_of()
    writer = Writer(replay)
    for copies in ([0, 1, 2], [0, 1, 2], [0]):
        writer.add(copies)
    window, new = replay.unread()
    assert window.first.shape == (3, COPIES), "no longer than the copy with most new rows and the row before them"
    assert new.sum(0).tolist() == [2, 1, 1], "the first row of a copy has none before it"
    writer.add([0, 1, 2])
    window, new = replay.unread()
    assert window.first.shape == (2, COPIES)
    assert new.sum(0).tolist() == [1, 1, 1]
    assert window.observation[-1, :, 0, 1].tolist() == [3, 2, 2]
    assert not replay.unread()[1].any()
    for _ in range(100):
        writer.add([0, 1])
    window, new = replay.unread()
    # Of the hundred the ring keeps as many as it holds, and the oldest has lost the row before it.
    assert window.first.shape == (replay.capacity, COPIES)
    assert new.sum(0).tolist() == [replay.capacity - 1, replay.capacity - 1, 0]
    assert window.observation[new][:, 0, 1].min() == 104 - replay.capacity


def test_what_has_not_been_learned_from_is_read_apart_with_rows_before_it() -> None:
    replay = replay_of()
    writer = Writer(replay)
    for _ in range(4):
        writer.add([0, 1, 2])
    assert replay.unread()[1].sum() == replay.unlearned(leading=1)[1].sum() == 9
    writer.add([0, 1])
    replay.unread()
    window, new = replay.unlearned(leading=3)
    assert window.first.shape == (4, COPIES)
    assert new.sum(0).tolist() == [1, 1, 0]
    assert window.observation[:, 0, 0, 1].tolist() == [1, 2, 3, 4]
    assert not replay.unlearned(leading=3)[1].any()
    other = replay_of()
    writer.add([2])
    other.restore(replay.state())
    assert other.unlearned(leading=1)[1].sum(0).tolist() == [0, 0, 1]


def test_the_newest_rows_of_all_copies_are_one_window() -> None:
    replay = replay_of()
    assert replay.newest_window(12) is None
    writer = Writer(replay)
    for number in range(40):
        writer.add([0, 1, 2] if number < 30 else [0, 2])
    window = replay.newest_window(11)
    assert window is not None
    written = torch.from_numpy(writer.written)
    assert torch.equal(window.observation[:, :, 0, 0], torch.arange(3).float().expand(4, 3))
    assert torch.equal(window.observation[:, :, 0, 1], (written - 4 + torch.arange(4)[:, None]).float())
    assert replay.newest_window(10**6).first.shape == (12, 3), "as many as a ring holds"
