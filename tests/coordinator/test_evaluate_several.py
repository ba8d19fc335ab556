"""`heliograph evaluate` with several teams, policies and references: one row each, and what they come to together."""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from child_environment import importing_test_modules
from relay_team import relay_bundles
from scripted_bundle import save_team, scripted_team
from waiting_game import ANNOUNCEMENT

from heliograph.aggregates import aggregate
from heliograph.bundle import make
from heliograph.cli import main
from heliograph.environments.reference import run_reference
from heliograph.errors import WorldError
from heliograph.manifest import sha256
from heliograph.marl_eval import EvaluatedRun, read, write

DEADLINE_S = 60


def run_folder(path: Path, *, seed: int, agents: int = 2, copies: int = 16) -> Path:
    """A finished run as far as the coordinator looks at it."""
    save_team(relay_bundles(agents, run_id=f"run-{seed}"), path / "bundles")
    (path / "settings.json").write_text(json.dumps({"seed": seed, "environment": {"copies": copies}}))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    return [str(run_folder(folder / f"seed{seed}", seed=seed)) for seed in (3, 4)]


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


@pytest.mark.slow
def test_every_run_and_policy_has_a_row_and_equals_its_own_evaluation(runs, tmp_path: Path, capsys):
    common = ["--episodes", 6, "--seed", 5]
    document = tmp_path / "scores.json"
    assert evaluate(*runs, *common, "--policy", "both", "--json", document) == 0
    shown = capsys.readouterr().out
    assert "6 episodes, seed 5, relay, after 0 env steps, bundles, open" in shown
    assert "over runs, each with its mean" in shown
    scores = json.loads(document.read_text())
    rows = [(score["run"], score["policy"]) for score in scores["scores"]]
    assert rows == [(run, policy) for run in runs for policy in ("greedy", "sampled")]
    for score in scores["scores"]:
        alone = tmp_path / "alone.json"
        assert evaluate(score["run"], *common, "--policy", score["policy"], "--json", alone) == 0
        (summary,) = json.loads(alone.read_text())["summaries"]
        assert (summary["outcome"], summary["team_return"]) == (score["outcome"], score["return"])
        assert len(score["outcomes"]) == summary["episodes"] == 6
    (greedy, sampled) = scores["groups"]
    means = [score["outcome"]["mean"] for score in scores["scores"]]
    assert greedy["iqm"] == vars(aggregate([means[0::2]]))
    assert sampled["mean"]["value"] == pytest.approx(sum(means[1::2]) / 2)


def test_runs_that_were_trained_otherwise_are_not_seeds_of_one_thing(tmp_path: Path, capsys):
    copies = {3: 16, 4: 16, 5: 8, 6: 8}
    paths = [str(run_folder(tmp_path / f"run-{seed}", seed=seed, copies=copies[seed])) for seed in copies]
    document, file = tmp_path / "scores.json", tmp_path / "results.json"
    assert evaluate(*paths, "--episodes", 2, "--json", document, "--marl-eval", file) == 0
    shown = capsys.readouterr().out
    assert "scripted copies=16" in shown
    assert "scripted copies=8" in shown
    scores = json.loads(document.read_text())
    assert [(group["variant"], group["runs"]) for group in scores["groups"]] == [
        ("copies=16", paths[:2]),
        ("copies=8", paths[2:]),
    ]
    assert [score["variant"] for score in scores["scores"]] == ["copies=16"] * 2 + ["copies=8"] * 2
    assert {(run.algorithm, run.run) for run in read(file)} == {
        ("scripted (copies=16)", "seed_3"),
        ("scripted (copies=16)", "seed_4"),
        ("scripted (copies=8)", "seed_5"),
        ("scripted (copies=8)", "seed_6"),
    }


