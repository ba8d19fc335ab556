"""Finished episodes on the disk: what comes back, what is cut off, what is of another run, what does not fit."""

import errno
import json
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from relay_team import relay_bundles, relay_plan

from coordinator.channel import Channel
from coordinator.recording.journal import Logbook
from coordinator.world.trajectory import EpisodeResult
from heliograph.environments import registry
from heliograph.errors import SettingsError

PLAN = relay_plan(2, episodes=3, conditions=("open", "cut"), run_seed=4)
SPEC = registry.make("relay", count=1, parameters={"agents": 2}).spec


def logbook(path, plan=PLAN) -> Logbook:
    return Logbook(path, plan=plan, spec=SPEC)


def result(episode: int) -> EpisodeResult:
    return EpisodeResult(
        episode=episode,
        seed=2**63 - 1 - episode,
        steps=2,
        outcome=1 / 3,
        team_return=-0.1,
        latency_s=array("d", (0.1, 1 / 7)),
        waited_s=array("d", (1e-9,)),
        computed_s=array("d"),
        hearable=4,
        masked=1,
        idle=0,
        illegal=0,
    )


@pytest.fixture
def kept(tmp_path):
    """A file with episodes 0 and 2 of the first pass, 1 lost, and 3 of the second."""
    path = tmp_path / "below" / "kept.jsonl"
    with logbook(path) as book:
        book.finished("open", result(0))
        book.lost("open", 1)
        book.finished("open", result(2))
        book.finished("cut", result(3))
    return path


def test_what_was_finished_comes_back_equal_and_is_not_to_be_played_again(kept):
    with logbook(kept) as book:
        assert book.earlier("open") == [result(0), result(2)]
        assert book.earlier("cut") == [result(3)]
        assert (list(book.remaining("open")), list(book.remaining("cut"))) == ([], [4, 5])
        assert (book.episodes, book.lost_episodes, book.is_whole) == (3, 1, False)
        book.finished("cut", result(4))
        book.finished("cut", result(5))
        assert book.earlier("cut") == [result(3)], "those are this coordinator's own"
    with logbook(kept) as book:
        assert book.is_whole
        assert book.earlier("cut") == [result(3), result(4), result(5)]


@pytest.mark.parametrize("cut_at", [-1, -5, -100])
def test_a_line_that_was_cut_off_is_dropped_and_its_episode_played_again(kept, cut_at):
    kept.write_bytes(kept.read_bytes()[:cut_at])
    with logbook(kept) as book:
        assert list(book.remaining("cut")) == [3, 4, 5]
        book.finished("cut", result(3))
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["header", "episode", "lost", "episode", "episode"]


@pytest.mark.parametrize("start", ["", '{"kind": "header", "form'])
def test_a_file_without_a_whole_header_begins_anew(tmp_path, start):
    path = tmp_path / "new.jsonl"
    path.write_text(start)
    with logbook(path) as book:
        assert list(book.remaining("open")) == [0, 1, 2]
    assert json.loads(path.read_text())["kind"] == "header"


@pytest.mark.parametrize(
    ("plan", "part"),
    [
        (replace(PLAN, run_seed=5), "another run: seed 4 there, 5 here. Ask for"),
        (replace(PLAN, episodes=9, greedy=True), "episodes 3 there, 9 here; greedy False there, True here"),
        (replace(PLAN, conditions=("open",)), "passes open, cut there, open here"),
        (replace(PLAN, channel=Channel.parse("erasure=0.1")), "channel None there, erasure=0.1 here"),
        (replace(PLAN, late_policy="hold"), "late mask there, hold here"),
        (replace(PLAN, bundles=tuple(relay_bundles(2, run_id="other"))), "another run: bundles "),
    ],
)
def test_episodes_of_another_run_are_not_gone_on_with(kept, plan, part):
    before = kept.read_bytes()
    with pytest.raises(SettingsError, match="holds episodes of another run") as refused, logbook(kept, plan):
        pass
    assert part in str(refused.value)
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "line"), [("a letter\n", 1), ('[1]\n{"kind": "header"}\n', 1), ("{HEADER}\n{}\n", 2), ("{HEADER}\n7\n", 2)]
)
def test_other_files_are_refused_by_the_line_and_left_alone(kept, text, line):
    text = text.replace("{HEADER}", kept.read_text().splitlines()[0])
    kept.write_text(text)
    with pytest.raises(SettingsError, match=f"line {line} of .* is not one of a logbook"), logbook(kept):
        pass
    assert kept.read_text() == text


def test_a_file_that_another_coordinator_writes_is_refused_until_it_has_ended(kept):
    before = kept.read_bytes()
    with logbook(kept):
        with pytest.raises(SettingsError, match=r"another coordinator keeps its episodes in .*kept\.jsonl"):
            logbook(kept).__enter__()
        assert kept.read_bytes() == before
    with logbook(kept) as book:
        assert book.episodes == 3


def test_a_full_disk_is_told():
    with pytest.raises(SettingsError, match="cannot keep finished episodes in /dev/full: No space left"):
        logbook(Path("/dev/full")).__enter__()


def test_a_disk_that_fills_up_is_told_and_what_was_kept_before_stays(kept, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with logbook(kept) as book, pytest.raises(SettingsError, match="No space left on device"):
        book.finished("cut", result(4))
    with logbook(kept) as book:
        assert book.earlier("cut")[0] == result(3)


def test_a_recording_beside_it_is_refused_before_it_is_touched(tmp_path):
    plan = replace(PLAN, record=tmp_path / "recording.jsonl")
    with pytest.raises(SettingsError, match="recording is of one coordinator"):
        logbook(tmp_path / "kept.jsonl", plan)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("idle", "absent"), [(0, ()), (3, None)], ids=["all_acted", "some_were_idle"])
def test_who_was_absent_is_unknown_where_an_earlier_version_did_not_write_it(tmp_path, idle, absent):
    path = tmp_path / "kept.jsonl"
    with logbook(path) as book:
        book.finished("open", replace(result(0), idle=idle, absent=(1,)))
    with logbook(path) as book:
        assert book.earlier("open") == [replace(result(0), idle=idle, absent=(1,))]
    header, line = (json.loads(each) for each in path.read_text().splitlines())
    del line["absent"]
    path.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
    with logbook(path) as book:
        assert book.earlier("open") == [replace(result(0), idle=idle, absent=absent)]
