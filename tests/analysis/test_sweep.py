"""A sweep's cells: finished ones stay, failed ones are marked and say why, and the rest goes on."""

import dataclasses
import json
import os
import signal

import pytest
from relay_team import relay_bundles, relay_plan

from analysis.bandwidth import sweep as sweep_module
from analysis.bandwidth.cell import Cell, Failure, read_result, run_cell
from analysis.bandwidth.curves import curves, level
from analysis.bandwidth.grid import BLIND, CLEAR, Setting, make_grid
from analysis.bandwidth.runs import PlanFactory, Run, load_runs
from analysis.bandwidth.sweep import Sweep, check_sweep, run_sweep
from coordinator.plan.settings import RunSettings
from coordinator.running import node_team
from coordinator.running import run as run_module
from coordinator.serving.supervisor import Supervisor
from heliograph.errors import BundleMismatch, NodeFailed, SettingsError, WorldError
from heliograph.sending import Sending

BUNDLES = tuple(relay_bundles(2, length=6))
SPEC = relay_plan(2, length=6).world("open").spec
RUNS = tuple(Run(name=name, folder=None, bundles=BUNDLES) for name in ("one", "two"))


def sweep(folder, *axes, runs=1, episodes=3, plans=PlanFactory, **arguments):
    grid = make_grid(axes or ["erasure=0.5,1"], manifest=BUNDLES[0].manifest, tables=None, spec=SPEC)
    return Sweep(
        folder=folder,
        grid=grid,
        plans=plans(runs=RUNS[:runs], settings=RunSettings(episodes=episodes)),
        **{"local": True, "seeds": (3, 4), **arguments},
    )


def played(sweep, *, resume=False):
    results = []
    run_sweep(sweep, resume=resume, results=results)
    return results


def without_time(result):
    return dataclasses.replace(result, found=dataclasses.replace(result.found, seconds=0.0))


@pytest.fixture
def count_cells(monkeypatch):
    """The cells that are played, in order; the fixture's `stop_before` interrupts one."""

    class Counted(list):
        stop_before = None

        def play(self, cell, *arguments, **keywords):
            if len(self) == self.stop_before:
                raise KeyboardInterrupt
            self.append(cell)
            return run_cell(cell, *arguments, **keywords)

    counted = Counted()
    monkeypatch.setattr(sweep_module, "run_cell", counted.play)
    return counted


