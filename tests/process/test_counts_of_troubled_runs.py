"""What a run that is stopped, or that loses a node, says of its messages: all of it, or how much of it is known."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from relay_team import relay_plan
from warm.starting import at_work_for

from coordinator.plan.pace import Pace
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.report import Report, remarks, rows
from coordinator.serving.session import Session
from coordinator.serving.supervisor import Supervisor
from coordinator.serving.team import Team
from heliograph.link_counters import LinkCounters

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 30

PACE = Pace(action_deadline_s=10, message_deadline_s=1)
"""A message that is late on a slow machine is masked, and counts as sent all the same."""


def at_step(
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Have something happen before the nodes are asked for their so-many-th step, or right after."""
    ask = Team.ask

    def asking(self: Team, *arguments, **options) -> None:
        is_due = self.steps == number - 1
        if is_due:
            before()
        ask(self, *arguments, **options)
        if is_due:
            after()

    monkeypatch.setattr(Team, "ask", asking)


@pytest.fixture
def during_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Have something happen in the middle of the so-many-th step of a run, of which an episode has six."""
    return lambda number, event: at_step(monkeypatch, number, after=event)


@pytest.fixture
def kill_before_step(monkeypatch: pytest.MonkeyPatch, started: dict[int, int]) -> Callable[[int, int], None]:
    """Kill the process of a slot after its so-many-th step but one, so that it certainly never answers the next."""

    def killed(slot: int) -> None:
        ended = os.pidfd_open(started[slot])
        os.kill(at_work_for(started[slot]), signal.SIGKILL)
        assert select.select([ended], [], [], DEADLINE_S)[0]
        os.close(ended)

    return lambda number, slot: at_step(monkeypatch, number, before=lambda: killed(slot))


def play(*, episodes: int, restarts: int = 0, stop: asyncio.Event | None = None, **plan) -> Report:
    async def whole() -> Report:
        async with asyncio.timeout(120):
            made = relay_plan(2, episodes=episodes, pace=PACE, **plan)
            return await run(made, LaunchSettings(restarts=restarts), stop=stop or asyncio.Event())

    return asyncio.run(whole())


def test_a_stopped_run_has_counted_every_message_of_every_step(during_step):
    stop = asyncio.Event()
    during_step(6 * 20 + 3, stop.set)
    report = play(episodes=100_000, stop=stop)
    (summary,) = report.summaries
    assert report.interrupted
    assert (summary.episodes, summary.steps, summary.counted_steps) == (20, 120, 123)
    assert summary.messages == 2 * 123
    assert summary.bits_per_agent_step == 15, "4 ids of 8 classes, one of 5 actions, one listener"
    assert summary.inexact == {}
    assert summary.missing == 0
    assert {link.sent for link in report.links} == {123}
    assert any("the episode that was not" in line for line in remarks(report))


def test_a_run_stopped_in_the_first_episode_of_a_pass_still_settles_its_links(during_step):
    stop = asyncio.Event()
    during_step(3 * 6 + 2, stop.set)
    report = play(episodes=3, conditions=("open", "open"), stop=stop)
    assert report.interrupted
    assert [(summary.episodes, summary.messages) for summary in report.summaries] == [(3, 36)]
    assert [(link.sent, link.missing) for link in report.links] == [(20, 0), (20, 0)]


def test_a_stop_while_counters_are_read_loses_none_of_them(monkeypatch):
    stop = asyncio.Event()
    reading = Team.reading

    async def interrupted(self: Team):
        stop.set()
        return await reading(self)

    monkeypatch.setattr(Team, "reading", interrupted)
    report = play(episodes=3, stop=stop)
    assert [(summary.episodes, summary.messages) for summary in report.summaries] == [(3, 36)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The first process of each slot."""
    found: dict[int, int] = {}
    start = Supervisor.start

    def noting(self: Supervisor, slot: int) -> None:
        start(self, slot)
        found.setdefault(slot, self.process(slot).pid)

    monkeypatch.setattr(Supervisor, "start", noting)
    return found


def test_a_score_without_one_of_the_agents_is_marked(kill_before_step):
    kill_before_step(1, 1)
    report = play(episodes=4, conditions=("open", "cut"))
    assert [summary.absent_episodes for summary in report.summaries] == [4, 4]
    table = dict(rows(report))
    assert [cell.endswith(" *") for cell in table["success (95 % interval)"]] == [True, True]
    assert table["  of them without some agent"] == ["4 of 4", "4 of 4"]
    (line,) = (line for line in remarks(report) if line.startswith("* with messages"))
    assert "4 of 4 episodes" in line
    assert "slot 1" in line
    written = json.loads(json.dumps(report.as_dict(), allow_nan=False))["summaries"][0]
    assert (written["absent_episodes"], written["absent_slots"]) == (4, [1])


def test_an_agent_that_has_acted_in_an_episode_was_there(kill_before_step):
    kill_before_step(6 + 3, 1)
    (summary,) = play(episodes=4).summaries
    assert (summary.absent_episodes, summary.absent_slots) == (2, (1,))
    assert summary.idle == 4 + 2 * 6


def test_what_a_killed_node_counted_is_not_passed_over(kill_before_step):
    kill_before_step(6 * 10 + 3, 1)
    report = play(episodes=20, restarts=2, conditions=("open", "cut"))
    opened, cut = report.summaries
    assert [ending.exit_code for ending in report.endings] == [-signal.SIGKILL]
    table = dict(rows(report))
    for name, row in (("bits_per_agent_step", "bits per agent-step"), ("messages", None), ("late", "late messages")):
        assert getattr(opened, name) is None
        assert "node 1 left or died" in opened.inexact[name].why
        assert row is None or table[row][0].startswith(("at least", "unknown"))
    assert 0 < opened.inexact["bits_per_agent_step"].at_least <= 15
    assert opened.inexact["late"].at_least is None, "nothing is no bound"
    assert table["bits per message"][0] == "unknown"
    written = json.loads(json.dumps(report.as_dict(), allow_nan=False))["summaries"][0]
    assert written["bits_per_agent_step"] is None
    assert written["inexact"]["bits_per_agent_step"]["at_least"] == opened.inexact["bits_per_agent_step"].at_least
    assert any(line.startswith("with messages: not everything was counted") for line in remarks(report))
    assert {link.missing for link in report.links} == {None}
    assert all(link.inexact["missing"].at_least is None for link in report.links)
    assert cut.bits_per_agent_step == 0 or "node 1" in cut.inexact["bits_per_agent_step"].why


def test_a_node_that_miscounts_leaves_the_counts_unknown_and_costs_no_results(monkeypatch):
    on_counters = Team.on_counters

    def miscounting(self: Team, session: Session, counters: Mapping[int, LinkCounters]) -> None:
        if session.slot == 1:
            counters = {peer: replace(counted, delivered=counted.delivered + 3) for peer, counted in counters.items()}
        on_counters(self, session, counters)

    monkeypatch.setattr(Team, "on_counters", miscounting)
    report = play(episodes=3)
    (summary,) = report.summaries
    assert (summary.episodes, summary.steps) == (3, 18)
    assert summary.messages is None
    assert "one of nodes 0 and 1 miscounts: 18 messages sent, but 21 received" in summary.inexact["messages"].why
    assert dict(rows(report))["bits per agent-step"] == ["unknown"]
    assert any("one of nodes 0 and 1 miscounts" in line for line in remarks(report))
    assert [link.missing for link in report.links] == [None, 0]
    json.dumps(report.as_dict(), allow_nan=False)
