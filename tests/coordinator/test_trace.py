"""Whatever is not a whole recording of this version is refused, with the line that is wrong."""

import copy
import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_team import relay_plan

from coordinator.recording.reader import read_trace
from coordinator.recording.schema import EpisodeLine, MalformedLine, read_line
from coordinator.running.local import evaluate
from heliograph.errors import SettingsError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    plan = relay_plan(2, episodes=2, record=tmp_path_factory.mktemp("traces") / "whole.jsonl", size=2, length=2)
    evaluate(plan)
    return plan.record.read_bytes()


@pytest.fixture(scope="module")
def lines(whole):
    return [json.loads(line) for line in whole.splitlines()]


def serialised(lines):
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def write(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "trace.jsonl"
    path.write_bytes(content)
    return path


def refused(tmp_path_factory, content, match=r"\.jsonl"):
    path = write(tmp_path_factory, content)
    with pytest.raises(SettingsError, match=match):
        read_trace(path)


EPISODE = {"kind": "episode", "pass": "open", "episode": 0, "seed": 0, "steps": 1, "outcome": 0.0, "return": 0.0}


@pytest.mark.parametrize(("name", "largest"), [("episode", 2**63 - 1), ("steps", 2**63 - 1), ("seed", 2**64 - 1)])
def test_numbers_are_taken_up_to_the_largest_that_can_be(name, largest):
    for value in (0, largest):
        assert getattr(read_line(EpisodeLine, EPISODE | {name: value}), name) == value
    for value in (-1, largest + 1, 1.0, True):
        with pytest.raises(MalformedLine, match=f"has {name} .*expected an integer in 0..{largest}"):
            read_line(EpisodeLine, EPISODE | {name: value})


def test_ids_that_would_come_around_to_legal_ones_in_32_bits_are_refused(tmp_path_factory, lines):
    changed = copy.deepcopy(lines)
    number = next(number for number, line in enumerate(changed) if line.get("latent"))
    changed[number]["latent"] = [[one - 2**32 for one in row] for row in changed[number]["latent"]]
    refused(tmp_path_factory, serialised(changed), match=rf"line {number + 1}: has latent .*beyond int32")


@given(data=st.data(), zipped=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_truncated_trace_is_noticed_at_any_byte(tmp_path_factory, whole, data, zipped):
    content = gzip.compress(whole, mtime=0) if zipped else whole
    refused(tmp_path_factory, content[: data.draw(st.integers(0, len(content) - 1))])


GZIP = b"\x1f\x8b"


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_in_place_of_a_line_are_refused_with_its_number(tmp_path_factory, whole, data):
    lines = whole.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = data.draw(st.binary(max_size=40).filter(lambda text: b"\n" not in text)) + b"\n"
    content = b"".join(lines)
    # What begins as gzip does is read as that, and has no lines before it is whole.
    told = "the file ends early, or is damaged" if content.startswith(GZIP) else f"line {number + 1}"
    refused(tmp_path_factory, content, match=told)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_field_with_another_value_is_refused_or_read(tmp_path_factory, lines, data):
    """Never another error than SettingsError, whatever JSON stands in a field."""
    lines = copy.deepcopy(lines)
    line = data.draw(st.sampled_from(lines))
    line[data.draw(st.sampled_from(sorted(line)))] = data.draw(JSON)
    path = write(tmp_path_factory, serialised(lines))
    with suppress(SettingsError):
        assert read_trace(path).episodes


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_missing_or_doubled_line_is_noticed(tmp_path_factory, lines, data):
    lines = list(lines)
    number = data.draw(st.integers(0, len(lines) - 1))
    if data.draw(st.booleans()):
        del lines[number]
    else:
        lines.insert(number, lines[number])
    refused(tmp_path_factory, serialised(lines), match="line")


@pytest.mark.parametrize(
    ("line", "change", "match"),
    [
        (0, {"version": 1}, "line 1: has format version 1, this program reads 2 to 3"),
        (0, {"format": "foreign"}, "line 1: is not the header of a heliograph-recording"),
        (0, {"surprise": 1}, "line 1: has fields that do not belong there"),
        (0, {"observation_names": ["one"]}, "line 1: has observation_names"),
        (1, {"latent": [[9] * 4] * 2}, "line 2: has latent with an id outside 0..7"),
        (1, {"action": [0, 5]}, "line 2: has action .* actions that exist"),
        (1, {"hears": [[0], [0]]}, "line 2: has hears .* slots of others"),
        (1, {"lost": [[1, 1], []]}, "line 2: has lost .* slots of others"),
        (1, {"late": [[[1, 0]], []]}, "line 2: has late .* number of steps"),
        (1, {"observation": [[0.5] * 8, [1e300] * 8]}, "line 2: has observation with a number beyond float32"),
        (2, {"step": 7}, "line 3: is step 7 where step 1 should be"),
        (3, {"steps": 3}, "line 4: ends an episode of 3 steps, of which 2 are there"),
        (-1, {"sent": [[0, 0], [0, 0]]}, "line 8: counts sent"),
        (-1, {"episodes": 1}, "line 8: counts episodes 1, but the lines before it hold 2"),
    ],
)
def test_it_says_what_is_wrong_where(tmp_path_factory, lines, line, change, match):
    lines = copy.deepcopy(lines)
    lines[line] |= change
    refused(tmp_path_factory, serialised(lines), match=match)


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(SettingsError, match="there is no such file"):
        read_trace(tmp_path / "none.jsonl")
    with pytest.raises(SettingsError, match="is a folder, not a plain file"):
        read_trace(tmp_path)