@pytest.mark.slow
def test_an_interrupted_sweep_keeps_its_cells_and_resumes_with_the_others(tmp_path, count_cells):
    count_cells.stop_before = 3
    results = []
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep(tmp_path), resume=False, results=results)
    assert [result.cell for result in results] == count_cells == list(sweep(tmp_path).cells[:3])
    kept = {path.name: path.read_bytes() for path in (tmp_path / "cells").iterdir()}
    assert len(kept) == 3

    count_cells.stop_before = None
    count_cells.clear()
    resumed = played(sweep(tmp_path), resume=True)
    assert count_cells == list(sweep(tmp_path).cells[3:])
    assert {result.cell for result in resumed} == set(sweep(tmp_path).cells)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cells").iterdir() if path.name in kept} == kept
    assert played(sweep(tmp_path), resume=True) == played(sweep(tmp_path), resume=True)
    assert count_cells == list(sweep(tmp_path).cells[3:]), "nothing was left to play"
    whole = played(sweep(tmp_path / "whole"))
    assert {without_time(result) for result in resumed} == {without_time(result) for result in whole}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"episodes": 5}, "episodes: 3 there, 5 here"),
        ({"seeds": (3, 4, 9)}, "seeds: here also 9"),
        ({"runs": 2}, "runs two: None there"),
        ({"local": False}, "as: 'one process' there, 'processes' here"),
    ],
)
def test_a_folder_goes_on_only_with_its_own_sweep(tmp_path, other, said):
    played(sweep(tmp_path))
    with pytest.raises(SettingsError, match=said):
        played(sweep(tmp_path, **other), resume=True)
    with pytest.raises(SettingsError, match=r"settings: there also .*erasure"):
        played(sweep(tmp_path, "erasure=0.5"), resume=True)
    with pytest.raises(SettingsError, match="holds a sweep already"):
        played(sweep(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", '{"format": "another", "version": 1}', "[1, 2]"])
def test_a_cell_that_cannot_be_read_back_is_named(tmp_path, text):
    found = sweep(tmp_path)
    played(found)
    path = tmp_path / "cells" / f"{found.cells[0].name}.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=path.name):
        played(found, resume=True)


class Deadly(PlanFactory):
    """Kills the process that plays a certain cell."""

    def __call__(self, cell):
        if cell.seed == 4 and "1" in cell.setting.channel:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(cell)


@pytest.mark.slow
def test_cells_in_several_processes_are_those_of_one_and_a_process_that_dies_costs_its_cell_alone(tmp_path):
    one = played(sweep(tmp_path / "one", "erasure=1"))
    several = played(sweep(tmp_path, "erasure=1", plans=Deadly, jobs=2))
    (failed,) = (result for result in several if result.failure)
    assert (failed.cell.seed, failed.cell.setting.channel) == (4, "erasure=1")
    assert failed.failure.reason == "its worker process was ended by signal 9"
    again = played(sweep(tmp_path, "erasure=1"), resume=True)
    assert not any(result.failure for result in again), "a failed cell is played again"
    expected = {without_time(result) for result in one}
    assert {without_time(result) for result in again} == expected
    assert {without_time(result) for result in several if result.played} < expected


@pytest.mark.slow
@pytest.mark.usefixtures("warm_teams")
def test_a_cell_of_processes_is_that_of_one_process():
    plans = PlanFactory(runs=RUNS[:1], settings=RunSettings(episodes=3))
    cell = Cell(run="one", seed=3, setting=Setting(channel="erasure=0.5", late="hold"))
    over_grpc, local = (run_cell(cell, plans, local=local) for local in (False, True))
    assert without_time(over_grpc) == without_time(local)
    assert 0 < local.found.read_bits < local.found.sent_bits


@pytest.mark.slow
@pytest.mark.usefixtures("warm_teams")
def test_a_node_that_dies_marks_its_cell_and_the_rest_is_played(tmp_path, monkeypatch):
    supervisors = []

    class Watched(Supervisor):
        def __enter__(self):
            supervisors.append(self)
            return super().__enter__()

    run_episode = run_module.run_episode

    async def disturbed(team, world, *, episode, **arguments):
        if len(supervisors) == 1 and episode == 1:
            supervisors[0].process(1).kill()
            assert await team.wait_until(lambda: team.live == (0,), timeout_s=20)
        return await run_episode(team, world, episode=episode, **arguments)

    monkeypatch.setattr(node_team, "Supervisor", Watched)
    monkeypatch.setattr(run_module, "run_episode", disturbed)
    found = sweep(tmp_path, "codec=bit-packed", seeds=(3,), local=False)
    first, other = played(found)
    assert isinstance(first.found, Failure)
    assert "node 1 was killed by SIGKILL" in first.found.reason
    assert first.found.exit_code == NodeFailed.exit_code
    assert read_result(tmp_path / "cells", first.cell) == first
    assert other.played


def test_what_a_world_does_wrong_is_the_cells_failure():
    def plan(cell):
        raise WorldError("the world ended")

    cell = Cell(run="one", seed=0, setting=Setting())
    assert run_cell(cell, plan, local=True).found == Failure(reason="the world ended", exit_code=5)


@pytest.mark.slow
def test_curves_are_over_seeds_of_one_run_and_over_runs_of_several(tmp_path):
    one = sweep(tmp_path / "one", "erasure=0,1")
    over_seeds = curves(one, played(one))
    assert [curve.axis for curve in over_seeds] == [CLEAR, BLIND, "erasure"]
    (erasure,) = (curve for curve in over_seeds if curve.axis == "erasure")
    assert [point.value for point in erasure.points] == ["0", "1"]
    whole, nothing = erasure.points
    assert whole.read_bits == pytest.approx(whole.sent_bits * 5 / 6), (
        "nobody reads what was said at the last of 6 steps"
    )
    assert nothing.read_bits == 0.0
    assert nothing.runs == level(over_seeds, BLIND).runs, "without any message the team is blind"
    assert whole.runs == level(over_seeds, CLEAR).runs
    assert len(whole.runs) == 2
    two = sweep(tmp_path / "two", "erasure=0,1", runs=2)
    assert all(len(point.runs) == 2 for curve in curves(two, played(two)) for point in curve.points)


def test_messages_of_another_episode_are_one_point_beside_the_others(tmp_path):
    found = sweep(tmp_path, "links=permuted")
    results = played(found)
    several = curves(found, results)
    assert [curve.axis for curve in several] == [CLEAR, BLIND, "permuted"]
    returns = {result.cell.setting.links: result.played.team_return for result in results if result.cell.seed == 3}
    assert len(set(returns.values())) == 3
    whole, permuted = level(several, CLEAR), level(several, "permuted")
    assert permuted.read_bits == whole.read_bits > 0
    with pytest.raises(SettingsError, match="Add --local-cells"):
        sweep(tmp_path / "processes", "links=permuted", local=False)


def test_a_condition_that_cannot_be_run_is_told_before_any_cell_is(tmp_path, count_cells):
    with pytest.raises(SettingsError, match="need a second one"):
        played(sweep(tmp_path, "links=permuted", episodes=1))
    assert count_cells == []


@pytest.mark.parametrize(
    ("manifest", "axis", "said"),
    [
        ({}, "late=mask,predict", "predict no messages that are not there"),
        ({"format_version": 2, "sending": Sending(heartbeat=3, changes=0)}, "late=hold,mask", "Give --late hold"),
    ],
    ids=["predicting", "withholding"],
)
def test_a_late_policy_that_a_team_cannot_have_is_told_before_anything_is_measured(
    tmp_path, count_cells, manifest, axis, said
):
    bundles = tuple(
        dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, **manifest)) for bundle in BUNDLES
    )
    runs = (Run(name="one", folder=None, bundles=bundles),)
    grid = make_grid(["erasure=0.5", axis], manifest=bundles[0].manifest, tables=None, spec=SPEC)
    asked = Sweep(folder=tmp_path, grid=grid, plans=PlanFactory(runs=runs), local=True)
    with pytest.raises(SettingsError, match=said):
        check_sweep(asked, resume=False)
    with pytest.raises(SettingsError, match=said):
        played(asked)
    assert count_cells == []


