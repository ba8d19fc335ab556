"""`heliograph bandwidth measure`: measure a team, sweep over faults and codecs, and write the report."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.audit.document import AuditDocument
from analysis.bandwidth.cell import CellResult
from analysis.bandwidth.curves import sweep_document
from analysis.bandwidth.influence import make_audit, read_audit
from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.plot import draw_language
from analysis.bandwidth.measurement import TRACE, measure, report_of, settings_of
from analysis.bandwidth.messages import FILE as MESSAGES
from analysis.bandwidth.messages import write_messages
from analysis.bandwidth.report.document import BandwidthReport
from analysis.bandwidth.report.folder import (
    DOCUMENT,
    LANGUAGE_PICTURE,
    PAGE,
    read_document,
    write_document,
    write_report,
)
from analysis.bandwidth.report.terminal import print_report
from analysis.bandwidth.runs import PlanFactory, load_runs
from analysis.bandwidth.sweep import Sweep, check_sweep, run_sweep
from analysis.bandwidth.teams import TEAMS, grid_of
from coordinator.commands import arguments
from coordinator.links.link_plan import LOOPBACK, NAMESPACES, LinkPlan
from coordinator.plan.options import read_options
from coordinator.plan.plan import Plan
from coordinator.plan.settings import RunSettings
from coordinator.running.local import world_spec
from heliograph.errors import INTERRUPTED_EXIT_CODE, MissingExtra, SettingsError
from heliograph.optional import optional
from heliograph.transports import DEFAULT_TRANSPORT


@dataclass(frozen=True, kw_only=True)
class Work:
    """What to do, checked as a whole before anything starts."""

    folder: Path
    plan: Plan
    """Of the measured run."""
    links: LinkPlan | None
    """Its links; None: in one process."""
    sweep: Sweep | None
    audit: AuditDocument | None
    """Findings of an audit that was made before."""


def run(namespace: argparse.Namespace) -> int:
    """Play what the arguments ask for; returns the exit code."""
    work = _work(namespace)
    report = _measured(work, resume=namespace.resume)
    report = replace(report, influence=work.audit or report.influence)
    results: list[CellResult] = []
    interrupted, failure = False, None
    try:
        if work.sweep is not None:
            run_sweep(work.sweep, resume=namespace.resume, results=results)
        if namespace.audit == "":
            report = replace(report, influence=make_audit(work.plan))
    except KeyboardInterrupt:
        interrupted = True
    except Exception as error:
        failure = error  # what was played before it is reported first
    if work.sweep is not None:
        report = replace(report, sweep=sweep_document(work.sweep, results))
    try:
        missing = write_report(report, work.folder)
    finally:
        print_report(report)
    written = [name for name in (PAGE, DOCUMENT, TRACE) if (work.folder / name).is_file()]
    print(f"written to {work.folder}: {', '.join(written)}, tables{'' if missing else ' and plots'}")
    if failure is not None:
        raise failure
    if interrupted:
        print(f"interrupted; --resume continues after {len(results)} finished cells", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    if missing is not None:
        raise missing
    return next((result.failure.exit_code for result in results if result.failure is not None), 0)


def _work(namespace: argparse.Namespace) -> Work:
    """Raises SettingsError or BundleError for what cannot be played."""
    folder = namespace.out
    if len(namespace.codec or ()) > 1:
        raise SettingsError(
            f"a run has one codec, not {', '.join(namespace.codec)}", remedy="Compare them: --sweep codec=SPEC,SPEC"
        )
    if namespace.sweep is None and (namespace.resume or namespace.jobs or namespace.local_cells):
        raise SettingsError("--resume, --jobs and --local-cells are for sweeps", remedy="Add --sweep")
    plans = PlanFactory(
        runs=load_runs(namespace.bundles, arguments.trust(namespace), alike=TEAMS not in (namespace.sweep or ())),
        settings=read_options(
            namespace, RunSettings, codec=(namespace.codec or ["bit-packed"])[0], record=folder / TRACE
        ),
        overrides=tuple(namespace.overrides),
    )
    first, seeds = plans.runs[0], _seeds(namespace.seeds)
    plan = plans.plan(first, seed=seeds[0])
    sweep = None
    if namespace.sweep is not None:
        spec = world_spec(plan)
        grid = grid_of([axis for axis in namespace.sweep if axis], plans=plans, spec=spec)
        sweep = Sweep(
            folder=folder,
            grid=grid,
            plans=plans,
            seeds=seeds,
            local=namespace.local or namespace.local_cells,
            jobs=namespace.jobs or 1,
            spec=spec,
        )
        check_sweep(sweep, resume=namespace.resume)
    audit = read_audit(Path(namespace.audit), plan.bundles) if namespace.audit else None
    return Work(folder=folder, plan=plan, links=_links(namespace), sweep=sweep, audit=audit)


def _measured(work: Work, *, resume: bool) -> BandwidthReport:
    """The report of the measured run, which a resumed sweep does not play again."""
    if resume:
        earlier = read_document(work.folder)
        if earlier is not None and earlier.settings == settings_of(work.plan, work.links):
            return earlier
    measured = measure(work.plan, links=work.links)
    report = report_of(measured, work.links)
    write_document(report, work.folder)  # now, so that it stays whatever becomes of the rest
    if measured.report.wire is not None:
        write_messages(work.folder / MESSAGES, measured.report.wire)
    if report.information is not None:
        print("analysing the messages", file=sys.stderr, flush=True)
        with optional("no language analysis"):
            language = read_language(measured.trace, work.plan.bundles)
            report = replace(report, language=language.document())
            write_document(report, work.folder)
            with suppress(MissingExtra):  # which the report's other plots tell
                draw_language(language, work.folder / LANGUAGE_PICTURE)
    return report


def _links(namespace: argparse.Namespace) -> LinkPlan | None:
    given = {name: getattr(namespace, f"link_{name}") for name in ("rate_kbit", "delay_ms", "loss")}
    given = {name: value for name, value in given.items() if value is not None}
    if namespace.local:
        if namespace.namespaces or given or namespace.transport != DEFAULT_TRANSPORT:
            raise SettingsError("a team in one process has no links", remedy="Leave out --local, or what is of links")
        return None
    kind = NAMESPACES if namespace.namespaces else LOOPBACK
    return LinkPlan(kind=kind, transport=namespace.transport, **given)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in text.split(","))
    except ValueError:
        raise SettingsError(f"--seeds {text!r} are not whole numbers", remedy="Write --seeds 0,1,2") from None
