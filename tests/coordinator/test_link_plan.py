"""Links that cannot be are refused before anything starts, with what to do instead."""

from __future__ import annotations

import pytest

from coordinator.links.link_plan import LinkPlan
from heliograph.errors import SettingsError


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": "pigeons"}, "loopback or namespaces, not 'pigeons'"),
        ({"kind": "namespaces", "rate_kbit": 0.0}, "rate of 0.0"),
        ({"kind": "namespaces", "rate_kbit": float("nan")}, "rate of nan"),
        ({"kind": "namespaces", "delay_ms": -1.0}, "delay of -1.0"),
        ({"kind": "namespaces", "loss": 1.0}, "not 1.0"),
        ({"delay_ms": 5.0}, "simulate a channel with --channel"),
        ({"loss": 0.1}, "root on Linux"),
    ],
)
def test_links_that_cannot_be_are_refused(asked, said):
    with pytest.raises(SettingsError) as caught:
        LinkPlan(**asked)
    assert said in str(caught.value)


def test_links_in_namespaces_may_be_as_bad_as_you_like():
    plan = LinkPlan(kind="namespaces", rate_kbit=9.6, delay_ms=250.0, loss=0.3)
    assert (plan.rate_kbit, plan.delay_ms, plan.loss) == (9.6, 250.0, 0.3)
