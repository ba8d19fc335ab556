"""Real links between nodes: what this machine and user can measure and make.  Only the bandwidth tool wants them."""

from __future__ import annotations

from heliograph.doctor.finding import Finding
from heliograph.network.capabilities import capabilities


def examine_network() -> list[Finding]:
    """Each capability as a finding."""
    return [
        Finding(
            name=capability.name,
            state="ok" if capability.works else "missing",
            detail=capability.reason,
            remedy=capability.remedy,
        )
        for capability in capabilities()
    ]
