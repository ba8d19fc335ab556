"""Sweeps are told in few words, and what cannot be played is refused before anything starts."""

import dataclasses
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_team import relay_bundles

from analysis.bandwidth.grid import BLIND, CLEAR, make_grid, parse_axis
from coordinator.channel import Channel
from heliograph.codecs import LatentTables
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.sending import Sending

MANIFEST = relay_bundles(2)[0].manifest
SPEC = registry.make(MANIFEST.environment, count=1, parameters=MANIFEST.environment_parameters).spec
TABLES = LatentTables(np.ones((4, 8), dtype=np.int64))
WORDS = st.text(st.characters(categories=("L", "N"), include_characters=".:-"), min_size=1).filter(lambda w: w != "...")


def grid(*axes: str, **arguments):
    return make_grid(axes, manifest=MANIFEST, tables=TABLES, spec=SPEC, **arguments)


@given(WORDS, st.lists(WORDS, min_size=1, unique=True))
def test_values_are_listed_with_commas(axis, values):
    assert parse_axis(f"{axis}={','.join(values)}") == (axis, tuple(values))


@given(
    st.decimals(-100, 100, places=3),
    st.decimals(-10, 10, places=2).filter(bool),
    st.integers(2, 50),
    st.sampled_from(["…", "..."]),
)
def test_an_ellipsis_goes_on_in_even_steps_to_its_end(start, width, steps, dots):
    expected = [start + width * step for step in range(steps + 1)]
    axis, values = parse_axis(f"erasure={start:f},{start + width:f},{dots},{expected[-1]:f}")
    assert axis == "erasure"
    assert [Decimal(value) for value in values] == expected


def test_steps_are_exact_where_floats_are_not():
    assert parse_axis("erasure=0,0.1,…,1")[1] == ("0", *(f"0.{tenth}" for tenth in range(1, 10)), "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runs/relay", "not of the form"),
        ("erasure=", "not of the form"),
        ("erasure=0,,1", "not of the form"),
        ("erasure=0,…,1", "an ellipsis stands between"),
        ("erasure=…,1", "an ellipsis stands between"),
        ("erasure=0,0.1,…", "an ellipsis stands between"),
        ("erasure=a,b,…,c", "an ellipsis stands between"),
        ("erasure=0,0,…,1", "never come to 1"),
        ("erasure=0,-1,…,1", "never come to 1"),
        ("erasure=0,0.3,…,1", "miss 1"),
        ("erasure=0,NaN,…,1", "never come to 1"),
        ("erasure=0,1e-9,…,1", "more than 1000"),
        ("erasure=0.5,0.5", "twice"),
    ],
)
def test_values_that_make_no_sense_are_told(text, said):
    with pytest.raises(SettingsError, match=said):
        parse_axis(text)


def test_every_fault_is_a_curve_of_its_own_with_each_codec_and_late_policy():
    found = grid("erasure=0.2,1", "nearest=1", "codec=bit-packed,entropy", "late=mask,hold")
    curves = {}
    for point in found.points:
        curves.setdefault((point.axis, point.setting.codec, point.setting.late), []).append(point.value)
    crossed = [(codec, late) for codec in ("bit-packed", "entropy") for late in ("mask", "hold")]
    assert curves == {
        **{("erasure", *pair): ["0.2", "1"] for pair in crossed},
        **{("nearest", *pair): ["1"] for pair in crossed},
        **{(CLEAR, *pair): [""] for pair in crossed},
        (BLIND, "bit-packed", "mask"): [""],
    }


def test_points_with_the_same_setting_are_played_once():
    found = grid("erasure=0,0.5", "kept=4")
    assert [point.axis for point in found.points] == [CLEAR, BLIND, "erasure", "erasure", "kept"]
    assert len(found.settings) == 4, "an erasure of 0 is the clear channel"


def test_faults_of_the_base_channel_stay_along_other_axes():
    found = grid("erasure=0.5", channel=Channel(nearest=1))
    channels = {point.axis: point.setting.channel for point in found.points}
    assert "nearest=1" in channels[CLEAR]
    assert "nearest=1" in channels["erasure"]
    assert "erasure=0.5" in channels["erasure"]


def test_values_of_several_parts_have_a_plus_for_the_comma():
    found = grid("silent=0,0+1", "link=0>1:0.5+1>0:0.25")
    channels = [point.setting.channel for point in found.points if point.axis in ("silent", "link")]
    assert channels == ["silent=0", "silent=0,1", "link=0>1:0.5,1>0:0.25"]


def test_alone_the_grid_goes_from_everything_arrives_to_nothing_does():
    with_tables, without = grid(), make_grid([], manifest=MANIFEST, tables=None, spec=SPEC)
    values = [point.value for point in without.points if point.axis == "erasure"]
    assert (values[0], values[-1], len(values)) == ("0", "1", 11)
    assert {setting.codec for setting in without.settings} == {"bit-packed"}
    assert {"entropy", *(f"most-informative:{kept}" for kept in (1, 2, 4))} <= {s.codec for s in with_tables.settings}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (["codec=morse"], "morse"),
        (["erasure=0,2"], "2"),
        (["erasures=0,1"], "erasures"),
        (["late=wait"], "wait"),
        (["links=cut"], "links=permuted"),
        (["kept=0"], "most-informative:0"),
        (["kept=5"], "most-informative:5"),
        (["erasure=0", "erasure=1"], "twice"),
        (["codec=repeats", "erasure=0,0.5"], "repeats"),
    ],
)
def test_impossible_grids_are_refused(axes, said):
    with pytest.raises(SettingsError, match=said):
        grid(*axes)


def test_teams_that_withhold_messages_hold_what_they_have():
    withholding = dataclasses.replace(MANIFEST, sending=Sending(heartbeat=3, changes=0), format_version=2)
    found = make_grid(["erasure=0.5"], manifest=withholding, tables=None, spec=SPEC)
    assert {setting.late for setting in found.settings} == {"hold"}


def test_sweeps_go_by_the_late_policy_of_the_training_or_by_that_of_the_run():
    for manifest, late in (
        (MANIFEST, "mask"),
        (dataclasses.replace(MANIFEST, holds=True, format_version=4), "hold"),
        (dataclasses.replace(MANIFEST, predicts="mean", format_version=3), "predict"),
    ):
        found = make_grid(["erasure=0.5"], manifest=manifest, tables=None, spec=SPEC)
        assert {setting.late for setting in found.settings} == {late}
        asked = make_grid(["erasure=0.5"], manifest=manifest, tables=None, spec=SPEC, late="hold")
        assert {setting.late for setting in asked.settings} == {"hold"}


def test_codecs_that_need_tables_are_refused_without_them():
    with pytest.raises(SettingsError, match="tables"):
        make_grid(["codec=entropy"], manifest=MANIFEST, tables=None, spec=SPEC)


def test_teams_that_say_nothing_are_refused():
    with pytest.raises(SettingsError, match="send no messages"):
        make_grid([], manifest=relay_bundles(2, messages=False)[0].manifest, tables=None, spec=SPEC)
