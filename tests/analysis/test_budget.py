"""Bits as a budget: beta and the area, teams of several trainings side by side, and the sentence about both."""

import dataclasses
import json

import numpy as np
import pytest
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team

from analysis.bandwidth.budget import area, area_under, whole_exchange_bits
from analysis.bandwidth.cell import CellResult, CellScores
from analysis.bandwidth.curves import curves, sweep_document
from analysis.bandwidth.grid import BLIND, CLEAR
from analysis.bandwidth.measurement import measure, report_of
from analysis.bandwidth.report.text import beyond_whole, worth
from analysis.bandwidth.runs import PlanFactory, load_runs
from analysis.bandwidth.sweep import Sweep
from analysis.bandwidth.teams import grid_of, trained_teams
from coordinator.channel import Channel
from coordinator.plan.settings import RunSettings
from heliograph.cli import main
from heliograph.codecs import LatentTables
from heliograph.errors import BundleMismatch, SettingsError

SPEC = relay_plan(3).world("open").spec
SCORES = {"talking": (0.9, 0.1, 300.0), "sparing": (0.89, 0.2, 30.0), "silent": (0.3, 0.3, 0.0)}
"""With messages, masked, and bits sent."""


def test_the_area_is_of_the_best_score_that_a_budget_affords():
    beta, score = np.array([0.5, 0.1, 0.75, 1.5]), np.array([0.8, 0.4, 0.6, 1.0])
    # 0.2 up to 0.1, 0.4 up to 0.5, and 0.8 from there, though more was sent for less; what is beyond 1 is not afforded.
    assert area_under(beta, score, 0.2) == pytest.approx(0.1 * 0.2 + 0.4 * 0.4 + 0.5 * 0.8)
    assert area_under(np.array([1.5]), np.array([1.0]), 0.2) == pytest.approx(0.2)
    assert area_under(np.array([0.0]), np.array([0.5]), 0.2) == pytest.approx(0.5)
    found = area([0.5], [[0.8, 0.6]], [0.2, 0.0])
    assert found.value == pytest.approx((0.5 + 0.3) / 2)
    assert found.low < found.value < found.high
    assert area([0.5], [[0.8]], [0.2]).low is None


def test_a_whole_exchange_is_a_message_of_160_bits_and_an_action_to_everyone():
    assert whole_exchange_bits(SPEC) == 2 * (160 + 3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Run folders: two seeds of a team that talks, another training of it, and a team that does not."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed, rate, messages in (
        ("talking-0", 0, 1.0, True),
        ("talking-1", 1, 1.0, True),
        ("sparing", 0, 0.5, True),
        ("silent", 0, 1.0, False),
    ):
        save_team(relay_bundles(3, messages=messages), root / name / "bundles")
        (root / name / "settings.json").write_text(json.dumps({"seed": seed, "rate": rate}))
    return root


@pytest.fixture(scope="module")
def sweep(folders):
    runs = load_runs([folders / name for name in ("talking-0", "sparing", "talking-1", "silent")], alike=False)
    plans = PlanFactory(runs=runs, settings=RunSettings(episodes=2))
    grid = grid_of(["teams"], plans=plans, spec=SPEC)
    return Sweep(folder=folders, grid=grid, plans=plans, local=True, spec=SPEC)


def played(sweep, **changes):
    """Results as if every cell had been run."""

    def scores(cell):
        open_score, masked, bits = SCORES.get(cell.run.partition("-")[0], SCORES["talking"])
        links = cell.setting.links
        return CellScores(
            measure="won",
            outcome=(open_score if links == "open" else masked) + (0.02 if cell.run == "talking-1" else 0.0),
            low=0.0,
            high=1.0,
            team_return=0.0,
            episodes=2,
            steps=12,
            seconds=0.0,
            # Whom a loss stops sooner sends less, which is no saving.
            sent_bits=(bits * (0.9 if "erasure" in cell.setting.channel else 1.0)) if links == "open" else 0.0,
            read_bits=0.0,
            messages=1,
            lost=0,
            late=0,
            missing=0,
            blind_bound=None,
            **changes,
        )

    return [CellResult(cell=cell, found=scores(cell)) for cell in sweep.cells]