def test_references_play_the_runs_episodes_in_the_runs_worlds(runs, tmp_path: Path, capsys):
    document = tmp_path / "scores.json"
    arguments = ["--set", "size=3", "--reference", "random", "--episodes", 4, "--links", "both", "--json", document]
    assert evaluate(runs[0], *arguments) == 0
    capsys.readouterr()
    scores = json.loads(document.read_text())["scores"]
    assert [(score["run"], score["links"]) for score in scores] == [(runs[0], "open"), (runs[0], "cut"), ("random", "")]
    expected = run_reference("relay", "random", parameters={"size": 3}, episodes=4, seed=0)
    assert scores[-1]["outcomes"] == expected.outcome.tolist()
    assert scores[-1]["team_return"] == pytest.approx(expected.team_return.tolist())
    assert evaluate("--reference", "random", "--environment", "relay", "--episodes", 4, "--json", document) == 0
    assert [score["run"] for score in json.loads(document.read_text())["scores"]] == ["random"]


def test_results_are_added_to_a_marl_eval_file(runs, tmp_path: Path):
    file = tmp_path / "results.json"
    write(file, [EvaluatedRun(environment="relay", task="relay", algorithm="theirs", run="seed_0")])
    assert evaluate(*runs, "--episodes", 3, "--policy", "both", "--reference", "random", "--marl-eval", file) == 0
    found = {(run.algorithm, run.run): run for run in read(file)}
    assert sorted(found) == [
        ("random", "seed_0"),
        ("scripted", "seed_3"),
        ("scripted", "seed_4"),
        ("scripted-sampled", "seed_3"),
        ("scripted-sampled", "seed_4"),
        ("theirs", "seed_0"),
    ]
    run = found["scripted", "seed_3"]
    assert (run.environment, run.task, [step.step_count for step in run.steps]) == ("relay", "relay", [0])
    assert run.steps[0].metrics == run.absolute
    assert {name: len(values) for name, values in run.absolute.items()} == {"won": 3, "return": 3}


def test_a_minimum_holds_for_every_run(runs, capsys):
    assert evaluate(*runs, "--episodes", 2, "--minimum-outcome", 0.0) == 0
    assert evaluate(*runs, "--episodes", 2, "--minimum-outcome", 1.5) == 1
    told = capsys.readouterr().err
    assert all(f"{run}: outcome" in told for run in runs)


def test_runs_in_different_worlds_say_so(runs, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    three = run_folder(Path("three"), seed=3, agents=3)
    assert evaluate(runs[0], three, "--episodes", 2, "--marl-eval", "results.json") == 0
    shown = capsys.readouterr().out
    assert "relay[agents=3]" in shown
    assert {run.task for run in read(Path("results.json"))} == {"relay", "relay[agents=3]"}


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ([], 2, "there is nothing to evaluate"),
        (["--reference", "random"], 2, "there is nothing to evaluate"),
        (["RUN", "--reference", "shortest"], 2, "has no reference policy 'shortest'. Known are random"),
        (["RUN", "RUN2", "--record", "x.jsonl"], 2, "--record shows one evaluation"),
        (["RUN", "RUN2", "--set", "nonsense=1"], 2, "unknown key nonsense"),
        (["RUN", "RUN2", "--environment", "relay-signal"], 3, "trained in 'relay', not in 'relay-signal'"),
        (["RUN", "RUN2", "--set", "size=3", "--checkpoints", "all"], 2, "without --set"),
        (["RUN", "RUN2", "--codec", "repeats", "--central"], 2, "no messages that --codec could change"),
        (["RUN", "--codec", "entropie"], 2, "Did you mean entropy?"),
        (["RUN", "RUN2", "--codec", "entropy"], 2, "these bundles hold none. Export the run again"),
        (["RUN", "RUN2", "--codec", "most-informative:9"], 2, "with M from 1 to 4"),
        (["RUN", "TWIN", "--marl-eval", "x.json"], 2, "have the same task and seed"),
        (["RUN", "STOPPED"], 2, "its training has not ended"),
        (["RUN", "NOWHERE"], 3, "nowhere does not exist. Name a run folder, or a folder of bundles"),
        (["RUN", "--policy", "both", "--episodes", 0], 2, "episodes must be at least 1"),
    ],
)
def test_what_cannot_be_evaluated_is_told_before_anything_is_played(
    runs, tmp_path: Path, capsys, arguments, code, part
):
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    (stopped / "settings.json").write_text('{"seed": 9}')
    twin = run_folder(tmp_path / "twin", seed=3)
    named = {"RUN": runs[0], "RUN2": runs[1], "TWIN": twin, "STOPPED": stopped, "NOWHERE": tmp_path / "nowhere"}
    assert evaluate(*(named.get(argument, argument) for argument in arguments)) == code
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.out == ""


