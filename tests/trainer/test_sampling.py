"""Drawing by priority, writing back to what was drawn, and windows that end with their episode."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_model import COPIES, SPEC, Episodes, replay_of

from trainer.experience.batch import Batch, ByPriority, ByVisits, Index
from trainer.experience.chances import by_visits, visit_weights
from trainer.experience.columns import PRIORITY, Column, priority_column
from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows

COLUMNS = {**priority_column(), "target": Column(shape=(2,))}
LENGTH = 4


def serials(batch: Batch) -> np.ndarray:
    """Of the rows of windows, [T, B]."""
    return batch.window.observation[:, :, 0, 1].long().numpy()


class Written(Episodes):
    """Knows what every row's priority and target should be, by serial."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(replay)
        self.priority: dict[int, float] = {}
        self.target: dict[int, float] = {}
        self.firsts: set[int] = set()

    def write(self, copy: int, *, first: bool) -> None:
        there = [self.priority[serial] for each in range(COPIES) for serial in self.followed(each)]
        self.priority[self.serial], self.target[self.serial] = max(there, default=1.0) or 1.0, 0.0
        if first:
            self.firsts.add(self.serial)
        super().write(copy, first=first)

    def followed(self, copy: int) -> list[int]:
        """Those intact rows that an action followed."""
        intact = self.intact(copy)
        return [serial for serial, after in pairwise(intact) if after not in self.firsts]

    def update(self, index: Index, of: np.ndarray, inside: np.ndarray, values: np.ndarray) -> None:
        """Write targets to all rows [T, B] of a batch, and priorities to the first ones."""
        intact = {serial for copy in range(COPIES) for serial in self.intact(copy)}
        self.replay.update(index, "target", torch.from_numpy(np.stack([values, -values], -1)))
        self.replay.update(index.at(0), PRIORITY, values[0])
        for serial, there, value in zip(of.flat, inside.flat, values.flat, strict=True):
            if there and serial in intact:
                self.target[int(serial)] = float(value)
        for serial, value in zip(of[0], values[0], strict=True):
            if serial in intact:
                self.priority[int(serial)] = float(value)

    def check(self) -> None:
        """Every row that is there has what was last written to it."""
        replay = self.replay
        state = replay.state()
        for copy in range(COPIES):
            written, intact = int(state["written"][copy]), self.intact(copy)
            places = np.arange(written - len(intact), written) % replay.capacity
            assert state["observation"][copy, places, 0, 1].tolist() == intact
            assert state[PRIORITY][copy, places].tolist() == [np.float32(self.priority[serial]) for serial in intact]
            expected = [[np.float32(self.target[serial]), -np.float32(self.target[serial])] for serial in intact]
            assert state["target"][copy, places].tolist() == expected

    def saved_and_restored(self) -> None:
        """Go on with another replay."""
        state = {name: array.copy() for name, array in self.replay.state().items()}
        self.replay = replay_of(columns=COLUMNS, window=LENGTH)
        self.replay.restore(state)


EPISODES = st.tuples(st.integers(0, COPIES - 1), st.integers(0, 9), st.sampled_from(["kept", "lost", "saved"]))


