"""The soak in small: a team goes on through a kill and a stop; and what the soak would say if something were wrong."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEPS, LENGTH = 600, 20
SEED = 239
"""Slot 2 is killed early on, slot 1 stopped in the middle, for less than an action deadline: long over at the end."""


def test_a_team_of_three_lives_through_a_kill_and_a_stop_with_every_step_accounted_for(tmp_path):
    team = save_team(relay_bundles(3, length=LENGTH), tmp_path / "bundles")
    command = [sys.executable, BENCHMARKS / "soak.py", "--bundles", team, "--json", tmp_path / "soak.json"]
    command += ["--agents", 3, "--steps", STEPS, "--kills", 1, "--stops", 1, "--seed", SEED]
    soaked = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=90)
    assert soaked.returncode == 0, soaked.stdout + soaked.stderr
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["violated"] == []
    figures = found["figures"]
    assert figures["kills, stops"] == "1, 1"
    assert figures["steps, in episodes"] == f"{STEPS} in {STEPS // LENGTH}"
    agent_steps, _, acts, _, idle = figures["agent-steps = acts + idle actions"].split()
    assert int(agent_steps) == 3 * STEPS == int(acts) + int(idle)
    assert int(idle) > 0, "the killed node missed steps"
    assert figures["links that conserve, of those known"].startswith("2 of 2"), "between the two that lived through"


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import soak

    return soak


def ended(soak, **changes):
    """A soak of two agents and one episode of two steps that went well, but for the changes."""
    from soak_faults import Executioner

    entry = {"episode": 0, "steps": 2, "idle": 1, "computed_s": [0.1] * 3, "latency_s": [0.1, 0.2]}
    book = soak.Book(Path("none"))
    book.episodes = [entry | {key: changes.pop(key) for key in list(changes) if key in entry}]
    link = {"sender": 0, "receiver": 1, "missing": changes.pop("missing", 0)}
    report = {"summaries": [{"steps": 2, "idle": 1} | changes.pop("summary", {})], "links": [link]}
    memory = soak.Memory(name="node 0", process=psutil.Process(), rss_mb=changes.pop("rss_mb", [90.0] * 100))
    faults = Executioner(nodes=None, faults=[], unforeseen=changes.pop("unforeseen", []))
    fields = {"book": book, "memories": [memory], "faults": faults, "seconds": 1.0}
    fields |= {"spared": (0, 1), "still_stopped": frozenset()}
    return soak.Soaked(**fields | {"report": report, "coordinator_code": 0} | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"rss_mb": [50.0] * 25 + [90.0] * 50 + [94.0] * 25}, []),
        ({"rss_mb": [200.0] * 25 + [90.0] * 50 + [95.0] * 25}, ["node 0: RSS spreads by 5.6%"]),
        ({"rss_mb": [90.0] * 20 + [190.0] * 20}, []),
        ({"computed_s": [0.1] * 2}, ["episode 0: 2 acts and 1 idle actions"]),
        ({"latency_s": [0.1, 2.5]}, ["episode 0: a step of 2.5 s"]),
        ({"episode": 3}, ["the episodes are not 0 to 0, each once, but 1"]),
        ({"missing": 2}, ["link 0->1: 2 missing"]),
        ({"missing": None}, ["link 0->1: None missing"]),
        ({"missing": None, "spared": (0,)}, []),
        ({"missing": None, "still_stopped": frozenset({1})}, []),
        ({"missing": 2, "still_stopped": frozenset({1})}, ["link 0->1: 2 missing"]),
        ({"summary": {"steps": 3}}, ["the report has 3 steps, its episodes 2"]),
        ({"unforeseen": ["node 1 ended"]}, ["node 1 ended"]),
        ({"coordinator_code": 6, "report": None}, ["the coordinator ended with code 6"]),
    ],
)
def test_what_goes_wrong_is_said(soak, changes, expected):
    assert soak.violations(ended(soak, **changes), agents=2, episodes=1) == expected


def test_a_team_that_hangs_is_given_up(soak, tmp_path):
    """The other node of two is never started, so no episode ends."""
    team = save_team(relay_bundles(2, length=LENGTH), tmp_path / "bundles")
    nobody = argparse.Namespace(steps=LENGTH, kills=0, stops=0, seed=0, patience_s=0.5 - soak.START_TIMEOUT_S)
    soaked = soak.soak(team, tmp_path, agents=1, namespace=nobody)
    assert soak.violations(soaked, agents=2, episodes=1)[0].startswith("it hung: no episode ended for")
