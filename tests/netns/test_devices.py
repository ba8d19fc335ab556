"""A virtual link passes packets once both of its ends are up, and a moment later."""

from __future__ import annotations

from functools import partial

import pytest

from heliograph.network import capabilities as can
from heliograph.network.devices import is_running
from heliograph.network.namespace import Namespace, join

NEEDED = can.capability(can.NAMESPACES)
pytestmark = pytest.mark.skipif(not NEEDED.works, reason=f"{NEEDED.name}: {NEEDED.reason}. {NEEDED.remedy}")

ADDRESSES = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def test_a_link_is_ready_when_both_ends_are_up() -> None:
    one, other = Namespace(), Namespace()
    try:
        join(one, other, names=("here", "there"), addresses=ADDRESSES)
        for space, device, both_are_up in ((one, "here", False), (other, "there", True)):
            space.tool("ip", "link", "set", device, "up")
            for end, name in ((one, "here"), (other, "there")):
                timeout_s = 10.0 if both_are_up else 0.05
                assert end.inside(partial(is_running, name, timeout_s=timeout_s)) == both_are_up
    finally:
        one.close()
        other.close()


def test_a_device_that_is_not_there_is_told() -> None:
    space = Namespace()
    try:
        with pytest.raises(OSError, match="No such device"):
            space.inside(partial(is_running, "nobody", timeout_s=1.0))
    finally:
        space.close()