@pytest.mark.slow
@pytest.mark.arrays
@given(st.lists(EPISODES, min_size=6, max_size=14), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_what_is_written_back_stays_with_its_row_through_overwriting_losses_and_checkpoints(
    schedule: list[tuple[int, int, str]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = Written(replay_of(columns=COLUMNS, window=LENGTH, minimum=1))
    before: tuple[Index, np.ndarray, np.ndarray] | None = None
    for copy, steps, fate in schedule:
        for step in range(steps + 1):
            rows.write(copy, first=step == 0)
        if before is not None:  # of an older batch, some of whose rows are gone
            rows.update(*before, random.uniform(0.5, 9.0, before[1].shape).astype(np.float32))
        before = None
        if fate == "lost":
            rows.lose(copy)
        elif fate == "saved":
            rows.saved_and_restored()
        rows.check()
        if rows.replay.ready:
            pad = bool(steps % 2) and rows.replay._starts().of_steps(LENGTH)[0].size > 0
            batch = rows.replay.sample(random, batch=5, by=ByPriority(exponent=0.6, correction=0.4), pad=pad)
            of, inside = serials(batch), batch.inside.numpy()
            rows.update(batch.index, of, inside, random.uniform(0.5, 9.0, of.shape).astype(np.float32))
            rows.check()
            before = batch.index, of, inside


@pytest.mark.slow
@pytest.mark.arrays
@given(st.lists(st.tuples(st.integers(0, COPIES - 1), st.integers(0, 9)), min_size=6, max_size=30), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_padded_window_repeats_the_last_row_of_its_episode_and_only_of_one_that_is_over(
    schedule: list[tuple[int, int]], seed: int
) -> None:
    replay = replay_of(minimum=1, window=2)
    rows, episode_of = Episodes(replay), {}
    for number, (copy, steps) in enumerate(schedule):
        for step in range(steps + 1):
            episode_of[rows.serial] = number
            rows.write(copy, first=step == 0)
    if not replay.ready:
        return
    intact = [rows.intact(copy) for copy in range(COPIES)]
    running = {episode_of[each[-1]] for each in intact if each}
    possible = set()
    for each in intact:
        for place, serial in enumerate(each[:-1]):
            rest = [one for one in each[place:] if episode_of[one] == episode_of[serial]]
            if len(rest) > 1 and (episode_of[serial] not in running or len(rest) >= LENGTH):
                possible.add(serial)
    if not possible:
        return
    batch = replay.sample(np.random.default_rng(seed), batch=400, length=LENGTH, pad=True)
    found, inside = serials(batch), batch.inside.numpy()
    assert set(found[0]) <= possible
    assert len(set(found[0])) >= 0.7 * len(possible)
    for window, real in zip(found.T, inside.T, strict=True):
        count = int(real.sum())
        assert real.tolist() == [True] * count + [False] * (LENGTH - count)
        assert window[:count].tolist() == list(range(window[0], window[0] + count)) or len(set(schedule)) > 1
        assert len({episode_of[int(serial)] for serial in window}) == 1
        assert (window[count:] == window[count - 1]).all()
        if count < LENGTH:
            assert episode_of[int(window[0])] not in running
    assert (batch.index.serial >= 0).tolist() == inside.tolist()


@pytest.mark.parametrize("pad", [True, False], ids=["padded", "whole"])
def test_rows_before_a_window_are_those_of_its_episode_and_its_first_one_again_where_there_are_no_more(
    pad: bool,
) -> None:
    replay = replay_of(window=2, minimum=1, capacity=3 * 12)
    rows = Episodes(replay)
    place_of: dict[int, tuple[int, int, int]] = {}  # copy, place in it, and where its episode began
    for copy, steps in ((0, 2), (1, 7), (0, 3), (1, 5), (0, replay.capacity)):  # the last overwrites its beginning
        begin = len(rows.left[copy])
        for step in range(steps + 1):
            place_of[rows.serial] = copy, len(rows.left[copy]), begin
            rows.write(copy, first=step == 0)
    kept = {serial for copy in range(COPIES) for serial in rows.intact(copy)}
    batch = replay.sample(np.random.default_rng(2), batch=200, length=2, pad=pad, before=3)
    for window, inside in zip(serials(batch).T, batch.inside.numpy().T, strict=True):
        copy, place, begin = place_of[int(window[3])]
        for back in (1, 2, 3):
            before = rows.left[copy][max(place - back, begin)]
            assert inside[3 - back] == (place - back >= begin and before in kept)
            assert window[3 - back] == (before if inside[3 - back] else window[4 - back])
    assert not pad or (batch.index.serial >= 0).tolist() == batch.inside.tolist()


def test_the_age_of_a_window_counts_the_rows_that_came_after_its_first() -> None:
    replay = replay_of(window=2, minimum=1)
    rows = Episodes(replay)
    for step in range(8):
        for copy in range(COPIES):
            rows.write(copy, first=step == 0)
    batch = replay.sample(np.random.default_rng(0), batch=50, length=2)
    assert batch.age.tolist() == (COPIES * (8 - batch.index.place[0])).tolist()


def test_padding_earns_nothing_and_begins_no_episode() -> None:
    replay = replay_of(window=2, minimum=1)
    rows = Episodes(replay)
    for episode in range(3):
        for step in range(3):
            rows.write(0, first=step == 0)
            replay._rows.reward[0, 3 * episode + step] = 1 + step
    batch = replay.sample(np.random.default_rng(0), batch=64, length=6, pad=True)
    reward, first = batch.window.reward[..., 0], batch.window.first
    assert set(batch.inside.sum(0).tolist()) == {2, 3}
    assert not reward[~batch.inside].any()
    assert not first[1:].any()
    assert (reward[0][batch.inside.sum(0) == 3] == 1).all()


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_window_is_drawn_in_proportion_to_its_priority_and_weighs_the_less(exponent: float) -> None:
    replay = replay_of(columns=COLUMNS, window=2, minimum=1)
    rows = Episodes(replay)
    for step in range(12):
        rows.write(0, first=step == 0)
    everything = replay.sample(np.random.default_rng(0), batch=200).index.at(0)
    replay.update(everything, PRIORITY, (1.0 + everything.place % 4).astype(np.float32))
    count = 20_000
    by = ByPriority(exponent=exponent, correction=1.0)
    batch = replay.sample(np.random.default_rng(1), batch=count, by=by)
    place = batch.index.at(0).place
    shares = (1.0 + np.arange(11) % 4) ** exponent
    shares /= shares.sum()
    drawn = np.bincount(place, minlength=11) / count
    np.testing.assert_allclose(drawn, shares, atol=5 * float(np.sqrt(shares.max() / count)))
    weight = batch.weight.numpy().astype(np.float64)
    np.testing.assert_allclose(weight, shares.min() / shares[place], rtol=1e-5)
    plain = replay.sample(np.random.default_rng(1), batch=50, by=ByPriority(exponent=exponent))
    assert plain.weight.tolist() == [1.0] * 50


def test_new_rows_have_the_largest_priority_of_those_that_can_be_drawn() -> None:
    rows = Episodes(replay_of(columns=COLUMNS, minimum=1))
    column = rows.replay._rows.columns[PRIORITY]

    def begin_and_write(count: int) -> None:
        for step in range(count):
            rows.write(0, first=step == 0)

    begin_and_write(2)
    assert column[0, :2].tolist() == [1, 1], "nothing can be drawn before a step has been taken"
    column[0, 0] = 50
    begin_and_write(4)
    assert column[0, 2:6].tolist() == [50, 50, 50, 50]
    copies, places = rows.replay._starts().of_steps(1)
    assert list(zip(copies.tolist(), places.tolist(), strict=True)) == [(0, 0), (0, 2), (0, 3), (0, 4)]
    column[copies, places] = 3
    begin_and_write(1)
    assert column[0, 5:7].tolist() == [50, 3], "the last row of an episode keeps its own, and hands it on to nobody"


def test_what_has_no_priority_is_never_drawn() -> None:
    replay = replay_of(columns=COLUMNS, window=2, minimum=1)
    rows = Episodes(replay)
    for step in range(9):
        rows.write(0, first=step == 0)
    everything = replay.sample(np.random.default_rng(0), batch=200).index.at(0)
    replay.update(everything, PRIORITY, (everything.place == 3).astype(np.float32))
    assert set(replay.sample(np.random.default_rng(2), batch=99, by=ByPriority()).index.at(0).place) == {3}
    replay.update(everything, PRIORITY, np.zeros(everything.place.shape, np.float32))
    with pytest.raises(AssertionError, match="no window has a priority"):
        replay.sample(np.random.default_rng(2), by=ByPriority())


def test_by_visits_no_row_comes_twice_in_a_batch_and_seldom_drawn_rows_are_likelier() -> None:
    replay = replay_of(minimum=1, columns={"visits": Column(shape=(), dtype=np.int32)})
    rows = empty_rows(SPEC, 8, columns=replay.columns)
    rows.first[0] = True
    replay.add(np.zeros(8, dtype=np.int64), rows)
    random, by = np.random.default_rng(4), ByVisits(column="visits")
    places = replay.sample(random, batch=8, length=1, by=by).index.at(0).place
    assert sorted(places) == list(range(8))
    for _ in range(200):
        places = replay.sample(random, batch=3, length=1, by=by).index.at(0).place
        assert len(set(places)) == 3
    visits = replay.state()["visits"][0]
    assert visits.sum() == 8 + 600
    assert visits.max() < 1.4 * visits.min()
    assert len(replay.sample(random, batch=30, length=1, by=by).age) == 30, "more than there are: some come again"
    np.testing.assert_allclose(visit_weights(np.array([0, 1, 3])), [1, 0.75, 0.25])
    np.testing.assert_allclose(visit_weights(np.array([7])), [1])
    # One that has them all has no chance, and the others are too few: they are drawn again, which ends nothing.
    drawn = by_visits(np.array([5, 0, 0]), 3, random)
    assert drawn.shape == (3,)
    assert set(drawn) <= {1, 2}