def test_runs_that_differ_in_their_seed_alone_are_one_team(sweep):
    teams = trained_teams(sweep.plans.runs)
    assert [[run.name for run in team.runs] for team in teams] == [["talking-0", "talking-1"], ["sparing"], ["silent"]]
    labels = [team.label for team in teams]
    assert labels[0].endswith("4 x 8 (talking-0)")
    assert labels[2].endswith("no messages")
    assert {point.axis for point in sweep.grid.points} == {CLEAR, BLIND}


def test_every_team_is_a_point_over_its_own_runs_by_what_it_sends(sweep):
    (curve,) = curves(sweep, played(sweep), whole_bits=whole_exchange_bits(SPEC))
    silent, sparing, talking = curve.points
    assert [point.sent_bits for point in curve.points] == [0.0, 30.0, 300.0]
    assert talking.beta == pytest.approx(300 / 326)
    assert (talking.score, talking.masked) == (pytest.approx(0.91), pytest.approx(0.11))
    assert talking.low < talking.score < talking.high
    assert (sparing.runs, silent.runs) == ((0.89,), (0.3,))
    # The team without messages is the best that sends nothing.
    assert curve.area.value == pytest.approx((30 * 0.3 + 270 * 0.89 + 26 * 0.91) / 326)
    assert curve.area.low is None
    assert sweep_document(sweep, played(sweep)).bands.endswith("each team, and of a team of one run over its episodes")
    without_one = [each for each in played(sweep) if each.cell.run != "talking-1"]
    (curve,) = curves(sweep, without_one, whole_bits=1.0)
    assert len(curve.points) == 2, "not all of its runs are finished"


def test_one_sentence_says_what_messages_are_worth_and_what_they_cost(sweep, folders, tmp_path):
    plan = sweep.plans.plan(sweep.plans.runs[0], seed=0, record=tmp_path / "trace.jsonl.gz")
    report = report_of(measure(plan, links=None), None)
    assert worth(report) == "", "no sweep tells"
    told = worth(dataclasses.replace(report, sweep=sweep_document(sweep, played(sweep))))
    assert "(sparing) sends least of those within 0.02 of the best, among 3: its messages are worth 0.690 of" in told
    assert told.endswith("for 30 bits per agent and step, 0.092 of a whole exchange (beta).")
    silent_too = [
        CellResult(cell=each.cell, found=dataclasses.replace(each.found, outcome=0.9))
        if each.cell.run == "silent"
        else each
        for each in played(sweep)
    ]
    told = worth(dataclasses.replace(report, sweep=sweep_document(sweep, silent_too)))
    assert told.endswith(
        "no messages sends nothing and comes to 0.900 of success; the best of the 3 is no more than 0.02 better."
    )
    runs = load_runs([folders / "talking-0", folders / "talking-1"])
    plans = dataclasses.replace(sweep.plans, runs=runs)
    plain = dataclasses.replace(sweep, grid=grid_of(["erasure=0,1"], plans=plans, spec=SPEC), plans=plans)
    document = sweep_document(plain, played(plain))
    told = worth(dataclasses.replace(report, sweep=document))
    assert told.startswith("The messages are worth 0.800 of success (0.910 with them, 0.110 with every message masked)")
    areas = {curve.axis: curve.area for curve in document.curves}
    assert areas["erasure"] is None, "a loss saves nothing"
    assert areas[CLEAR].value == pytest.approx((300 * 0.11 + 26 * 0.91) / 326)
    assert areas[CLEAR].low < areas[CLEAR].high


