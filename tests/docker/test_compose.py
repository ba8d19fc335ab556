"""`docker compose up` for real: from training to the table and the exit code; a killed node; bad links."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from engine import ROOT, RUN, Log, Project, docker, inspect, run_file

DRAIN_DEADLINE_S = 5.0
CONTAINERS = (("coordinator",), ("node", 2), ("node", 1))

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(1800)]


def life(container: str) -> tuple[str, str, bool]:
    """Which container it is, since when its process runs, and whether it does: what a new start would change."""
    found = inspect("container", container)
    return found["Id"], found["State"]["StartedAt"], found["State"]["Running"]


def test_up_trains_runs_prints_the_table_and_ends_with_0(project: Project, first_up: tuple[int, str]) -> None:
    code, said = first_up
    assert code == 0, said
    assert "target outcome reached" in said
    assert "success (95 % interval)" in said
    assert "All 2 links conserve: every message sent was received." in said
    open_pass, cut_pass = run_file(project, "result.json")["summaries"]
    assert (open_pass["episodes"], cut_pass["episodes"]) == (50, 50)


@pytest.mark.usefixtures("first_up")
def test_up_again_trains_nothing_and_fails_below_the_bar(project: Project) -> None:
    code, said = project.compose("up", "--no-build", minimum=1.5)
    assert f"bundles are in {RUN} already" in said
    assert "is below the minimum of 1.5" in said
    assert code != 0


@pytest.mark.usefixtures("first_up")
def test_the_team_goes_on_without_a_killed_node_which_is_brought_back_alone(project: Project, slow: Path) -> None:
    """By the two ways of docs/deploy.md, in a shell that knows nothing of the settings that `up` was given."""
    plain, project = project, project.with_overlay(slow)
    with Log(project.command("up", "--no-build"), environment=project.environment({"minimum": 0.1})) as up:
        up.until("running address")
        coordinator, killed, removed = (project.container(*which) for which in CONTAINERS)
        before = life(coordinator), life(removed)
        docker("kill", killed)
        left = up.until("node left").partition("slot=")[2].split()[0]
        docker("start", killed)
        assert up.until("node joined").partition("slot=")[2].split()[0] == left
        assert (life(coordinator), life(removed)) == before
        before = life(coordinator), life(killed)
        docker("rm", "--force", removed)
        left = up.until("node left").partition("slot=")[2].split()[0]
        code, said = plain.compose("up", "--no-build", "--detach", "--no-deps", "--no-recreate", "node")
        assert code == 0, said
        assert up.until("node joined").partition("slot=")[2].split()[0] == left
        assert (life(coordinator), life(killed)) == before
        up.until("success (95 % interval)")
        assert up.process.wait(60) == 0, up.text
    # The node that was made anew has a number of its own; other tests look for those that a first `up` gives.
    assert plain.compose("rm", "--force", "--stop", "node")[0] == 0
    summary = run_file(project, "result.json")["summaries"][0]
    assert summary["episodes"] == 50
    assert summary["masked"] > 0


@pytest.mark.usefixtures("first_up")
def test_processes_are_healthy_while_they_play_and_drain_on_sigterm(project: Project, tmp_path: Path) -> None:
    # With options of its own: the episodes of a run that is cut off are kept for the next one with the same options.
    own = tmp_path / "compose.own.yaml"
    options = "--period-s 0.11 --log-level info"
    own.write_text(f"services: {{coordinator: {{environment: {{COORDINATOR_OPTIONS: {options}}}}}}}\n")
    project = project.with_overlay(own)
    with Log(project.command("up", "--no-build"), environment=project.environment({"minimum": 0.1})) as up:
        up.until("running address")
        for service in ("coordinator", "node"):
            name = project.container(service)
            port = 7100 if service == "coordinator" else 7200
            assert docker("exec", name, "heliograph", "health", f"127.0.0.1:{port}", "--wait", "10") == "SERVING\n"
        for service, code in (("node", 0), ("coordinator", 130)):
            started = time.monotonic()
            docker("stop", "--time", "30", project.container(service))
            assert time.monotonic() - started < DRAIN_DEADLINE_S
            assert inspect("container", project.container(service))["State"]["ExitCode"] == code
        up.process.wait(60)


@pytest.mark.usefixtures("first_up")
def test_faults_lose_messages_that_the_books_account_for(project: Project) -> None:
    faulty = project.with_overlay(ROOT / "compose.faults.yaml")
    code, said = faulty.compose("up", "--no-build", minimum=0.1)
    assert code == 0, said
    assert run_file(project, "result.json")["summaries"][0]["lost"] > 0


@pytest.mark.parametrize("overlay", sorted(path.name for path in ROOT.glob("compose.*.yaml")))
def test_every_overlay_is_one(overlay: str) -> None:
    code, said = Project(ROOT / overlay).compose("config", "--quiet")
    assert (code, said) == (0, "")
