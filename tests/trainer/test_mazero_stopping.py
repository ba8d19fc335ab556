"""A stop is obeyed within an update, even within its searches, and the run that is gone on with is the one that never
was stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs
from stop_at_check import StopAtCheck
from tiny_team import SMALL_MAZERO, resume, small_settings, start

from heliograph.stopping import Stopped
from trainer.algorithms.mazero.begun import Begun, begun_in
from trainer.nets.random_states import drawn_again_if_stopped, random_states, restore_random_states
from trainer.training.run_folder import RunFolder

WITH_SIGTERM = """
import signal, sys
from heliograph.cli import main
from trainer.algorithms.mazero.mazero import Mazero

learn, learned = Mazero.learn, []

def learn_or_be_stopped(self, batch, replay, *, check):
    looks = []
    def look():
        looks.append(check)
        if len(learned) == 1 and len(looks) == 3:
            signal.raise_signal(signal.SIGTERM)
        check()
    metrics = learn(self, batch, replay, check=look)
    learned.append(batch)
    return metrics

Mazero.learn = learn_or_be_stopped
sys.exit(main(sys.argv[1:]))
"""
"""The command, whose process is sent a SIGTERM amid the searches of its second update."""
DEADLINE_S = 300
"""Only who does not stop reaches it: the updates that were begun take a hundred times as long as what is left."""


@pytest.mark.slow
def test_a_run_stopped_within_updates_and_their_searches_ends_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("schedule.overlap=false", "mazero.updates=3", "mazero.model.dropout=0.2", "mazero.search.reuse=true")
    chosen = small_settings("mazero-relay", *more, env_steps=72, small=SMALL_MAZERO)
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    start(alone, chosen).run()
    begun = []
    stops = iter([12, 8, 9, 10, 11, 13, 16, 17, 200])
    training = None
    while training is None or training.run().reason == "interrupted":
        if training is not None:
            begun.append(sum(name.endswith(".model/loss") for name in training.algorithm.counters()))
        number = next(stops)
        monkeypatch.setattr("trainer.training.training.SharedStop", lambda _, number=number: StopAtCheck(number))
        training = resume(stopped) if training else start(stopped, chosen)
    assert {1, 2} <= set(begun), "stopped after one part of an update and after two"
    assert_equal_runs(alone, stopped)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_an_update_of_minutes_is_left_within_seconds_and_gone_on_with(tmp_path: Path) -> None:
    """As published: 30 updates of 1,536 searches with 100 simulations each."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", WITH_SIGTERM, "train", "--folder", str(folder)]
    settings = ["replay.minimum=30", "threads=1", "replay.batch=64", "environment.copies=8"]
    preset = ["--preset", "mazero-relay", *(part for each in settings for part in ("--set", each))]
    more = ["--set", "mazero.updates=1000", "--set", "mazero.search.simulations=100"]
    ended = subprocess.run(
        [*command, *preset, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S
    )
    assert ended.returncode == 130, ended.stdout
    assert "cut short" not in ended.stdout
    state = next((folder / "checkpoints").glob("*/state.json")).read_text()
    assert '"learning": {' in state
    assert '"begun.0.' in state
    assert '"begun.1.' not in state, "within the second of its updates"
    assert RunFolder.open(folder).status().state.value == "interrupted"


def test_parts_of_an_update_come_back_from_the_counters_of_a_checkpoint() -> None:
    begun = Begun()
    for part in range(11):
        begun.add({"model/loss": 0.1 + part, "policy/entropy": -float(part)})
    again = begun_in({"updates": 7.0, **begun.counters()})
    assert again.parts == 11
    assert again.means() == begun.means()
    assert begun_in({"updates": 7.0}).parts == 0


def test_what_is_left_by_a_stop_draws_the_same_numbers_again() -> None:
    random = np.random.default_rng(3)

    def drawn() -> tuple[float, float]:
        return random.random(), float(torch.rand(()))

    torch.manual_seed(3)
    first = []

    def left() -> None:
        first.append(drawn())
        raise Stopped

    with pytest.raises(Stopped), drawn_again_if_stopped(random):
        left()
    with drawn_again_if_stopped(random):
        again = drawn()
    assert [again] == first
    assert drawn() != first


def test_the_random_states_of_all_accelerators_are_kept_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No accelerator is at hand: torch's functions for them stand in by two generators of the CPU."""
    devices = [torch.Generator().manual_seed(number) for number in (1, 2)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(devices))
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [device.get_state() for device in devices])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device=0: devices[device].set_state(state))
    states = random_states()
    expected = [float(torch.rand((), generator=device)) for device in devices]
    restore_random_states(states)
    assert [float(torch.rand((), generator=device)) for device in devices] == expected
    older = {"cpu": states["cpu"], "cuda": states["cuda.0"]}
    restore_random_states(older)
    assert float(torch.rand((), generator=devices[0])) == expected[0]
    restore_random_states(states | {"cuda.7": states["cuda.0"]})
