"""What a card tells of: the report of a run of exactly these bundles, an audit, a drawing; made here, or made before.

They lie in a folder beside the bundles, `evaluation/`, so that a card can be written again without running anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
from heliograph.codecs import BIT_PACKED
from heliograph.documents import write_json
from heliograph.environments.defaults import changed_or_all
from heliograph.errors import NodeFailed, SettingsError
from heliograph.hub.team_folder import AUDIT, DRAWING, EVALUATION
from heliograph.manifest import Manifest
from heliograph.optional import optional
from heliograph.reading import printable

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
    late: str | None
    """What stood for late messages, as `--late` says it; None: not told."""
    deaths: int
    """Node processes that died meanwhile."""
    otherwise: tuple[str, ...]
    """How the run differs from one of these bundles as they are, apart from the channel, in sentences."""
    audit: AuditDocument | None
    """None: the team was not audited."""


def make_evaluation(plan: Plan, folder: Path, *, audited: bool) -> None:
    """Run the plan's team as processes, audit it if asked and draw an episode; write report, audit and drawing.

    Raises KeyboardInterrupt after Ctrl-C, with nothing new in the folder but what was finished; NodeFailed if the run
    is not whole.
    """
    report = run_processes(plan, LaunchSettings())
    _check_whole(report)
    for name in (AUDIT, DRAWING):  # first: beside the new report they would be of earlier bundles
        (folder / name).unlink(missing_ok=True)
    write_json(report.as_dict(), folder / EVALUATION)
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

    `remedy` says how to make an evaluation.  Raises SettingsError where there is none, or it is of other bundles or
    another world than theirs, was broken off, or is none of this version.
    """
    digests = tuple(bundle.digest for bundle in bundles)
    if not report.exists():
        raise SettingsError(f"there is no evaluation of these bundles ({report} does not exist)", remedy=remedy)

    def parse(fields: dict[str, Any]) -> Evaluation:
        versions = fields["versions"]
        if [tuple(version["digests"]) for version in versions] != [digests]:
            steps = ", ".join(str(version["training_step"]) for version in versions)
            raise ValueError(f"it is of other bundles (training step {steps}, not {bundles[0].manifest.training_step})")
        _check_world(bundles[0].manifest, fields["environment"], fields["parameters"])
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
                "late": fields["settings"].get("late"),
                "deaths": len(fields["endings"]),
                "otherwise": tuple(_otherwise(fields)),
                "audit": None,
            }
        )

    evaluation = replace(REPORT, remedy=remedy).read(report, parse)
    if found_audit is None:
        return evaluation
    return replace(evaluation, audit=read_audit(found_audit, bundles))


def _check_world(manifest: Manifest, environment: str, parameters: dict[str, Any]) -> None:
    """Raise ValueError for a score of another task, which `--set` of a run makes of the bundles' own."""
    usual = changed_or_all(manifest.environment, manifest.environment_parameters)
    found = changed_or_all(environment, parameters)
    differing = [name for name in sorted(usual.keys() | found.keys()) if usual.get(name) != found.get(name)]
    if environment != manifest.environment or differing:
        said = ", ".join(f"{name}={json.dumps(parameters.get(name))}" for name in differing) or environment
        raise ValueError(printable(f"it is of another world than the bundles' own ({said})"[:300]))


def _otherwise(fields: dict[str, Any]) -> Iterator[str]:
    """What a reader of the score has to know of how the run went, as far as its report says it."""
    settings = fields["settings"]
    codec = settings.get("codec", BIT_PACKED)
    if codec != BIT_PACKED:
        yield f"Messages were written by the codec {codec}."
    if fields["lost_episodes"]:
        yield f"{fields['lost_episodes']} episodes were lost with their simulator; they count nowhere."
    if fields["stale_acts"]:
        yield f"{fields['stale_acts']} actions came after their step, and were not taken."
    if fields["departures"]:
        yield f"Nodes of {len(fields['departures'])} agents left during the run, and were masked until they were back."
    if fields["cuts"]:
        yield f"The world was paused {len(fields['cuts'])} times, as nodes were cut off; times are without that."


def _check_whole(report: Report) -> None:
    if report.interrupted:
        raise KeyboardInterrupt
    if report.endings:
        raise NodeFailed(f"the evaluation is not whole: {'; '.join(map(str, report.endings))}", remedy="Evaluate again")
