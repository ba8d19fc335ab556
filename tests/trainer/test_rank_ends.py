"""What ranks leave when they end, and what a run says of all of them."""

from __future__ import annotations

import copy
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from rank_threads import on_ranks
from safetensors.numpy import save_file as save_arrays
from tiny_team import SMALL, SMALL_WORLD, small_settings, small_team, start

from heliograph.cli import main
from heliograph.errors import INTERRUPTED_EXIT_CODE, CheckpointError, HeliographError, RankLost
from heliograph.run_status import SETTINGS, RunState, RunStatus, read_status, write_status
from trainer.algorithms.registry import ALGORITHMS, algorithm_entry
from trainer.ranks import joining, launched
from trainer.ranks.group import Joined, Ranks, among, in_brief
from trainer.training import checkpoint
from trainer.training.carrying_on import is_begun
from trainer.training.checkpoint import load_checkpoint, save_checkpoint, saved_checkpoints
from trainer.training.clock import Clock
from trainer.training.run_folder import RunFolder
from trainer.training.settings import ScheduleSettings
from trainer.training.shares import share_of
from trainer.training.summary import in_words
from trainer.training.training import Training

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "ranks.md"
WAIT_S = 20.0


def launch(monkeypatch: pytest.MonkeyPatch, *, rank: int) -> None:
    """As torchrun does it, for what looks at its variables alone."""
    for name, value in (("RANK", rank), ("WORLD_SIZE", 2), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", 1)):
        monkeypatch.setenv(name, str(value))


def test_each_rank_goes_on_with_what_it_has_held_out_itself(tmp_path: Path) -> None:
    team, world = small_team("relay", {})
    world.close()

    def part(group: Joined) -> list[int]:
        own = copy.deepcopy(team)
        own.held_out.count = 3 + group.rank
        path = save_checkpoint(tmp_path / "checkpoints", iteration=1, algorithm=own, arrays={}, state={})
        group.any(False)  # published
        resumed = copy.deepcopy(team)
        load_checkpoint(path, resumed, lambda _state, _arrays: None)
        return [resumed.held_out.count]

    assert on_ranks(part) == [[3], [4]]


def test_a_full_disk_of_one_rank_refuses_all_and_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, world = small_team("relay", {})
    world.close()
    folder = tmp_path / "checkpoints"

    def part(group: Joined) -> str:
        save_checkpoint(folder, iteration=1, algorithm=team, arrays={}, state={})
        group.any(False)
        if group.lead:
            monkeypatch.setattr(checkpoint, "save_arrays", refuse_the_second)
        group.any(False)
        with pytest.raises(CheckpointError) as refusal:
            save_checkpoint(folder, iteration=2, algorithm=team, arrays={}, state={})
        return refusal.value.message.partition(": ")[2]

    def refuse_the_second(arrays: dict[str, Any], path: Path) -> None:
        if path.name.startswith("rank-1"):
            raise OSError(28, "No space left on device")
        save_arrays(arrays, path)

    assert on_ranks(part) == ["another rank could not write its share", "[Errno 28] No space left on device"]
    assert [path.name for path in folder.iterdir()] == ["00000001"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RankLost("rank 1 has ended", remedy="Mend it"), "rank 1 has ended"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (
            RuntimeError("[/a/gloo/pair.cc:537] Read error [::1]:896: Connection reset. This is typically a bug\nmore"),
            "Read error [::1]:896: Connection reset",
        ),
    ],
)
def test_the_others_are_told_the_reason_in_brief(error: BaseException, told: str) -> None:
    assert in_brief(error) == told


def test_processor_time_is_that_of_all_ranks() -> None:
    schedule = ScheduleSettings(env_steps=1, steps_per_iteration=1, cpu_minutes=1.2)

    def part(group: Joined) -> tuple[bool, float, float, bool]:
        clock = Clock()
        clock.restore({"seconds": 1.0, "cpu_seconds": 30.0 * (1 + group.rank)})
        before = clock.is_over(schedule, limit_seconds=None)
        clock.share()
        return (
            before,
            clock.record["cpu_seconds"],
            clock.state["cpu_seconds"],
            clock.is_over(schedule, limit_seconds=None),
        )

    assert on_ranks(part) == [(False, 90.0, 30.0, True), (False, 90.0, 60.0, True)]


