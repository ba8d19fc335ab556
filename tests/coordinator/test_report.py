"""The table and the JSON of a run say what was measured, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

from relay_team import relay_plan

from coordinator.channel import Channel
from coordinator.commands.demo import print_result
from coordinator.plan.plan import LABELS
from coordinator.running.local import ConditionRun, evaluate, run_conditions, world_spec
from coordinator.running.outcome import summarise
from coordinator.running.report import Report, remarks, rows
from coordinator.serving.conservation import LinkBalance, Traffic
from coordinator.serving.supervisor import NodeExit


def link(sender: int, receiver: int, missing: int | None) -> LinkBalance:
    counts = {
        "sent": 3,
        "sent_bytes": 90,
        "sent_bits": 36,
        "send_skipped": 0,
        "delivered": 3,
        "read": 2,
        "read_bits": 24,
        "late": 0,
        "rejected": 0,
        "lost": 0,
    }
    return LinkBalance(sender=sender, receiver=receiver, **counts, missing=missing)


def report(**fields) -> Report:
    base = evaluate(relay_plan(2, episodes=2, conditions=("open", "cut")))
    return Report(**{**vars(base), **fields})


def test_one_process_counts_its_messages_and_shows_no_row_about_waiting():
    labels = [label.strip() for label, _ in rows(report())]
    assert "success (95 % interval)" in labels
    assert "of it waiting for messages" not in labels
    assert dict(rows(report()))["bits per message"] == ["15", ""], "where none was sent, none has a size"
    assert dict(rows(report()))["late messages"] == ["0", "0"]
    assert dict(rows(report()))["lost messages"] == ["0", "0"]
    assert dict(rows(report()))["masked messages"] == ["0 of 20", "0 of 0"]


def test_every_row_has_a_cell_per_pass():
    assert all(len(cells) == 2 for _, cells in rows(report()))


def resumed(*, earlier: int) -> Report:
    """Of the first pass an earlier coordinator has played some or all, of the second nothing."""
    plan = relay_plan(2, episodes=2, conditions=("open", "cut"))
    spec, played = world_spec(plan), []
    run_conditions(plan, spec, played, jobs=1)
    opened, cut = played
    here = (
        [(opened, Traffic.nothing(), earlier)] if earlier == 2 else [(opened, traffic_of(opened, episodes=1), earlier)]
    )
    summaries = [
        summarise(
            part.results,
            label=LABELS[part.name],
            spec=spec,
            seconds=1.0,
            traffic=passed,
            counted_steps=6 * (2 - before),
            earlier=before,
        )
        for part, passed, before in [*here, (cut, Traffic.within_a_process(cut.links), 0)]
    ]
    return Report.of(plan, spec, team="2 processes", summaries=summaries, links=cut.links, earlier_episodes=earlier)


def traffic_of(part: ConditionRun, *, episodes: int) -> Traffic:
    """Of so many of two equal episodes."""
    whole = Traffic.within_a_process(part.links)

    def share(count):
        if isinstance(count, int):
            return count * episodes // 2
        return {slot: share(of_slot) for slot, of_slot in count.items()}

    return replace(whole, **{name: share(count) for name, count in vars(whole).items() if name != "doubt"})


def test_what_an_earlier_coordinator_counted_alone_is_unknown_and_not_zero():
    found = resumed(earlier=2)
    table = dict(rows(found))
    for row in ("bits per agent-step", "serialised bytes per agent-step", "late messages", "lost messages"):
        assert (table[row][0], table[row][1] != "unknown") == ("unknown", True)
    assert table["environment steps"][0] == "12"
    assert table["environment steps"][1].startswith("12 (")
    assert found.as_dict()["summaries"][0]["messages"] is None
    told = remarks(found)
    assert "2 of the episodes were run by an earlier coordinator" in told[0]
    assert "an earlier coordinator counted 2 of 2 episodes" in told[1]


def test_what_an_earlier_coordinator_counted_in_part_is_a_bound_of_sums_and_leaves_shares_exact():
    (first, _), table = resumed(earlier=1).summaries, dict(rows(resumed(earlier=1)))
    assert table["bits per agent-step"][0] == "15.0"
    assert (first.messages, first.inexact["messages"].at_least) == (None, 12)
    assert table["late messages"][0] == "unknown", "none was counted, which is no bound"


def test_a_demo_that_is_stopped_in_its_first_pass_shows_what_it_found(capsys):
    stopped = replace(report(), summaries=report().summaries[:1], interrupted=True)
    print_result(stopped, {"training": 1.0, "total": 2.0})
    shown = capsys.readouterr().out
    assert "success (95 % interval)" in shown
    assert "Interrupted" in shown


def test_remarks_tell_losses_deaths_and_interruptions():
    assert remarks(report()) == ["All 2 links conserve: every message sent was received."]
    ending = NodeExit(slot=1, exit_code=-9, log_tail="bye", log_path=Path("agent-1.log"))
    told = "\n".join(
        remarks(report(links=(link(0, 1, None), link(1, 0, 2)), endings=(ending,), interrupted=True, stale_acts=4))
    )
    for part in (
        "Interrupted",
        "Losses unknown on 1 of 2",
        "1->0: 2",
        "received after their step: 4",
        "killed by SIGKILL",
        "bye",
    ):
        assert part in told


def test_a_simulated_channel_is_named_and_what_it_lost_is_told_from_what_is_missing():
    found = evaluate(relay_plan(3, episodes=4, channel=Channel.parse("erasure=0.5,delay-ms=120,jitter-ms=60")))
    assert sum(link.lost for link in found.links) == found.summaries[0].lost > 0
    assert remarks(found) == [
        "Simulated channel: erasure=0.5,delay-ms=120,jitter-ms=60",
        "All 6 links conserve: every message sent was received, or lost in the simulated channel "
        f"({found.summaries[0].lost}).",
    ]
    shown = dict(rows(found))
    assert shown["lost in the channel"] == [str(found.summaries[0].lost)]
    assert shown["lost messages"] == ["0"]
    assert int(shown["late messages"][0]) > 0
    assert float(shown["bits per agent-step"][0]) > float(shown["  of them read in time"][0]) > 0
    assert "lost in the channel" not in dict(rows(report()))
    assert found.as_dict()["channel"] == "erasure=0.5,delay-ms=120,jitter-ms=60"


def test_json_is_strict_and_complete():
    text = json.dumps(report(blind_bound=float("nan")).as_dict(), allow_nan=False)
    fields = json.loads(text)
    assert fields["blind_bound"] is None
    assert fields["summaries"][0]["outcome"].keys() == {"mean", "low", "high"}
    assert [(entry["sender"], entry["receiver"], entry["missing"]) for entry in fields["links"]] == [
        (0, 1, 0),
        (1, 0, 0),
    ]


def test_the_best_score_that_a_channel_allows_stands_beside_what_was_reached():
    found = evaluate(relay_plan(2, episodes=2, conditions=("open", "cut"), channel=Channel.parse("erasure=0.5")))
    assert dict(rows(found))["best of any team on this channel"] == ["0.918 to 0.919", ""]
    assert found.as_dict()["channel_limit"]["low"] == found.channel_limit.low
    late = Channel.parse("delay-ms=200")
    for policy, best in (("mask", "0.111"), ("hold", "1.000")):
        found = evaluate(relay_plan(2, episodes=2, channel=late, late_policy=policy))
        assert dict(rows(found))["best of any team on this channel"] == [best]
    for unknown in ("silent=1", "rate-bits=3", "delay-ms=100,jitter-ms=50"):
        found = evaluate(relay_plan(2, episodes=2, channel=Channel.parse(unknown)))
        assert "best of any team on this channel" not in dict(rows(found)), unknown
    plan = relay_plan(2, episodes=2, channel=Channel.parse("erasure=0.5"))
    assert evaluate(replace(plan, most_steps=5)).channel_limit is None, "episodes are cut before their end"
    plan = replace(plan, parameters=plan.parameters | {"length": 3})
    assert evaluate(plan).channel_limit is None, "nobody crosses the grid in three steps"


def test_the_demo_marks_a_score_that_is_not_the_whole_teams(capsys) -> None:
    found = report()
    heard, masked = found.summaries
    found = replace(found, summaries=(replace(heard, absent_episodes=1, absent_slots=(1,)), masked))
    print_result(found, {"training": 1.0, "running": 1.0, "total": 2.0})
    told = capsys.readouterr().out
    (row,) = [line for line in told.splitlines() if "success with messages" in line]
    assert " *" in row
    (other,) = [line for line in told.splitlines() if "success with every message masked" in line]
    assert "*" not in other
    assert "* with messages: in 1 of 2 episodes an agent did nothing" in " ".join(told.split())
