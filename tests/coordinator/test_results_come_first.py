"""Nothing that is drawn, read from results or written for other programs costs a command the results themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

import analysis.audit.audit
import analysis.audit.report
from analysis.audit.condition import conditions
from analysis.audit.finding import Findings
from analysis.bandwidth import measure_command, trace_command
from analysis.bandwidth.report import folder as report_folder
from heliograph.cli import main
from heliograph.errors import NodeFailed


def broken(*_arguments: object, **_named: object) -> None:
    raise RuntimeError("built for numpy 1")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_team(relay_bundles(2), tmp_path_factory.mktemp("team") / "bundles")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "heliograph.optional"]


def test_a_bandwidth_report_is_there_without_its_plots_its_page_and_what_was_read(
    bundles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module, name in ((report_folder, "draw"), (report_folder, "page"), (measure_command, "read_language")):
        monkeypatch.setattr(module, name, broken)
    out = tmp_path / "out"
    assert main(["bandwidth", str(bundles), "--local", "--episodes", "2", "--out", str(out)]) == 0
    assert "bytes by layer" in capsys.readouterr().out
    document = json.loads((out / "report.json").read_text())
    assert document["summary"]["episodes"] == 2
    assert document["language"] is None
    assert (out / "layers.csv").is_file()
    cause = "RuntimeError: built for numpy 1"
    told = ("no language analysis", "no plots", "no report.html")
    assert warnings(caplog) == [f"{each}: {cause}" for each in told]


@pytest.mark.slow
def test_an_audit_that_fails_costs_no_sweep(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_plan: object) -> None:
        raise NodeFailed("node 1 died")

    monkeypatch.setattr(measure_command, "make_audit", failing)
    out = tmp_path / "out"
    arguments = ["--local", "--episodes", "2", "--sweep", "erasure=0,1", "--audit", "--out", str(out)]
    assert main(["bandwidth", str(bundles), *arguments]) == NodeFailed.exit_code
    told = capsys.readouterr()
    assert "bytes by layer" in told.out
    assert "node 1 died" in told.err
    assert len(json.loads((out / "report.json").read_text())["sweep"]["cells"]) == 2


def test_an_audit_is_written_and_told_without_its_drawing(
    bundles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    drawn = conditions(agents=2, messages=True, greedy=True, limit=6, random=np.random.default_rng(0))
    found = Findings(title="", environment="", agents=2, greedy=True, run_seed=0, bundles=(), conditions=drawn)
    monkeypatch.setattr(analysis.audit.audit, "audit", lambda *_arguments, **_named: found)
    monkeypatch.setattr(analysis.audit.report, "draw", broken)
    assert main(["audit", str(bundles), "--out", str(tmp_path / "out")]) == 0
    assert "Nothing refutes" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["agents"] == 2
    assert warnings(caplog) == ["no drawing of the audit: RuntimeError: built for numpy 1"]


def test_a_language_analysis_is_written_and_told_without_its_picture(
    bundles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    trace = tmp_path / "trace.jsonl"
    assert main(["evaluate", str(bundles), "--episodes", "8", "--record", str(trace)]) == 0
    capsys.readouterr()
    monkeypatch.setattr(trace_command, "draw_language", broken)
    out = tmp_path / "out"
    assert main(["bandwidth", "language", str(trace), "--out", str(out)]) == 0
    assert capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["language.csv", "language.json"]
    assert warnings(caplog) == ["no language.png: RuntimeError: built for numpy 1"]


def test_a_table_is_shown_when_its_file_cannot_be_written(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").symlink_to("/dev/full")
    arguments = ["--episodes", "2", "--json", str(tmp_path / "report.json")]
    for more in ([], ["--policy", "both"]):
        assert main(["evaluate", str(bundles), *arguments, *more]) != 0
        told = capsys.readouterr()
        assert "success" in told.out or "won" in told.out
        assert "report.json" in told.err
