"""What the doctor reports: one finding per thing looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "missing", "wrong"]
    detail: str = ""
    """What was found: a version, a path, a size."""
    remedy: str = ""
    """What to do about it; empty where all is well."""


def usable(findings: list[Finding]) -> bool:
    """Whether a part of the installation works."""
    return all(finding.state == "ok" for finding in findings)