def test_points_whose_cells_are_not_all_there_are_left_out(tmp_path):
    found = sweep(tmp_path)
    results = played(found)
    some = [result for result in results if "0.5" not in result.cell.setting.channel or result.cell.seed == 3]
    (erasure,) = (curve for curve in curves(found, some) if curve.axis == "erasure")
    assert [point.value for point in erasure.points] == ["1"]


def test_names_of_cells_tell_them_apart(tmp_path):
    found = sweep(tmp_path, "erasure=0,0.25,0.5", "late=mask,hold", runs=2)
    assert len({cell.name for cell in found.cells}) == len(found.cells)
    assert all(json.dumps(cell.name).isascii() and "/" not in cell.name for cell in found.cells)


def test_side_by_side_is_for_one_process_each(tmp_path):
    with pytest.raises(SettingsError, match="in parallel"):
        sweep(tmp_path, local=False, jobs=2)


def test_runs_of_different_worlds_are_refused(tmp_path):
    for name, length in (("a", 6), ("b", 7)):
        for slot, bundle in enumerate(relay_bundles(2, length=length)):
            bundle.save(tmp_path / name / f"agent-{slot}")
    with pytest.raises(BundleMismatch, match="environment parameters"):
        load_runs([tmp_path / "a", tmp_path / "b"])
    assert [run.name for run in load_runs([tmp_path / "a", tmp_path / "a"])] == ["0-a", "1-a"]
