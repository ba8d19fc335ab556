"""What a machine can do with links is said for each part, with a reason and a remedy where it cannot."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from heliograph.network import capabilities as can


def test_every_part_is_looked_at_and_what_does_not_work_says_why():
    found = can.capabilities()
    assert tuple(capability.name for capability in found) == can.NAMES
    for capability in found:
        assert capability.works == (capability.reason == "")
        assert capability.works == (capability.remedy == "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is the system that is missing")
def test_who_is_not_root_is_told_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    segments, *others = can.capabilities()
    assert segments.works, "needs no rights"
    assert {capability.reason for capability in others} == {"needs root, this is user 1000"}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_a_tool_that_is_not_installed_is_named_with_its_package(monkeypatch):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "nft" else which(tool))
    found = {capability.name: capability for capability in can.capabilities()}
    if not found[can.NAMESPACES].works:
        pytest.skip(found[can.NAMESPACES].reason)
    assert found[can.DROP].reason == "there is no `nft`"
    assert "apt-get install nftables" in found[can.DROP].remedy
    assert found[can.FRAMES].works, "which does not need it"
