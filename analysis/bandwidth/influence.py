"""The report's part about who can influence whom: the findings of an audit, made now or read from its JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from analysis.audit.audit import audit
from analysis.audit.budget import AuditBudget
from analysis.audit.document import AuditDocument
from analysis.audit.finding import FORMAT, VERSION
from coordinator.plan.plan import Plan
from heliograph.errors import SettingsError
from heliograph.reading import check_format, read_json


def make_audit(plan: Plan) -> AuditDocument:
    """Audit the plan's team.  Raises KeyboardInterrupt after Ctrl-C."""
    findings = audit(plan, AuditBudget())
    if findings.interrupted:
        raise KeyboardInterrupt
    return findings.document()


def read_audit(path: Path, plan: Plan) -> AuditDocument:
    """What `heliograph audit` wrote of the plan's team.

    Raises SettingsError if the file is none of this version or about other bundles.
    """
    try:
        read = read_json(path)
        check_format(read, format=FORMAT, version=VERSION)
        document = TypeAdapter(AuditDocument).validate_python(read)
        if document.bundles != tuple(bundle.digest for bundle in plan.bundles):
            raise ValueError("it is about other bundles")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot take the audit {path}: {error}", remedy="Make it with `heliograph audit`"
        ) from None
    return document
