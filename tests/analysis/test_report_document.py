"""report.json holds what it always held, key for key and number for number, and can be read back.

The golden file was made, before the report had types, of the same team and by the command in `ARGUMENTS`; its sentences
are newer.  What depends on the machine or on libraries is left out: seconds, versions and the digests of bundles.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from analysis.bandwidth.command import COMMAND
from analysis.bandwidth.report.folder import read_document
from analysis.bandwidth.report.tables import files
from analysis.tables.csv_files import write_tables
from heliograph import cli

# All need the report of a sweep, which takes seconds.
pytestmark = [pytest.mark.slow, pytest.mark.arrays]

GOLDEN = Path(__file__).parents[1] / "golden" / "bandwidth" / "report.json"
ARGUMENTS = "--local --episodes 6 --sweep erasure=0,1 --sweep late=mask,hold --seeds 1,2"


def without_machine(document):
    del document["versions"], document["summary"]["seconds"], document["settings"]["bundles"]
    for cell in document["sweep"]["played"]:
        del cell["seconds"]
    return document


def assert_same(made, golden, place="report"):
    """Equal, numbers up to rounding; and of one type."""
    assert type(made) is type(golden), place
    if isinstance(made, dict):
        assert made.keys() == golden.keys(), place
        for key in made:
            assert_same(made[key], golden[key], f"{place}.{key}")
    elif isinstance(made, list):
        assert len(made) == len(golden), place
        for index, pair in enumerate(zip(made, golden, strict=True)):
            assert_same(*pair, f"{place}[{index}]")
    elif isinstance(made, float):
        # Distances that tie in one version of numpy differ in their last bit in another, and so in their ranks.
        apart = 1e-3 if ".topographic_similarity." in place else 1e-12
        assert np.isclose(made, golden, rtol=1e-9, atol=apart), place
    else:
        assert made == golden, place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("matplotlib")
    team = save_team(relay_bundles(3, length=6), tmp_path_factory.mktemp("team") / "talk" / "bundles")
    out = tmp_path_factory.mktemp("report")
    arguments = ["bandwidth", "measure", str(team), *ARGUMENTS.split(), "--out", str(out)]
    assert cli.run({"bandwidth": COMMAND}, arguments) == 0
    return out


def test_the_document_is_the_golden_one(folder):
    made = without_machine(json.loads((folder / "report.json").read_text()))
    assert_same(made, json.loads(GOLDEN.read_text()))


def test_a_report_that_is_read_back_is_the_same(folder, tmp_path):
    report = read_document(folder)
    assert report is not None
    written = json.loads((folder / "report.json").read_text())
    assert json.loads(json.dumps({"format": written["format"], "version": written["version"], **report.as_dict()})) == (
        written
    )
    tables = write_tables(files(report), tmp_path)
    assert {path.name for path in tables} == {path.name for path in folder.glob("*.csv")}
    for path in tables:
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_cell_says_its_late_policy_and_its_late_messages_apart(folder):
    played = json.loads((folder / "report.json").read_text())["sweep"]["played"]
    assert {cell["late_policy"] for cell in played} == {"mask", "hold"}
    assert all(cell["late_messages"] == cell["late"] == 0 for cell in played), "whoever reads `late` reads on"
    header = (folder / "cells.csv").read_text().splitlines()[0].split(",")
    assert header.count("late_policy") == header.count("late_messages") == 1


def test_a_report_of_before_that_is_still_read(folder, tmp_path):
    document = json.loads((folder / "report.json").read_text())
    for cell in document["sweep"]["played"]:
        del cell["late_policy"], cell["late_messages"]
    (tmp_path / "report.json").write_text(json.dumps(document))
    report = read_document(tmp_path)
    assert {(cell.late_policy, cell.late_messages) for cell in report.sweep.played} == {("", None)}


def test_a_bound_that_was_measured_is_not_called_the_most_that_any_team_reaches(folder, capsys):
    from analysis.bandwidth.report import plots, terminal, text

    exact = read_document(folder)
    found = replace(
        exact,
        summary=replace(exact.summary, blind_bound_measured=True),
        sweep=replace(exact.sweep, blind_bound_measured=True),
    )
    for report, told in ((exact, False), (found, True)):
        terminal.print_report(report)
        assert ("best found without messages" in " ".join(capsys.readouterr().out.split())) == told
        assert any("another rule may reach more" in tile.what for tile in text.tiles(report)) == told
        assert any("the most that any team" in tile.what for tile in text.tiles(report)) != told
        (legend,) = plots.score_against_faults(report.sweep).legends
        assert ("best found without messages" in [entry.get_text() for entry in legend.get_texts()]) == told


def test_a_sweep_of_a_single_value_is_drawn_with_its_interval_and_its_legend_below(folder):
    from analysis.bandwidth.report import plots

    sweep = read_document(folder).sweep
    one = [replace(curve, points=curve.points[:1]) for curve in sweep.curves if curve.axis == "erasure"]
    figure = plots.score_against_faults(replace(sweep, curves=tuple(one)))
    (axes,) = figure.axes
    assert axes.get_xticks().tolist() == [0.0]
    assert len(axes.collections) == len(one), "a line for each interval, where a band of one point would be nothing"
    assert axes.get_legend() is None
    assert len(figure.legends) == 1
