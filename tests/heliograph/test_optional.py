"""What is done beside the work proper: its failures are warnings with their cause, and Ctrl-C passes."""

from __future__ import annotations

import pytest

from heliograph.optional import optional


class Odd(Exception):
    """Says nothing."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("built for numpy 1"), "no plot: RuntimeError: built for numpy 1"),
        (ModuleNotFoundError("No module named 'x'"), "no plot: ModuleNotFoundError: No module named 'x'"),
        (Odd(), "no plot: Odd"),
    ],
)
def test_any_exception_becomes_a_warning_with_its_cause(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with optional("no plot"):
        raise error
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", told)]


def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt), optional("no plot"):
        raise KeyboardInterrupt
