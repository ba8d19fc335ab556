"""`heliograph environments`: the table for people and the same as JSON."""

from __future__ import annotations

import json

import pytest

from heliograph.cli import main
from heliograph.environments import registry


def test_json_holds_every_known_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environments", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {row.id for row in registry.known()}
    assert rows["relay"]["spec"]["blind_bound"] == pytest.approx(1 / 9)
    assert rows["relay"]["spec"]["parameters"]["size"] == 3
    assert set(rows["relay"]["parameters"]) == set(rows["relay"]["spec"]["parameters"])


def test_the_table_names_sizes_bounds_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environments"]) == 0
    text = capsys.readouterr().out
    assert "mpe2.simple_spread_v3" in text
    assert "0.1111" in text
    assert "observation_noise" in text
    assert "package.module:factory" in text