@pytest.mark.slow
def test_ctrl_c_shows_what_was_finished(tmp_path: Path):
    team = scripted_team(
        team_size=2,
        actions=3,
        observation_size=4,
        environment="waiting_game:make",
        environment_parameters={"announce_at": 40},
    )
    for name in ("one", "two"):
        save_team(team, tmp_path / name)
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "heliograph",
            "evaluate",
            "one",
            "two",
            "--allow-environment",
            "waiting_game:make",
            "--episodes",
            "100000",
        ],
        cwd=tmp_path,
        env=importing_test_modules() | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(DEADLINE_S, running.kill)
    watchdog.start()
    try:
        assert running.stderr is not None
        assert any(ANNOUNCEMENT in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    finally:
        watchdog.cancel()
        running.kill()
    assert running.returncode == 130
    assert "interrupted" in err
    assert "one" in out
    assert "two" not in out


@pytest.mark.slow
def test_processes_side_by_side_play_the_same_episodes(runs, tmp_path: Path):
    reports, records = [], []
    for jobs in (1, 2):
        report, record = tmp_path / f"{jobs}.json", tmp_path / f"{jobs}.jsonl"
        assert evaluate(runs[0], "--episodes", 5, "--json", report, "--record", record, "--jobs", jobs) == 0
        (summary,) = json.loads(report.read_text())["summaries"]
        reports.append({name: summary[name] for name in ("outcome", "team_return", "steps", "messages")})
        records.append(record.read_text())
    assert reports[0] == reports[1]
    assert records[0] == records[1]


@pytest.mark.slow
def test_an_error_in_one_of_several_processes_gets_through(tmp_path: Path, capsys):
    team = relay_bundles(2)
    manifest = replace(team[1].manifest, graph_sha256=sha256(b"no graph"))
    save_team([team[0], make(manifest, b"no graph")], tmp_path)
    assert evaluate(tmp_path, "--episodes", 4, "--jobs", 2) == 3
    told = capsys.readouterr().err
    assert told.startswith("heliograph evaluate: ")
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_in_its_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world = {"environment": "waiting_game:make", "environment_parameters": {"killed_at": 9}}
    save_team(scripted_team(team_size=2, actions=3, observation_size=4, **world), tmp_path / "team")
    given = ("--environment", world["environment"], "--episodes", 30, "--jobs", 2)
    assert evaluate(tmp_path / "team", *given) == WorldError.exit_code
    told = capsys.readouterr().err
    assert re.search(r"the process that ran episode \d+ was ended by signal 9\. .*fewer --jobs", told), told
    assert not multiprocessing.active_children()


def test_a_channel_acts_on_bundles_and_has_no_place_among_central_networks(runs, tmp_path: Path, capsys):
    common = ["--episodes", 5, "--json", tmp_path / "report.json"]
    played = {}
    for name, arguments in {"clear": [], "lossy": ["--channel", "erasure=0.5", "--channel", "silent=1"]}.items():
        assert evaluate(runs[0], *common, *arguments) == 0
        played[name] = json.loads((tmp_path / "report.json").read_text())
    assert played["clear"]["channel"] is None
    assert played["lossy"]["channel"] == "erasure=0.5,silent=1"
    lossy, clear = (played[name]["summaries"][0] for name in ("lossy", "clear"))
    assert lossy["messages"] == clear["messages"] / 2, "nobody hears slot 1, so it says nothing"
    assert 0 < lossy["lost"] < lossy["messages"]
    capsys.readouterr()
    assert evaluate(*runs, *common, "--channel", "nearest=0") == 0
    assert evaluate(runs[0], "--central", "--channel", "erasure=0.5") == 2
    assert "no messages that --channel could change" in capsys.readouterr().err
