"""The demo from training to the table, and the evaluation of its run folder, with a training of seconds."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 120
SMALL = (
    "threads=1",
    "device=cpu",
    "environment.copies=4",
    "schedule.env_steps=48",
    "evaluation.episodes=4",
    "evaluation.final_episodes=4",
    "replay.capacity=200",
    "replay.batch=4",
    "replay.minimum=20",
    "mamba.model_updates=1",
    "mamba.model.hidden=16",
    "mamba.model.recurrent=16",
    "mamba.model.categoricals=4",
    "mamba.model.classes=8",
    "mamba.model.heads=2",
    "mamba.policy.rounds=1",
    "mamba.policy.epochs=1",
    "mamba.policy.critic_heads=2",
)


def finish(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heliograph", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.fixture(scope="module", autouse=True)
def warm_trainings(warm_variables):
    """The demo itself begins from nothing, and hands over what it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in warm_variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory, warm_trainings):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("demo") / "run"
    overrides = [word for setting in SMALL for word in ("--set", setting)]
    arguments = ["--preset", "relay-signal", "--folder", folder, "--episodes", 5, "--json", folder / "demo.json"]
    return folder, finish("demo", *arguments, "--minimum-outcome", 0, *overrides)


def test_the_demo_ends_with_its_table(demo):
    folder, shown = demo
    assert shown.returncode == 0, shown.stderr
    for row in (
        "success with messages",
        "success with every message masked",
        "bound without communication",
        "bits per agent-step",
        "step latency p50",
        "step latency p99",
        "masked messages",
        "late messages",
        "total time",
    ):
        assert row in shown.stdout
    told = json.loads((folder / "demo.json").read_text())
    assert [summary["episodes"] for summary in told["summaries"]] == [5, 5]
    assert told["summaries"][0]["bits_per_agent_step"] == 4 * 3 + 2
    assert told["seconds"]["total"] >= told["seconds"]["training"] + told["seconds"]["running"] - 0.01


def test_a_demo_in_a_folder_whose_run_is_finished_trains_nothing_and_fails_below_the_bar(demo):
    folder, _ = demo
    shown = finish("demo", "--preset", "relay-signal", "--folder", folder, "--episodes", 5)
    assert shown.returncode == 1, shown.stderr
    assert f"bundles are in {folder} already" in shown.stderr
    assert "success with messages" in shown.stdout
    assert "is below the minimum of 0.9" in shown.stderr


def test_a_demo_that_does_not_reach_its_target_fails_and_says_how_to_go_on(demo, tmp_path):
    # As the demo's own preset asks for, and with a team that has learned nothing yet.
    folder = tmp_path / "run"
    overrides = [word for setting in (*SMALL, "schedule.must_reach=true") for word in ("--set", setting)]
    shown = finish("demo", "--preset", "relay-signal", "--folder", folder, *overrides)
    assert shown.returncode == 10, shown.stderr
    assert "where 1 was asked for" in shown.stderr
    assert f"go on with the demo: heliograph demo --folder {folder} --preset relay-signal" in shown.stderr
    assert "success with messages" not in shown.stdout


def test_a_run_folder_is_evaluated_beside_its_networks(demo):
    folder, _ = demo
    arguments = ["--episodes", 40, "--sampled", "--links", "both", "--central", "--json", folder / "both.json"]
    shown = finish("evaluate", folder, *arguments)
    assert shown.returncode == 0, shown.stderr
    told = json.loads((folder / "both.json").read_text())
    assert [(entry["episodes"], entry["label"]) for entry in told["central"]] == [
        (40, "with messages"),
        (40, "every message masked"),
    ]
    assert "centralised networks" in shown.stdout
    # The first pass plays the same episodes with the same noise on both sides; the second continues the numbering here.
    assert told["summaries"][0]["outcome"] == told["central"][0]["outcome"]


def test_the_central_evaluation_knows_no_other_world(demo):
    folder, _ = demo
    refused = finish("evaluate", folder, "--central", "--set", "length=3")
    assert refused.returncode == 2
    assert "without --set" in refused.stderr


def test_a_training_that_fails_ends_the_demo_with_its_code(tmp_path):
    pytest.importorskip("torch")
    failed = finish("demo", "--folder", tmp_path / "run", "--preset", "no-such-preset")
    assert failed.returncode == 2
    assert "no-such-preset" in failed.stderr