class Doubled(Ranks):
    """As if another rank had as much of everything."""

    def total(self, value: float) -> float:
        return 2 * value


@pytest.mark.slow
def test_lost_episodes_are_those_of_all_ranks(tmp_path: Path) -> None:
    training = start(tmp_path / "run", small_settings(env_steps=12))
    training.ranks = Doubled()
    training.collector.lost_episodes = 3
    assert training.run().lost_episodes == 6
    training.close()


def test_exploration_falls_by_the_steps_of_all_ranks() -> None:
    settings = small_settings("qmix-relay", "qmix.exploration.steps=1001", small=SMALL_WORLD)
    (share,) = share_of(settings, 2).sections()
    assert share.exploration.steps == 501


def test_an_end_is_noticed_while_its_connections_are_still_open() -> None:
    noticed = threading.Event()

    def part(group: Joined) -> bool:
        if group.rank == 1:
            group.report_end("the world has gone")
            return noticed.wait(WAIT_S)
        with pytest.raises(RankLost, match="rank 1 has ended: the world has gone"):
            group.any(False)
        noticed.set()
        return True

    assert on_ranks(part) == [True, True]


def test_the_first_rank_is_given_time_to_write_how_it_ended() -> None:
    gone = threading.Event()

    def part(group: Joined) -> bool:
        if group.rank == 1:
            group.leave(within_s=WAIT_S)
            gone.set()
            return True
        early = gone.wait(0.2)
        group.leave(within_s=0.0)
        return not early and gone.wait(WAIT_S)

    assert on_ranks(part) == [True, True]


def test_nobody_waits_for_ever_for_a_first_rank_that_does_not_leave() -> None:
    def part(group: Joined) -> bool:
        if group.rank == 1:
            group.leave(within_s=0.05)
        group.any(False)
        return True

    assert on_ranks(part) == [True, True]


def test_what_the_first_rank_has_ended_by_is_not_told_by_the_others() -> None:
    class Refused(HeliographError):
        """A setting that no rank can do with."""

    def part(group: Joined) -> tuple[bool, bool, bool]:
        refused = Refused("replay.batch = 5 cannot be split", remedy="Make it even")
        if group.lead:
            group.report_end(in_brief(refused))
            group.any(False)
        else:
            group.any(False)
            group.report_end(in_brief(refused))
        group.leave(within_s=WAIT_S)
        lost, own = RankLost("rank 0 has ended: …"), Refused("this machine's disk is full")
        return group.is_reported(refused), group.is_reported(lost), group.is_reported(own)

    assert on_ranks(part) == [(False, False, False), (True, True, False)]
    assert not Ranks().is_reported(RankLost("…"))


def test_an_error_before_the_ranks_join_is_held_back_by_all_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []
    monkeypatch.setattr(launched.time, "sleep", held.append)
    for rank, waits in ((0, []), (1, [launched.LEAVING_S])):
        launch(monkeypatch, rank=rank)
        with pytest.raises(CheckpointError), launched.first_rank_reports():
            raise CheckpointError("no such run")
        assert held == waits


def test_a_rank_that_is_ended_before_the_ranks_join_leaves_the_telling_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(_: float) -> None:
        raise KeyboardInterrupt  # as the signal of what has started the ranks, while an error is held back

    monkeypatch.setattr(launched.time, "sleep", ended)
    launch(monkeypatch, rank=1)
    for reason in (CheckpointError("no such run"), KeyboardInterrupt()):
        with pytest.raises(SystemExit) as left, launched.first_rank_reports():
            raise reason
        assert left.value.code == INTERRUPTED_EXIT_CODE
    launch(monkeypatch, rank=0)
    with pytest.raises(KeyboardInterrupt), launched.first_rank_reports():
        raise KeyboardInterrupt


