"""What every command does before its own work."""

from __future__ import annotations

import os

import pytest

from heliograph.cli import main


def test_grpc_tells_of_errors_alone_unless_the_user_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    assert main(["environments", "--json"]) == 0
    assert os.environ["GRPC_VERBOSITY"] == "ERROR"
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    assert main(["environments", "--json"]) == 0
    assert os.environ["GRPC_VERBOSITY"] == "DEBUG"
