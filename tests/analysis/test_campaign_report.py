"""What a campaign's results come to: IQMs at steps, improvement, cost; what nobody measured is unknown, never 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.campaign import result as result_module
from analysis.campaign.document import CampaignReport, document_of, report_of
from analysis.campaign.estimates import left
from analysis.campaign.grid import Run, cells_of, runs_of
from analysis.campaign.page import markdown
from analysis.campaign.places import places_of
from analysis.campaign.planning import Plan, plans_of
from analysis.campaign.plots import figures
from analysis.campaign.result import CurvePoint, PolicyScores, RunResult, Score, read_result, write_result
from analysis.campaign.scores import series_of
from analysis.campaign.settings import CampaignSettings
from analysis.campaign.standing import Standing, State, standing, standings
from analysis.comparison.plots import BANDS
from heliograph.aggregates import interquartile_mean
from heliograph.cli import main
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.errors import OutputFailed, SettingsError
from heliograph.toml_text import toml_document

CAMPAIGN = CampaignSettings.model_validate(
    {
        "name": "try",
        "baseline": "mappo",
        "seeds": [0, 1, 2],
        "steps": [500, 1000, 5000],
        "evaluation": {"episodes": 50},
        "worlds": {"w": {"preset": "{method}-relay-sighted", "env_steps": 1000}},
        "methods": {"mag": {}, "mappo": {}, "mabl": {}},
    }
)


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    found = plans_of(cells_of(CAMPAIGN), permission=CATALOGUE_ONLY, source="campaign")
    return {each.cell.name: each for each in found}


def result_of(run: Run, plan: Plan, **more: Any) -> RunResult:
    """A run that learns in proportion to its steps and 100 times its seed, and costs 2 s of processor a step."""
    level = 0.1 * (run.seed + 1)
    score = Score(
        mean=level, low=0.0, high=1.0, team_return=1.0, episodes=50, bits_per_agent_step=None, missed_deadlines=0
    )
    fields: dict[str, Any] = {
        "campaign": "try",
        "world": run.cell.world,
        "method": run.cell.method,
        "variant": None,
        "seed": run.seed,
        "preset": run.cell.preset,
        "algorithm": plan.algorithm,
        "heliograph": "0.1.0",
        "machine": "here",
        "ended": "steps",
        "detail": "",
        "env_steps": 1000,
        "seconds": 9.0,
        "cpu_seconds": 2000.0,
        "measure": "won",
        "blind_bound": None,
        "lost_episodes": 0,
        "evaluation_seed": run.cell.evaluation.seed,
        "by_processes": True,
        "scores": {"sampled": PolicyScores(score=score, masked=None), "greedy": PolicyScores(score=score, masked=None)},
        "curve": [
            CurvePoint(
                env_steps=steps,
                seconds=1.0,
                cpu_seconds=2.0 * steps,
                outcome={"sampled": level * steps / 1000, "greedy": 0.0},
                team_return={"sampled": 0.5},
            )
            for steps in (200, 600, 800)
        ],
        "settings": dict(plan.settings),
        "digest": plan.digest,
    }
    return RunResult(**{**fields, **more})


def reported(tmp_path: Path, plans: dict[str, Plan], results: dict[str, dict[str, Any]]) -> CampaignReport:
    """The report over results of these runs, each with what is another in it."""
    places = places_of("try", tmp_path / "out", None)
    runs = runs_of(cells_of(CAMPAIGN))
    for run in runs:
        if run.name in results:
            write_result(places.result(run), result_of(run, plans[run.cell.name], **results[run.name]))
    return report_of(CAMPAIGN, standings(runs, plans, places))


ALL = {f"w/{method}/seed-{seed}": {} for method in ("mag", "mappo") for seed in range(3)}


def test_a_result_is_read_as_it_was_written_and_is_small(tmp_path: Path, plans: dict[str, Plan]) -> None:
    run = runs_of(cells_of(CAMPAIGN))[0]
    result = result_of(run, plans[run.cell.name], cpu_seconds=None, variant="v")
    write_result(tmp_path / "seed-0.json", result)
    assert read_result(tmp_path / "seed-0.json") == result
    assert '"env_steps": [200, 600, 800]' in (tmp_path / "seed-0.json").read_text()
    assert (tmp_path / "seed-0.json").stat().st_size < 6_000


def test_a_result_that_the_disk_refuses_is_said_and_the_old_one_stays(
    tmp_path: Path, plans: dict[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs_of(cells_of(CAMPAIGN))[0]
    result = result_of(run, plans[run.cell.name])
    write_result(tmp_path / "seed-0.json", result)

    def refuse(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result_module, "replace_text", refuse)
    with pytest.raises(
        OutputFailed, match=r"cannot write .*seed-0\.json: No space left on device\. Make room on that disk"
    ):
        write_result(tmp_path / "seed-0.json", result)
    assert read_result(tmp_path / "seed-0.json") == result


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"curve": {"env_steps": [1], "seconds": [], "cpu_seconds": []}}, "not of one length"),
        ({"curve": {"env_steps": [], "seconds": [], "cpu_seconds": [], "magic": []}}, "magic, which is unknown"),
        ({"magic": 1}, "magic"),
        ({"detail": "\x1b[2J"}, "text that would steer the terminal"),
        ({"settings": {"\x1b[2J": 1}}, "text that would steer the terminal"),
        ({"scores": {"\x1b[2J": {}}}, "text that would steer the terminal"),
        ({"env_steps": -1}, "env_steps: Input should be greater than or equal to 0"),
        ({"blind_bound": 1e308}, "blind_bound: Input should be less than or equal to 1"),
    ],
)
def test_what_is_no_result_is_said(tmp_path: Path, plans: dict[str, Plan], change: dict[str, Any], said: str) -> None:
    run = runs_of(cells_of(CAMPAIGN))[0]
    path = tmp_path / "seed-0.json"
    write_result(path, result_of(run, plans[run.cell.name]))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SettingsError, match=said):
        read_result(path)


def test_scores_are_taken_at_steps_with_their_cost(tmp_path: Path, plans: dict[str, Plan]) -> None:
    report = reported(tmp_path, plans, ALL)
    (sampled, _) = report.worlds
    assert sampled.measure == "won"
    mag, mappo, mabl = sampled.labels
    values = [0.5 * 0.1 * (seed + 1) for seed in range(3)]
    half, whole = mag.at
    assert half.iqm is not None
    assert half.iqm.value == pytest.approx(float(interquartile_mean([np.array(values)])))
    assert half.cpu_seconds == pytest.approx(1000.0)
    assert whole.iqm is not None
    assert whole.iqm.value == pytest.approx(0.2)
    assert half.improvement is not None
    assert half.improvement.value == 0.5, "the same scores"
    assert mappo.at[0].improvement is None
    assert (mabl.found, mabl.end.iqm, mabl.end.cpu_seconds, mabl.by_steps) == (0, None, None, None)
    assert mag.by_steps is not None
    assert mag.by_steps.at.tolist() == [200, 600, 800, 1000]
    assert mag.by_cpu_seconds is not None
    assert mag.by_cpu_seconds.at.tolist() == [400, 1200, 1600, 2000]


def test_what_is_not_known_is_unknown_and_never_nought(tmp_path: Path, plans: dict[str, Plan]) -> None:
    runs = {"w/mag/seed-0": {"ended": "time", "env_steps": 900, "cpu_seconds": None}, "w/mag/seed-1": {}}
    report = reported(tmp_path, plans, runs)
    mag, mappo, _ = report.worlds[0].labels
    assert [at.runs for at in mag.at] == [2, 1], "one of them did not come so far"
    assert report.cpu_seconds is None
    assert mappo.at[0].iqm is None
    assert mag.at[0].improvement is None
    page = markdown(report, file="try.toml", plots=[])
    row = next(line for line in page.splitlines() if line.startswith("| mappo"))
    assert row.count("unknown") == 3
    assert "| mag | 2 of 3 |" in page
    assert "Runs that ended by their time, before their steps: 1, mag in w." in page
    assert "- w/mag/seed-2: not begun" in page
    document = document_of(report)
    assert document["worlds"][0]["labels"]["mappo"]["at"][0]["iqm"] is None
    assert document["worlds"][0]["labels"]["mag"]["at"][0]["cpu_seconds"] == pytest.approx(1000.0)


def test_weights_stand_beside_what_they_cost(tmp_path: Path, plans: dict[str, Plan]) -> None:
    counted = {name: {"parameters": 12_345} for name in ALL} | {"w/mappo/seed-1": {"parameters": None}}
    report = reported(tmp_path, plans, counted)
    mag, mappo, mabl = report.worlds[0].labels
    assert (mag.parameters, mappo.parameters, mabl.parameters) == ((12_345, 12_345), None, None)
    page = markdown(report, file="try.toml", plots=[])
    costs = page.partition("processor time of training")[2]
    cells = {line.split(" | ")[0]: line.split(" | ")[-1] for line in costs.splitlines() if line.startswith("| ma")}
    assert cells == {"| mag": "12,345 |", "| mappo": "unknown |", "| mabl": "unknown |"}
    assert document_of(report)["worlds"][0]["labels"]["mag"]["parameters"] == (12_345, 12_345)


def test_weights_that_nobody_has_counted_are_no_column(tmp_path: Path, plans: dict[str, Plan]) -> None:
    uncounted = {name: {"parameters": None} for name in ALL}
    assert "weights" not in markdown(reported(tmp_path, plans, uncounted), file="try.toml", plots=[])


def test_weights_that_differ_between_runs_are_a_range(tmp_path: Path, plans: dict[str, Plan]) -> None:
    report = reported(tmp_path, plans, {f"w/mag/seed-{seed}": {"parameters": 2_000 - seed} for seed in range(3)})
    assert "| 1,998 to 2,000 |" in markdown(report, file="try.toml", plots=[])


def test_a_result_from_before_weights_were_counted_is_read(tmp_path: Path, plans: dict[str, Plan]) -> None:
    run = runs_of(cells_of(CAMPAIGN))[0]
    path = tmp_path / "seed-0.json"
    write_result(path, result_of(run, plans[run.cell.name], parameters=7))
    fields = json.loads(path.read_text())
    assert fields.pop("parameters") == 7
    path.write_text(json.dumps(fields))
    found = read_result(path)
    assert found is not None
    assert found.parameters is None


def test_a_bound_that_was_measured_is_told_from_an_exact_one(tmp_path: Path, plans: dict[str, Plan]) -> None:
    for measured in (False, True):
        results = {"w/mag/seed-0": {"blind_bound": 0.287, "blind_bound_measured": measured}}
        report = reported(tmp_path / str(measured), plans, results)
        page = markdown(report, file="try.toml", plots=[])
        assert ("A team that receives no messages reaches 0.287 at best." in page) != measured
        assert ("The best rule found for a team that receives no messages reaches 0.287." in page) == measured
        assert document_of(report)["worlds"][0]["blind_bound_measured"] == measured


def test_before_the_first_evaluation_and_after_the_last_nothing_is_known(plans: dict[str, Plan]) -> None:
    run = runs_of(cells_of(CAMPAIGN))[0]
    plan = plans[run.cell.name]
    series = series_of(result_of(run, plan), "sampled")
    assert series is not None
    assert [series.at(steps) is None for steps in (100, 200, 1000, 1001)] == [True, False, False, True]
    at_target = series_of(result_of(run, plan, ended="outcome"), "sampled")
    assert at_target is not None
    assert at_target.at(100_000) == pytest.approx(0.1), "it would go on as it is"
    assert at_target.cpu_at(100_000) == 2000.0, "and cost nothing more"
    assert series_of(result_of(run, plan, ended="diverged", scores={}), "sampled") is None


def test_a_run_that_diverged_is_named_and_gives_no_score(tmp_path: Path, plans: dict[str, Plan]) -> None:
    more = {"w/mag/seed-1": {"ended": "diverged", "scores": {}, "detail": "model loss is nan"}}
    report = reported(tmp_path, plans, ALL | more)
    mag = report.worlds[0].labels[0]
    assert (mag.found, mag.diverged) == (2, 1)
    page = markdown(report, file="try.toml", plots=[])
    assert "| mag | 2 of 3, 1 diverged |" in page
    assert "- w/mag/seed-1: diverged: model loss is nan" in page


def test_results_of_other_settings_or_evaluations_count_for_nothing(tmp_path: Path, plans: dict[str, Plan]) -> None:
    plan = plans["w/mag"]
    other = {"settings": plan.settings | {"schedule.env_steps": 7}}
    more = {"w/mag/seed-0": other, "w/mag/seed-1": {"evaluation_seed": 3}, "w/mag/seed-2": {"seed": 1}}
    report = reported(tmp_path, plans, ALL | more)
    assert report.worlds[0].labels[0].found == 0
    told = {each.run.name: each.detail for each in report.missing if each.state is State.DIFFERS}
    assert "other settings: schedule.env_steps 7, not 1000" in told["w/mag/seed-0"]
    assert "another evaluation: 50 episodes of seed 3" in told["w/mag/seed-1"]
    assert "another run: mag in w, seed 1" in told["w/mag/seed-2"]


def test_a_team_that_talks_and_was_not_masked_is_another_evaluation(tmp_path: Path, plans: dict[str, Plan]) -> None:
    score = Score(
        mean=0.5, low=0.0, high=1.0, team_return=1.0, episodes=50, bits_per_agent_step=15.0, missed_deadlines=0
    )
    open_alone = PolicyScores(score=score, masked=None)
    both = PolicyScores(score=score, masked=score)
    more = {
        "w/mag/seed-0": {"scores": {"sampled": open_alone, "greedy": both}},
        "w/mag/seed-1": {"scores": {"sampled": both, "greedy": both}},
    }
    report = reported(tmp_path, plans, ALL | more)
    (differing,) = (each for each in report.missing if each.state is State.DIFFERS)
    assert differing.run.name == "w/mag/seed-0"
    assert differing.detail.endswith("is of an evaluation without masked messages")


def test_a_team_that_talks_and_heard_no_other_episode_is_another_evaluation_where_that_is_wanted(
    tmp_path: Path, plans: dict[str, Plan]
) -> None:
    score = Score(
        mean=0.5, low=0.0, high=1.0, team_return=1.0, episodes=50, bits_per_agent_step=15.0, missed_deadlines=0
    )
    wanted = CAMPAIGN.model_copy(update={"evaluation": CAMPAIGN.evaluation.model_copy(update={"permuted": True})})
    run = runs_of(cells_of(wanted))[0]
    places, plan = places_of("try", tmp_path / "out", None), plans[run.cell.name]
    for permuted, state in ((None, State.DIFFERS), (score, State.DONE)):
        both = PolicyScores(score=score, masked=score, permuted=permuted)
        write_result(places.result(run), result_of(run, plan, scores={"sampled": both, "greedy": both}))
        found = standing(run, plan, places)
        assert found.state is state
        if permuted is None:
            assert found.detail.endswith("is of an evaluation without the messages of another episode")


def test_what_runs_have_lost_is_told(tmp_path: Path, plans: dict[str, Plan]) -> None:
    more = {"w/mag/seed-0": {"lost_episodes": 2, "ended": "outcome"}, "w/mag/seed-1": {"lost_episodes": 1}}
    report = reported(tmp_path, plans, ALL | more)
    assert "Episodes of training lost with their simulator: mag 3." in report.remarks
    assert "Runs that ended at their target, and count with their last score from there on: 1." in report.remarks


def test_what_is_trained_and_being_measured_has_no_training_left(plans: dict[str, Plan]) -> None:
    run = next(each for each in runs_of(cells_of(CAMPAIGN)) if each.cell.name == "w/mag")
    early: dict[str, Any] = {"run": run, "plan": plans["w/mag"], "env_steps": 400, "cpu_seconds": 4.0}
    measuring, begun = Standing(state=State.MEASURING, **early), Standing(state=State.BEGUN, **early)
    assert left([measuring]).seconds == 0.0, "it ended at its target, before its steps"
    assert left([measuring, begun]).seconds == pytest.approx(6.0)


def test_the_curve_of_cost_is_drawn_only_where_all_runs_counted_it(tmp_path: Path, plans: dict[str, Plan]) -> None:
    report = reported(tmp_path, plans, ALL | {"w/mag/seed-0": {"cpu_seconds": None}})
    mag = report.worlds[0].labels[0]
    assert mag.by_cpu_seconds is None
    assert mag.by_steps is not None


@pytest.mark.slow
def test_a_picture_says_what_lines_and_bands_are_and_counts_seconds_in_full(
    tmp_path: Path, plans: dict[str, Plan]
) -> None:
    figure = figures(reported(tmp_path, plans, ALL))["curves-sampled.png"]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == BANDS
    steps, seconds = (axes.xaxis.get_major_formatter() for axes in figure.axes)
    assert (steps(20_000, 0), seconds(1_200, 0)) == ("20k", "1,200")


def test_processor_time_of_a_short_run_is_not_told_as_none(tmp_path: Path, plans: dict[str, Plan]) -> None:
    quick = {name: {"cpu_seconds": 0.4} for name in ALL}
    assert "| mappo | " in (page := markdown(reported(tmp_path, plans, quick), file="try.toml", plots=[]))
    assert "0.4 at 1,000" in page


def test_a_report_is_shown_and_written_although_its_json_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds = {"w": {"preset": "{method}-relay-sighted", "env_steps": 60}}
    file = tmp_path / "try.toml"
    file.write_text(
        toml_document({"name": "try", "seeds": "0", "steps": [30], "worlds": worlds, "methods": {"mappo": {}}})
    )
    (tmp_path / "full.json").symlink_to("/dev/full")
    command = ["campaign", "report", str(file), "--out", str(tmp_path / "out"), "--to", str(tmp_path / "to")]
    assert main([*command, "--json", str(tmp_path / "full.json")]) == OutputFailed.exit_code
    told = capsys.readouterr()
    assert "0 of 1 runs done" in told.out
    assert "No space left on device" in told.err
    assert {path.name for path in (tmp_path / "to").iterdir()} >= {"README.md", "report.json"}
