"""The report's part about who can influence whom: the findings of an audit, made now or read from its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from analysis.audit.audit import audit
from analysis.audit.budget import AuditBudget
from analysis.audit.document import AUDIT, AuditDocument
from coordinator.plan.plan import Plan
from heliograph.bundle import Bundle


def make_audit(plan: Plan) -> AuditDocument:
    """Audit the plan's team.  Raises KeyboardInterrupt after Ctrl-C."""
    findings = audit(plan, AuditBudget())
    if findings.interrupted:
        raise KeyboardInterrupt
    return findings.document()


def read_audit(path: Path, bundles: Sequence[Bundle]) -> AuditDocument:
    """What `heliograph audit` wrote of the team of these bundles.

    Raises SettingsError if the file is none of this version or about other bundles.
    """

    def parse(fields: dict[str, Any]) -> AuditDocument:
        document = TypeAdapter(AuditDocument).validate_python(fields)
        if document.bundles != tuple(bundle.digest for bundle in bundles):
            raise ValueError("it is about other bundles")
        return document

    return AUDIT.read(path, parse)