def test_what_a_parser_says_is_held_back_by_all_but_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def waits(_: float) -> None:
        told.append(capsys.readouterr().err)

    monkeypatch.setattr(launched.time, "sleep", waits)
    for rank, held in ((0, []), (1, [""])):
        launch(monkeypatch, rank=rank)
        told.clear()
        with pytest.raises(SystemExit, match="2"):
            main(["train", "--seed", "one"])
        assert told == held
        assert "invalid int value: 'one'" in capsys.readouterr().err  # a follower that is still there
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    assert capsys.readouterr() == ("", "")

    def ended(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launched.time, "sleep", ended)
    with pytest.raises(SystemExit, match=str(INTERRUPTED_EXIT_CODE)):
        main(["train", "--seed", "one"])
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("RANK", "nonsense")
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    assert "usage:" in capsys.readouterr().out


def test_how_to_go_on_says_how_many_ranks_there_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = start(tmp_path / "run", small_settings(), stop_after=1)
    summary = training.run()
    training.close()
    assert f"go on with: heliograph train --resume {tmp_path}" in in_words(training.folder, summary)
    launch(monkeypatch, rank=0)
    told = in_words(training.folder, summary)
    assert f"torchrun --standalone --nproc-per-node 2 -m heliograph train --resume {tmp_path}" in told


@pytest.mark.slow
def test_a_resume_that_is_refused_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = start(tmp_path / "run", small_settings(env_steps=12))
    training.run()
    training.close()
    state = saved_checkpoints(training.folder.checkpoints)[-1] / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"ranks": 2}))
    settings = (tmp_path / "run" / SETTINGS).read_bytes()
    assert main(["train", "--resume", str(tmp_path / "run"), "--set", "schedule.env_steps=24"]) == 9
    assert "trained by 2 ranks, and would go on with 1 rank" in capsys.readouterr().err
    assert (tmp_path / "run" / SETTINGS).read_bytes() == settings
    assert read_status(tmp_path / "run").state is RunState.FINISHED


@contextmanager
def among_those(group: Ranks) -> Iterator[Ranks]:
    with among(group):
        yield group


class Deserted(Ranks):
    """Another rank has ended before the first thing that all do."""

    def any(self, flag: bool) -> bool:
        raise RankLost("rank 1 has ended: it has no GPU of its own", remedy="Mend it")


def test_a_run_that_another_rank_cannot_begin_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(joining, "joined_ranks", lambda: nullcontext(Deserted()))
    flags = [part for one in (*SMALL, "schedule.env_steps=12") for part in ("--set", one)]
    assert main(["train", "--preset", "relay-signal", "--folder", str(tmp_path / "run"), *flags]) == RankLost.exit_code
    assert "it has no GPU of its own" in capsys.readouterr().err
    assert read_status(tmp_path / "run").state is RunState.ABSENT


class Dying(Ranks):
    """Another rank ends amid the first iteration."""

    def all(self, flag: bool) -> bool:
        raise RankLost("rank 1 has ended: the world has gone", remedy="Mend it")


def test_a_rank_that_dies_is_told_of_though_what_has_started_them_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "joined_ranks", lambda: among_those(Dying()))
    monkeypatch.setattr(Training, "close", lambda _: signal.raise_signal(signal.SIGTERM))
    flags = [part for one in (*SMALL, "schedule.env_steps=12") for part in ("--set", one)]
    assert main(["train", "--preset", "relay-signal", "--folder", str(tmp_path / "run"), *flags]) == RankLost.exit_code
    status = read_status(tmp_path / "run")
    assert (status.state, status.detail) == (RunState.FAILED, "rank 1 has ended: the world has gone")


def test_the_first_rank_alone_tells_what_a_run_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings()
    folder = RunFolder.create(tmp_path / "run", settings)
    write_status(folder.path, RunStatus(state=RunState.INTERRUPTED, env_steps=3))
    for rank, told in ((1, False), (0, True)):
        launch(monkeypatch, rank=rank)
        assert is_begun(folder.path, settings)
        assert ("going on with" in capsys.readouterr().err) == told


def test_the_guide_says_that_ranks_can_learn_every_algorithm() -> None:
    assert "| algorithms | all; " in GUIDE.read_text()
    assert all(algorithm_entry(name).ranks for name in ALGORITHMS)
