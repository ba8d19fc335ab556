"""Columns that an algorithm declares: where its behaviour's values come to lie, and what a checkpoint must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from collecting import Counting, Steps

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import CheckpointError
from trainer.experience.collector import Collector
from trainer.experience.columns import STATE, Column, state_column
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings

COPIES = 3
DECLARED = {"step": Column(shape=(), dtype=np.int64), "share": Column(shape=(3, 2)), "later": Column(shape=(4,))}


class Telling(Counting):
    """Tells the step of the episode that it acted at, and halves of it for each agent."""

    def columns(self, state: Steps) -> dict[str, torch.Tensor]:
        share = state.step.reshape(-1, 1, 1) / torch.tensor([2.0, 4.0]).expand(COPIES, 3, 2)
        return {"step": state.step, "share": share}


def collected(world: str, columns: dict[str, Column], **settings: Any) -> Collector:
    environment = registry.make(world, count=COPIES, permission=EVERYTHING)
    replay = Replay(
        ReplaySettings(capacity=3000, window=4, minimum=1, **settings), environment.spec, copies=COPIES, columns=columns
    )
    behaviour = Telling() if "step" in columns else Counting()
    collector = Collector(environment, behaviour, replay, seed=3, device=torch.device("cpu"))
    collector.collect(40, behaviour)
    collector.commit()
    return collector


def test_what_is_told_at_a_step_lies_in_the_row_that_it_led_to() -> None:
    rows = collected("waiting_game:make", DECLARED, absorbing_rows=0).replay.state()
    for copy, written in enumerate(rows["written"]):
        first, step = rows["first"][copy, :written], rows["step"][copy, :written]
        begin = np.maximum.accumulate(np.where(first, np.arange(written), 0))
        assert np.array_equal(step, np.where(first, 0, np.arange(written) - begin - 1))
        assert step.max() > 2
        assert np.array_equal(rows["share"][copy, :written], np.stack([step / 2, step / 4], -1)[:, None].repeat(3, 1))
    assert not rows["later"].any(), "nobody has said anything of it yet"


def test_absorbing_rows_hold_nothing_of_the_behaviour() -> None:
    rows = collected("waiting_game:make", DECLARED, absorbing_rows=2).replay.state()
    absorbing = ~rows["observation"].any((-1, -2)) & rows["terminated"].all(-1) & ~rows["reward"].any(-1)
    assert absorbing.any()
    assert not rows["share"][absorbing].any()


def test_columns_of_a_window_are_tensors_of_the_declared_kind() -> None:
    replay = collected("waiting_game:make", DECLARED).replay
    window = replay.newest_window(30)
    assert window is not None
    assert {name: (each.dtype, tuple(each.shape[2:])) for name, each in window.columns.items()} == {
        "step": (torch.int64, ()),
        "share": (torch.float32, (3, 2)),
        "later": (torch.float32, (4,)),
    }


def test_a_checkpoint_without_a_column_is_refused_by_its_name() -> None:
    replay = collected("waiting_game:make", DECLARED).replay
    saved = replay.state()
    del saved["later"]
    with pytest.raises(CheckpointError, match="replay of the checkpoint has no later"):
        replay.restore(saved)


def test_no_column_takes_the_name_of_what_every_row_has() -> None:
    spec = registry.make("relay", count=1).spec
    with pytest.raises(AssertionError, match="reward"):
        Replay(ReplaySettings(), spec, copies=1, columns={"reward": Column(shape=())})


def test_the_state_is_a_column_only_where_a_simulator_has_one() -> None:
    spec = registry.make("relay", count=1).spec
    assert (STATE in state_column(spec)) == (spec.state_size > 0)