def test_teams_are_run_with_what_stood_for_late_messages_in_their_own_training(folders, tmp_path):
    for name, words in (("talking", {}), ("holding", {"holds": True}), ("predicting", {"predicts": "mode"})):
        save_team(relay_bundles(3, **words), tmp_path / name / "bundles")
    runs = load_runs([tmp_path / name for name in ("talking", "holding", "predicting")], alike=False)

    def played_with(late):
        plans = PlanFactory(runs=runs, settings=RunSettings(episodes=2, **late))
        found = Sweep(folder=folders, grid=grid_of(["teams"], plans=plans, spec=SPEC), plans=plans, spec=SPEC)
        document = sweep_document(found, played(found))
        return [plans(cell).late_policy for cell in found.cells], [cell.late_policy for cell in document.played]

    of_each = ["mask", "hold", "predict"] * 2
    assert [sorted(found) for found in played_with({})] == [sorted(of_each)] * 2
    assert played_with({"late_policy": "hold"}) == (["hold"] * 6, ["hold"] * 6)


def test_a_sweep_of_teams_that_were_all_trained_alike_names_what_they_were_trained_with(sweep):
    # So cells of a sweep that an earlier version began are those of now.
    assert {setting.late for setting in sweep.grid.settings} == {"mask"}
    assert "late" not in sweep_document(sweep, played(sweep)).curves[0].label


def test_points_that_cost_more_than_a_whole_exchange_are_told(sweep):
    assert beyond_whole(sweep_document(sweep, played(sweep))) == []
    longer = [
        dataclasses.replace(each, found=dataclasses.replace(each.found, sent_bits=338.0))
        if each.cell.run.startswith("talking") and each.cell.setting.links == "open"
        else each
        for each in played(sweep)
    ]
    document = sweep_document(sweep, longer)
    assert beyond_whole(document) == [
        "teams, bit-packed: 1 of the 3 points cost more than a whole exchange, up to a beta of 1.037, which the area "
        "leaves out"
    ]
    assert document.curves[0].area.value == pytest.approx((30 * 0.3 + 296 * 0.89) / 326)


def test_no_two_curves_have_one_name(sweep, folders):
    (run,) = load_runs([folders / "talking-0"])
    tables = LatentTables(np.ones((4, 8), dtype=np.int64))
    runs = (dataclasses.replace(run, bundles=tuple(dataclasses.replace(b, tables=tables) for b in run.bundles)),)
    for settings in (RunSettings(episodes=2), RunSettings(episodes=2, channel=Channel.parse("nearest=1"))):
        plans = PlanFactory(runs=runs, settings=settings)
        axes = ["erasure=0,1", "late=mask,hold", "codec=bit-packed,entropy", "kept=1", "links=permuted"]
        grid = grid_of(axes, plans=plans, spec=SPEC)
        found = curves(several := dataclasses.replace(sweep, grid=grid, plans=plans), played(several))
        assert len(found) == 2 * 4 + 3
        assert len({curve.label for curve in found}) == len(found)
    assert "nearest=1, bit-packed, late hold" in {curve.label for curve in found}


def test_what_does_not_go_with_teams_is_refused(sweep, folders):
    with pytest.raises(SettingsError, match="not with erasure=0,1"):
        grid_of(["teams", "erasure=0,1"], plans=sweep.plans, spec=SPEC)
    with pytest.raises(SettingsError, match="tables"):
        grid_of(["teams", "codec=entropy"], plans=sweep.plans, spec=SPEC)
    lossy = dataclasses.replace(sweep.plans.settings, channel=Channel.parse("erasure=0.1"))
    with pytest.raises(SettingsError, match="needs a reliable link"):
        grid_of(["teams", "codec=repeats"], plans=dataclasses.replace(sweep.plans, settings=lossy), spec=SPEC)
    with pytest.raises(BundleMismatch, match="message"):
        load_runs([folders / "talking-0", folders / "silent"])


@pytest.mark.slow
def test_the_command_takes_teams(folders, tmp_path, capsys):
    names = [str(folders / name) for name in ("talking-0", "silent")]
    out = tmp_path / "report"
    words = ["bandwidth", "measure", *names, "--sweep", "teams", "--local", "--episodes", "2", "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "sends nothing and comes to 0.000 of success" in shown  # nobody wins two episodes, so sending gains nothing
    assert "area under the best score" in shown
    document = json.loads((out / "report.json").read_text())
    assert [curve["axis"] for curve in document["sweep"]["curves"]] == ["teams"]
