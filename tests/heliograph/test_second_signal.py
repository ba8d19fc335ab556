"""A second signal cuts work short, but where it is not to insist only if the work does not obey yet."""

from __future__ import annotations

import signal

import pytest

from heliograph import stopping
from heliograph.stopping import StopRequest, obeying_signals


@pytest.mark.parametrize(
    ("insisting", "obeys", "cut"), [(True, True, True), (True, False, True), (False, True, False), (False, False, True)]
)
def test_a_second_signal_cuts_short_what_does_not_obey(
    monkeypatch: pytest.MonkeyPatch, insisting: bool, obeys: bool, cut: bool
) -> None:
    monkeypatch.setattr(stopping, "TOGETHER_S", 0.0)
    request, was_cut = StopRequest(), False
    with obeying_signals(request, patience_s=600, insisting=insisting):
        signal.raise_signal(signal.SIGTERM)
        assert request.wanted
        if obeys:
            request.obey()
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            was_cut = True
        request.obey()  # nobody is to wait for it any longer
    assert was_cut == cut


def test_a_signal_that_comes_from_two_sides_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "TOGETHER_S", 600.0)
    request = StopRequest()
    with obeying_signals(request, patience_s=600):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        request.obey()
    assert request.wanted


def test_patience_ends_however_late_a_second_signal_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "TOGETHER_S", 600.0)

    def work_that_does_not_obey() -> None:
        with obeying_signals(StopRequest(), patience_s=0.01):
            signal.raise_signal(signal.SIGTERM)
            while True:  # without a wait that a signal which comes right before it would not end
                pass

    with pytest.raises(KeyboardInterrupt):
        work_that_does_not_obey()


def test_the_first_signal_asks_even_where_a_stop_was_asked_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "TOGETHER_S", 0.0)
    request, told = StopRequest(), list[str]()
    with obeying_signals(request, on_request=lambda: told.append("stopping"), patience_s=600):
        request.ask()  # as another rank does, which the same Ctrl-C has reached before
        signal.raise_signal(signal.SIGINT)
        assert told == ["stopping"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        request.obey()
