"""`heliograph compare` as a user runs it: tables, JSON, plots and the CSV behind them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from recorded_runs import recorded_run

from heliograph.aggregates import aggregate, probability_of_improvement
from heliograph.cli import main

pytestmark = pytest.mark.drawn

GOLDEN = Path(__file__).parents[1] / "golden" / "comparison" / "all.json"
PLOTS = ("curves.png", "scores.png", "profiles.png")
TABLES = ("curves.csv", "scores.csv", "profiles.csv", "improvement.csv", "runs.csv")
SCORES = {("relay", "ego"): [0.8, 0.9, 0.7], ("relay", "none"): [0.2, 0.75, 0.3], ("relay-signal", "ego"): [1.0, 0.9]}
SCORES["relay-signal", "none"] = [0.4, 0.5]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, two settings, two or three seeds each."""
    path = tmp_path_factory.mktemp("runs")
    for (task, heard), scores in SCORES.items():
        for seed, score in enumerate(scores):
            recorded_run(
                path / f"{task}-{heard}-{seed}",
                [0.1 * score, 0.5 * score, score],
                seed=seed,
                environment=task,
                final=score,
                mamba={"communication": heard},
            )
    return path


@pytest.fixture(scope="module")
def compared(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    output = tmp_path_factory.mktemp("comparison")
    command = ["compare", str(runs), "--by", "mamba.communication", "--output", str(output)]
    assert main([*command, "--json", str(output / "all.json")]) == 0
    return output, json.loads((output / "all.json").read_text())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.arrays
def test_scores_and_improvement_are_the_aggregates_of_the_runs(compared):
    _, document = compared
    sections = {section["name"]: section for section in document["sections"]}
    assert list(sections) == ["relay", "relay-signal", "all 2 tasks"]
    ego = sections["relay"]["labels"]["communication=ego"]
    assert ego["iqm"] == vars(aggregate([SCORES["relay", "ego"]]))
    assert (ego["runs"], ego["minimum"], ego["maximum"]) == (3, 0.7, 0.9)
    both = [SCORES["relay", heard] for heard in ("ego", "none")]
    (pair,) = sections["relay"]["improvement"]
    expected = probability_of_improvement([both[0]], [both[1]])
    assert pair == {"of": "communication=ego", "over": "communication=none", **vars(expected)}
    assert pair["value"] == pytest.approx(8 / 9)
    together = sections["all 2 tasks"]["labels"]["communication=ego"]
    assert together["iqm"] == vars(aggregate([SCORES["relay", "ego"], SCORES["relay-signal", "ego"]]))
    assert together["runs"] == 5
    assert together["mean"]["value"] == pytest.approx((0.8 + 0.95) / 2)


@pytest.mark.slow
def test_the_document_is_the_golden_one(runs: Path, tmp_path: Path):
    """Made of the same runs before the document had types: key for key, number for number."""
    made = tmp_path / "all.json"
    named = [str(runs / f"relay-signal-{heard}-{seed}") for heard in ("ego", "none") for seed in (0, 1)]
    command = ["compare", *named, "--by", "mamba.communication", "--output", str(tmp_path)]
    assert main([*command, "--json", str(made)]) == 0
    assert json.loads(made.read_text()) == json.loads(GOLDEN.read_text())


@pytest.mark.slow
def test_runs_of_several_kinds_under_one_label_that_nobody_gave_are_told(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(runs / f"relay-{heard}-0") for heard in ("ego", "none")]
    others = [str(runs / f"relay-signal-{heard}-0") for heard in ("ego", "none")]
    assert main(["compare", *both, others[0], "--out", str(tmp_path / "mixed")]) == 0
    assert capsys.readouterr().err == (
        "heliograph compare: runs labelled mamba differ in mamba.communication, and count as seeds of one thing in "
        "relay: tell them apart by LABEL=RUN, or by --by mamba.communication\n"
    )
    alike = [str(runs / f"relay-ego-{seed}") for seed in (0, 1)]
    for words in (
        alike,
        [f"both={each}" for each in both],
        [*both, "--by", "mamba.communication"],
        [both[0], others[1]],
    ):
        assert main(["compare", *words, "--out", str(tmp_path / "apart")]) == 0
        assert capsys.readouterr().err == ""


def test_a_document_on_stdout_is_alone_there(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "relay-ego-0"), "--out", str(tmp_path / "out"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"]
    assert (tmp_path / "out" / "scores.csv").is_file()


def test_a_comparison_is_whole_without_its_plots(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("built for numpy 1")

    monkeypatch.setattr("analysis.comparison.plots.draw_plots", broken)
    command = ["compare", str(runs), "--by", "mamba.communication", "--output", str(tmp_path)]
    assert main([*command, "--json", str(tmp_path / "all.json")]) == 0
    assert "communication=ego" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {*TABLES, "all.json"}
    assert "no plots: RuntimeError: built for numpy 1" in [record.getMessage() for record in caplog.records]


def test_plots_and_the_numbers_behind_them_are_written(compared):
    output, document = compared
    for name in (*PLOTS, "improvement.png"):
        assert (output / name).read_bytes().startswith(b"\x89PNG")
    curve = document["curves"][0]["labels"]["communication=none"]
    written = [r for r in rows(output / "curves.csv") if (r["task"], r["label"]) == ("relay", "communication=none")]
    assert [int(row["env_steps"]) for row in written] == [1000, 2000, 3000]
    for column in ("value", "low", "high"):
        assert [float(row[column]) for row in written] == curve[column]
    assert len(rows(output / "runs.csv")) == 10
    assert {(row["of"], row["over"]) for row in rows(output / "improvement.csv")} == {
        ("communication=ego", "communication=none")
    }
    profile = [row for row in rows(output / "profiles.csv") if row["section"] == "relay"]
    assert {float(row["value"]) for row in profile if float(row["threshold"]) == 0.75} == {2 / 3, 0.0}
    statistics = {row["statistic"] for row in rows(output / "scores.csv")}
    assert statistics == {"iqm", "mean", "median", "gap"}


def test_the_tables_say_what_was_compared(runs: Path, tmp_path: Path, capsys):
    output = tmp_path / "out"
    assert main(["compare", f"all[heard]={runs}/relay-ego-*", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    for part in ("all[heard]", "won: final evaluation on fresh episodes", "0.800 [0.700, 0.900]", "fewer than 5 runs"):
        assert part in shown
    assert "probability" not in shown, "one label has nothing to improve on"
    assert sorted(path.name for path in output.iterdir()) == sorted((*PLOTS, *TABLES))


def test_the_table_says_after_how_many_steps_each_row_was_scored(tmp_path: Path, capsys):
    recorded_run(tmp_path / "early", [0.5, 0.9, 0.9], final=0.988, ended=3500)
    recorded_run(tmp_path / "late", [0.1, 0.2], first=9000, seed=1)
    output = tmp_path / "out"
    assert main(["compare", f"a={tmp_path}/early", f"b={tmp_path}/late", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    scored = {}  # the first table's rows, by label
    for line in shown.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if cells:
            scored.setdefault(cells[0], cells[2:5])
    assert scored["a"] == ["3,500", "final evaluation on fresh episodes", "0.988 [n/a]"]
    assert scored["b"] == ["10,000", "last evaluation on the way", "0.200 [n/a]"]
    assert "There are no curves" in shown
    assert not (output / "curves.png").exists()
    kept = [(row["label"], row["env_steps"], row["score"]) for row in rows(output / "runs.csv")]
    assert kept == [("a", "3500", "0.988"), ("b", "10000", "0.2")]


def test_one_run_gets_no_invented_interval(runs: Path, tmp_path: Path, capsys):
    document = tmp_path / "one.json"
    arguments = ["compare", str(runs / "relay-ego-0"), "--output", str(tmp_path / "out"), "--json", str(document)]
    assert main(arguments) == 0
    assert "0.800 [n/a]" in capsys.readouterr().out
    (section,) = json.loads(document.read_text())["sections"]
    assert section["labels"]["mamba"]["iqm"] == {"value": 0.8, "low": None, "high": None}
    assert all(row["low"] == "" for row in rows(tmp_path / "out" / "curves.csv"))


def test_mistakes_end_in_a_sentence(runs: Path, tmp_path: Path, capsys):
    assert main(["compare", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["compare", str(runs), "--output", str(tmp_path / "file" / "out")])
    assert f"{tmp_path / 'file'} is no folder" in capsys.readouterr().err
    (tmp_path / "out" / "scores.csv").mkdir(parents=True)
    assert main(["compare", str(runs), "--output", str(tmp_path / "out")]) == 2
    assert "Name another folder: --out" in capsys.readouterr().err


@pytest.mark.slow
def test_comparing_loads_no_torch(runs: Path, tmp_path: Path):
    program = (
        "import sys\nfrom heliograph.cli import main\n"
        f"code = main(['compare', {str(runs / 'relay-ego-0')!r}, '--output', {str(tmp_path / 'out')!r}])\n"
        "assert 'torch' not in sys.modules\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
