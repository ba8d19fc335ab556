"""The newest line of a log is whole, of this process, for those who train many, and harmless to a terminal."""

from pathlib import Path

from heliograph.log_lines import TAIL_BYTES, newest_line, size_of


def test_what_is_for_whoever_has_begun_a_training_by_hand_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "seed-0.log"
    log.write_text("training at most 48 steps\n  won, greedy: 0.1\n  run folder: r\n  next: heliograph run\n\n")
    assert newest_line(log) == "won, greedy: 0.1"


def test_a_line_that_is_not_whole_yet_is_told_once_its_process_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("begun\nKilled in the mid")
    assert newest_line(log) == "begun"
    assert newest_line(log, ended=True) == "Killed in the mid"


def test_what_an_earlier_process_has_said_is_not_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert size_of(log) == 0
    log.write_text("of before\n")
    before = size_of(log)
    assert newest_line(log, beyond=before) == ""
    with log.open("a") as file:
        file.write("new\n")
    assert newest_line(log, beyond=before) == "new"


def test_no_more_than_the_end_of_a_log_is_read_and_nothing_reaches_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 3 * TAIL_BYTES + b"\n\x1b[2J\xff red\n")
    assert newest_line(log).endswith("red")
    assert "\x1b" not in newest_line(log)
    log.write_bytes(b"first\n" + b"\n" * TAIL_BYTES)
    assert newest_line(log) == ""


def test_where_there_is_no_log_there_is_no_line(tmp_path: Path) -> None:
    assert newest_line(tmp_path / "none") == newest_line(tmp_path) == ""
