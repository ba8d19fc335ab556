"""What a coordinator takes from the folder of a run that it follows, and what it says of the rest, once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team as write_team

from coordinator.plan.plan import make_plan
from coordinator.running.newer_bundles import Following, NewerBundles
from heliograph.bundle import Bundle, save_team
from heliograph.certificates.signing_keys import make_signing_key, read_signing_key

OLD, NEW = (relay_bundles(2, training_step=step) for step in (10, 20))


def newer(folder: Path, **following: object) -> NewerBundles:
    plan = make_plan(OLD)
    return NewerBundles(Following(bundles=folder, **following), plan, plan.world("open").spec)


def test_a_newer_team_is_found_once_as_folders_or_as_archives(tmp_path: Path) -> None:
    bundles = newer(tmp_path)
    assert bundles.look(OLD) is None, "nothing is there yet"
    save_team(OLD, tmp_path)
    assert bundles.look(OLD) is None, "these are what nodes have"
    save_team(NEW, tmp_path)
    assert [bundle.digest for bundle in bundles.look(OLD)] == [bundle.digest for bundle in NEW]
    assert bundles.look(OLD) is None, "judged already"
    for slot in range(2):
        shutil.rmtree(tmp_path / f"agent-{slot}")
    save_team(NEW, tmp_path, suffix=".tar")
    assert [bundle.digest for bundle in bundles.look(OLD)] == [bundle.digest for bundle in NEW]
    save_team(NEW, tmp_path, suffix=".tar")
    assert bundles.look(NEW) is None


def half_of(team: Sequence[Bundle], folder: Path) -> None:
    team[1].save(folder / "agent-1")


def unsigned(team: Sequence[Bundle], folder: Path) -> None:
    save_team(team, folder)


def cut_off(team: Sequence[Bundle], folder: Path) -> None:
    save_team(team, folder)
    graph = folder / "agent-1" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])


def of_another_size(_team: Sequence[Bundle], folder: Path) -> None:
    save_team(relay_bundles(3, training_step=20), folder)


def of_another_world(_team: Sequence[Bundle], folder: Path) -> None:
    save_team(relay_bundles(2, size=6, training_step=20), folder)


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (half_of, ("different versions", OLD[0].digest[:12], NEW[1].digest[:12], "step 10", "step 20")),
        (unsigned, (f"slot 0 ({NEW[0].digest[:12]})", "bundle is not signed")),
        (cut_off, ("step.onnx does not match the digest",)),
        (of_another_size, ("team of 3, this team has 2",)),
        (of_another_world, ("other environment parameters", "size")),
    ],
)
def test_what_cannot_be_taken_is_said_once_and_not_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, write, parts: tuple[str, ...]
) -> None:
    make_signing_key(tmp_path / "key")
    key, folder = read_signing_key(tmp_path / "key"), tmp_path / "bundles"
    trusted = (tmp_path / "key.pub",) if write is unsigned else ()
    save_team([bundle.sign(key) for bundle in OLD], folder)
    bundles = newer(folder, trusted_keys=trusted)
    write(NEW, folder)
    with caplog.at_level(logging.WARNING, "coordinator.running.newer_bundles"):
        assert [bundles.look(OLD) for _ in range(3)] == [None] * 3
    (record,) = caplog.records
    for part in ("newer bundles not taken", *parts):
        assert part in record.getMessage()
    write_team([bundle.sign(key) for bundle in NEW], folder)
    assert bundles.look(OLD) is not None


def test_a_team_that_the_codec_cannot_go_by_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = replace(make_plan(OLD), codec="repeats")
    save_team(relay_bundles(2, messages=False, training_step=20), tmp_path)
    assert NewerBundles(Following(bundles=tmp_path), plan, plan.world("open").spec).look(OLD) is None
    assert "messages: bundles are made for None" in caplog.text
