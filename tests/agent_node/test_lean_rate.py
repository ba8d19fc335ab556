"""So much at once, so much more each second, and no debt beyond a wait."""

from __future__ import annotations

import pytest

from agent_node.transport.lean import rate
from agent_node.transport.lean.rate import Rate


def test_whoever_spent_far_too_much_waits_no_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(rate.time, "monotonic", lambda: now_s)
    bounded, endless = Rate(at_once=10, per_s=4, most_wait_s=5.0), Rate(at_once=10, per_s=4)
    assert (bounded.spend(10), endless.spend(10)) == (0.0, 0.0)
    for _ in range(1000):
        bounded.spend(16)
        endless.spend(16)
    assert bounded.spend(1) == pytest.approx(5.0)
    assert endless.spend(1) == pytest.approx(16_001 / 4)
    now_s += 5.25
    assert bounded.spend(1) == 0.0
    assert bounded.spend(1) == pytest.approx(0.25)
