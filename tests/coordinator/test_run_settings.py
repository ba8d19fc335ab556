"""An option of a run is declared once: commands, checks, JSON and the table of the documentation follow from it."""

from __future__ import annotations

import argparse
import dataclasses
import json

import pytest
from relay_team import relay_bundles, relay_plan

from coordinator.channel import Channel
from coordinator.commands import arguments, evaluate, run, serve
from coordinator.plan.options import add_options, as_json, declared_in, identity, option, read_options, table
from coordinator.plan.plan import Plan, make_plan
from coordinator.plan.settings import RunSettings
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate as evaluate_plan
from coordinator.running.report import Report
from heliograph.environments.vector import MOST_STEPS
from heliograph.errors import SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoreSettings(RunSettings):
    rounds_of_talk: int = option(3, "how often agents exchange messages in a step", at_least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MorePlan(Plan, MoreSettings):
    pass


def parser_of(configure) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser


def test_a_field_is_an_option_of_the_commands(monkeypatch):
    for module in (arguments, evaluate, run):
        monkeypatch.setattr(module, "RunSettings", MoreSettings)
    for command in (run, serve, evaluate):
        parser = parser_of(command.configure)
        assert "--rounds-of-talk" in parser.format_help()
        assert "how often agents exchange messages" in parser.format_help()
        required = ["--bundles", "team"] if command is run else []
        assert parser.parse_args(required).rounds_of_talk == 3
        namespace = parser.parse_args([*required, "--rounds-of-talk", "5"])
        assert read_options(namespace, MoreSettings) == MoreSettings(rounds_of_talk=5)


def test_a_field_is_checked_and_told_in_the_report_and_the_documentation():
    with pytest.raises(SettingsError, match="rounds_of_talk must be at least 1, not 0"):
        MoreSettings(rounds_of_talk=0)
    plan = relay_plan(2, episodes=1)
    same = {each.name: getattr(plan, each.name) for each in dataclasses.fields(plan)}
    found = Report.of(MorePlan(**same, rounds_of_talk=2), plan.world("open").spec, team="2 processes", summaries=[])
    assert found.as_dict()["settings"]["rounds_of_talk"] == 2
    assert "| `--rounds-of-talk` | `3` | how often agents exchange messages in a step |\n" in table(MoreSettings)


def test_a_field_tells_runs_apart_unless_it_has_its_default():
    assert identity(MoreSettings()) == {}
    assert identity(MoreSettings(rounds_of_talk=2), always=["seed"]) == {"seed": 0, "rounds_of_talk": 2}


def test_whoever_asks_for_nothing_gets_the_defaults():
    parser = argparse.ArgumentParser()
    for settings in (RunSettings, LaunchSettings):
        add_options(parser, settings)
    namespace = parser.parse_args([])
    assert read_options(namespace, RunSettings) == RunSettings()
    assert read_options(namespace, LaunchSettings, node_options=None) == LaunchSettings(node_options=None)
    assert RunSettings().most_steps == MOST_STEPS


def test_every_option_is_offered_but_where_it_means_nothing():
    names = {each.name for settings in (RunSettings, LaunchSettings) for each in declared_in(settings)}
    offered = {
        command: set(vars(parser_of(command.configure).parse_args(["--bundles", "team"] if command is run else [])))
        for command in (run, serve, evaluate)
    }
    assert names - offered[run] == {"frames"}, "processes are not filmed"
    assert names - offered[serve] == {"frames", "restarts", "log_folder", "transport"}, (
        "its nodes are started elsewhere"
    )
    waiting = {"message_deadline_s", "action_deadline_s", "period_s"}
    of_processes = {each.name for each in declared_in(LaunchSettings)} - {"watch"}
    assert names - offered[evaluate] == waiting | of_processes, "one process waits for nobody"


def test_what_was_asked_for_reads_back():
    parser = argparse.ArgumentParser()
    add_options(parser, RunSettings)
    words = "--seed 7 --sampled --links both --channel erasure=0.5 --channel delay-ms=3 --late hold --period-s 0.5"
    asked = read_options(parser.parse_args(words.split()), RunSettings)
    assert (asked.run_seed, asked.greedy, asked.conditions, asked.late_policy) == (7, False, ("open", "cut"), "hold")
    assert asked.channel == Channel.parse("erasure=0.5", "delay-ms=3")
    assert asked.pace.period_s == 0.5
    told = as_json(asked)
    assert json.loads(json.dumps(told)) == told
    assert (told["seed"], told["passes"], told["channel"]) == (7, ["open", "cut"], "erasure=0.5,delay-ms=3")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("episodes", 0, "episodes must be at least 1, not 0"),
        ("most_steps", 0, "most_steps must be at least 1, not 0"),
        ("late_policy", "drop", "late must be one of trained, mask, hold, predict, not 'drop'"),
        ("run_seed", 2**64, "the seed must be in"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_bounds(field, value, told):
    with pytest.raises(SettingsError, match=told):
        make_plan(relay_bundles(2), **{field: value})


def test_a_report_holds_every_option_of_its_run():
    report = evaluate_plan(relay_plan(2, episodes=1, greedy=True))
    names = {each.name for each in declared_in(RunSettings)}
    assert set(report.as_dict()["settings"]) == names
    assert report.as_dict()["settings"]["message_deadline_s"] == 3
