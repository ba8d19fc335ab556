"""`heliograph bandwidth` where not every message was counted: it says so, and reports no number of them."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team
from warm.starting import at_work_for

from analysis.bandwidth.command import COMMAND
from coordinator.running import run as run_module
from coordinator.serving import team as team_module
from coordinator.serving.supervisor import Supervisor
from coordinator.serving.team import Team
from heliograph import cli

pytestmark = pytest.mark.usefixtures("warm_teams")

NOT_TOLD = "node 1 did not tell its counts in time"
REPORT = ("report.json", "report.html", "layers.csv", "links.csv", "messages.csv.gz")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2, length=6), tmp_path_factory.mktemp("team") / "bundles")


def bandwidth(*arguments: object) -> int:
    return cli.run({"bandwidth": COMMAND}, ["bandwidth", "measure", *map(str, arguments)])


@pytest.fixture
def silent_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have node 1 never tell its counts in the so-many-th run of this process, as a node that hangs does not."""
    runs: list[Team] = []

    def during(number: int) -> None:
        take = Team.on_counters

        def taken(self: Team, session, counters) -> None:
            if self not in runs:
                runs.append(self)
            if not (session.slot == 1 and runs.index(self) == number - 1):
                take(self, session, counters)

        monkeypatch.setattr(Team, "on_counters", taken)
        # Whoever else is slow is passed over, too, and the report is refused all the same.
        monkeypatch.setattr(team_module, "COUNTERS_DEADLINE_S", 0.5)

    return during


def in_the_second_episode(monkeypatch: pytest.MonkeyPatch, event: Callable[[], None]) -> None:
    """Have something happen when it begins."""
    play = run_module.run_episode

    async def played(team, world, *, episode, **arguments):
        if episode == 1:
            event()
        return await play(team, world, episode=episode, **arguments)

    monkeypatch.setattr(run_module, "run_episode", played)


def kill_node_1(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisors: list[Supervisor] = []
    start = Supervisor.start

    def noting(self: Supervisor, slot: int) -> None:
        supervisors.append(self)
        start(self, slot)

    monkeypatch.setattr(Supervisor, "start", noting)
    in_the_second_episode(monkeypatch, lambda: os.kill(at_work_for(supervisors[-1].process(1).pid), signal.SIGKILL))


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_second_episode(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))


def test_a_run_whose_messages_were_not_all_counted_is_not_reported(bundles, tmp_path, capsys, silent_in):
    silent_in(1)
    assert bandwidth(bundles, "--episodes", 2, "--out", tmp_path) == 6
    told = capsys.readouterr()
    assert f"the measured run is not whole: {NOT_TOLD}" in told.err
    assert told.out == ""
    assert not [name for name in REPORT if (tmp_path / name).exists()]


@pytest.mark.parametrize(
    ("trouble", "episodes", "code", "said"),
    [
        (kill_node_1, 4, 6, "the measured run is not whole: node 1 was killed by SIGKILL"),
        (press_ctrl_c, 1000, 130, "interrupted"),
    ],
    ids=["killed", "stopped"],
)
def test_nor_is_one_that_lost_a_node_or_was_stopped(
    bundles, tmp_path, capsys, monkeypatch, trouble, episodes, code, said
):
    trouble(monkeypatch)
    assert bandwidth(bundles, "--episodes", episodes, "--out", tmp_path) == code
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert not [name for name in REPORT if (tmp_path / name).exists()]


@pytest.mark.slow
def test_a_cell_whose_messages_were_not_all_counted_is_a_failed_one_everywhere(bundles, tmp_path, capsys, silent_in):
    pytest.importorskip("matplotlib")
    silent_in(2)  # the first is the measured run
    assert bandwidth(bundles, "--episodes", 2, "--sweep", "codec=bit-packed", "--out", tmp_path) == 6
    reason = f"its message counts are not exact: {NOT_TOLD}"
    shown = " ".join(capsys.readouterr().out.split())
    assert reason in shown
    assert "1 of 2 cells are finished" in shown
    assert reason in (tmp_path / "report.html").read_text()
    document = json.loads((tmp_path / "report.json").read_text())
    assert [each["reason"] for each in document["sweep"]["failed"]] == [reason]
    assert document["sweep"]["clear_level"] is None
    curves = csv.DictReader((tmp_path / "curves.csv").read_text().splitlines())
    assert [row["axis"] for row in curves] == ["blind"]
    cells = [json.loads(path.read_text()) for path in (tmp_path / "cells").iterdir()]
    assert [cell["failure"]["reason"] for cell in cells if cell["played"] is None] == [reason]
