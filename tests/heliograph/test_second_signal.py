"""A second signal cuts work short, but where it is not to insist only if the work does not obey yet."""

from __future__ import annotations

import signal

import pytest

from heliograph.stopping import StopRequest, obeying_signals


@pytest.mark.parametrize(
    ("insisting", "obeys", "cut"), [(True, True, True), (True, False, True), (False, True, False), (False, False, True)]
)
def test_a_second_signal_cuts_short_what_does_not_obey(insisting: bool, obeys: bool, cut: bool) -> None:
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
