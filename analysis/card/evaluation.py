"""What a card tells of: the report of a run of exactly these bundles, an audit, a drawing; made here, or made before.

They lie in a folder beside the bundles, `evaluation/`, so that a card can be written again without running anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from analysis.audit.audit import audit
from analysis.audit.budget import AuditBudget
from analysis.audit.document import AuditDocument
from analysis.bandwidth.influence import read_audit
from coordinator.plan.plan import LABELS, Plan
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.running.outcome import Summary
from coordinator.running.report import REPORT, Report
from heliograph.bundle import Bundle
from heliograph.documents import write_json
from heliograph.errors import NodeFailed, SettingsError
from heliograph.hub.team_folder import AUDIT, DRAWING, EVALUATION
from heliograph.optional import optional

FOLDER = "evaluation"
MOST_DRAWN_STEPS = 300
"""Of the episode in the drawing, which everybody who looks at a card downloads."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is known of a team by running it."""

    title: str
    """Who ran: "2 processes, mamba in relay"."""
    seed: int
    greedy: bool
    channel: str | None
    blind_bound: float | None
    blind_bound_measured: bool
    summaries: dict[str, Summary]
    """By condition, `open` and perhaps `cut`."""
    deaths: int
    """Node processes that died meanwhile."""
    audit: AuditDocument | None
    """None: the team was not audited."""


def make_evaluation(plan: Plan, folder: Path, *, audited: bool) -> None:
    """Run the plan's team as processes, audit it if asked and draw an episode; write report, audit and drawing.

    Raises KeyboardInterrupt after Ctrl-C, with nothing new in the folder but what was finished; NodeFailed if the run
    is not whole.
    """
    report = run_processes(plan, LaunchSettings())
    _check_whole(report)
    write_json(report.as_dict(), folder / EVALUATION)
    for name in (AUDIT, DRAWING):  # they would be of earlier bundles
        (folder / name).unlink(missing_ok=True)
    if audited:
        findings = audit(plan, AuditBudget())
        if findings.interrupted:
            raise KeyboardInterrupt
        write_json(findings.as_dict(), folder / AUDIT)
    with optional("no drawing of an episode"):
        drawn = replace(plan, episodes=1, conditions=("open",), frames=folder / DRAWING, most_steps=MOST_DRAWN_STEPS)
        if evaluate(drawn).interrupted:
            raise KeyboardInterrupt


def read_evaluation(report: Path, found_audit: Path | None, bundles: Sequence[Bundle], *, remedy: str) -> Evaluation:
    """What was found before, of exactly these bundles.

    `remedy` says how to make an evaluation.  Raises SettingsError where there is none, or it is of other bundles,
    was broken off, or is none of this version.
    """
    digests = tuple(bundle.digest for bundle in bundles)
    if not report.exists():
        raise SettingsError(f"there is no evaluation of these bundles ({report} does not exist)", remedy=remedy)

    def parse(fields: dict[str, Any]) -> Evaluation:
        versions = fields["versions"]
        if [tuple(version["digests"]) for version in versions] != [digests]:
            steps = ", ".join(str(version["training_step"]) for version in versions)
            raise ValueError(f"it is of other bundles (training step {steps}, not {bundles[0].manifest.training_step})")
        if fields["interrupted"] or fields["output_failure"] is not None or not fields["summaries"]:
            raise ValueError("it was broken off")
        conditions = {label: name for name, label in LABELS.items()}
        summaries = [TypeAdapter(Summary).validate_python(entry) for entry in fields["summaries"]]
        found = {conditions[summary.label]: summary for summary in summaries}
        if "open" not in found:
            raise ValueError("it has no score with messages")
        return TypeAdapter(Evaluation).validate_python(
            {
                "title": fields["title"],
                "seed": fields["run_seed"],
                "greedy": fields["greedy"],
                "channel": fields["channel"],
                "blind_bound": fields["blind_bound"],
                "blind_bound_measured": fields["blind_bound_measured"],
                "summaries": found,
                "deaths": len(fields["endings"]),
                "audit": None,
            }
        )

    evaluation = replace(REPORT, remedy=remedy).read(report, parse)
    if found_audit is None:
        return evaluation
    return replace(evaluation, audit=read_audit(found_audit, bundles))


def _check_whole(report: Report) -> None:
    if report.interrupted:
        raise KeyboardInterrupt
    if report.endings:
        raise NodeFailed(f"the evaluation is not whole: {'; '.join(map(str, report.endings))}", remedy="Evaluate again")
