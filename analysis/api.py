"""The analyses' part of the public surface: `heliograph.bandwidth` and `heliograph.audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.audit.audit import audit as audit_plan
from analysis.audit.budget import AuditBudget
from analysis.audit.finding import Findings
from analysis.bandwidth.cell import CellResult
from analysis.bandwidth.curves import sweep_document
from analysis.bandwidth.measurement import TRACE, measure, report_of
from analysis.bandwidth.report.document import BandwidthReport, Curve
from analysis.bandwidth.report.folder import write_report
from analysis.bandwidth.runs import PlanFactory, load_runs
from analysis.bandwidth.sweep import Sweep, check_sweep, run_sweep
from analysis.bandwidth.teams import TEAMS, grid_of
from coordinator.api import overrides_of, plan_of, trust_of
from coordinator.channel import Channel
from coordinator.links.link_plan import LOOPBACK, LinkPlan
from coordinator.plan.settings import RunSettings
from coordinator.running.local import world_spec
from coordinator.running.report import Report
from heliograph.errors import MissingExtra
from heliograph.event_loops import beside_a_running_loop


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """What a team's messages cost, and what its score is when fewer of them arrive."""

    run: Report
    """The measured run."""
    report: BandwidthReport
    """Everything that `report.json` holds: layers, entropies, codecs, conservation, the sweep."""
    folder: Path
    """Where the report, its tables and plots, and the recording are."""

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Score against bits, a curve for each axis of the sweep; without a sweep none."""
        return () if self.report.sweep is None else self.report.sweep.curves


# As many parameters as the command has options that matter from Python: names and defaults are those of RunSettings.
def bandwidth(
    *paths: str | Path,
    folder: str | Path = "bandwidth",
    episodes: int = 100,
    seeds: Sequence[int] = (0,),
    greedy: bool = True,
    parameters: Mapping[str, Any] | None = None,
    codec: str = "bit-packed",
    channel: str | None = None,
    late: str = "trained",
    sweep: Sequence[str] | None = None,
    local: bool = False,
    local_cells: bool = False,
    jobs: int = 1,
    resume: bool = False,
    allow_environment: str | None = None,
    allow_parameters: Mapping[str, Any] | None = None,
    trusted_keys: Sequence[str | Path] = (),
) -> Bandwidth:
    """Measure what a team's messages cost at every layer, and write the report, as `heliograph bandwidth` does.

    Args:
        paths: Run folders, or folders of bundles, that are seeds of one training: the first is measured, all are swept.
        folder: Where the report goes.
        episodes: Of the measured run, and of every cell of the sweep.
        seeds: Of the cells; the first is the measured run's.
        greedy: The most likely latents and actions; otherwise sampled ones.
        parameters: Changed parameters of the environment.
        codec: How the measured run's latents are written.
        channel: Simulated faults of the links, in the measured run and wherever the sweep does not set them.
        late: Treat a late message as missing (`mask`), reuse the last one received (`hold`), or put what its receiver
            predicts from that in its place (`predict`); `trained`: as the bundles say that the team was trained.
        sweep: Axes with their values, such as `["erasure=0,0.1,…,1"]`; an empty list is erasure from 0 to 1 and the
            codecs; `"teams"` among them: the paths are of several trainings, each a team; None: no sweep.
        local: The measured run in this process: nothing is on a wire, and lower layers are computed.
        local_cells: The sweep's cells in this process: the same scores, quicker.
        jobs: Local cells that run side by side.
        resume: Go on with the sweep that the folder holds.
        allow_environment: Import path of the environment, if it is code that the bundles name and you trust.
        allow_parameters: Texts that the bundles may give it, such as a path.
        trusted_keys: Files of public keys, of which one must have signed the bundles.

    Returns:
        The measured run, the report, and with a sweep its curves.

    Raises:
        NodeFailed: A node died, so the measured run is not whole.
        BundleError: There are no bundles, or the paths are not for one world, team and kind of message.
        EnvironmentUntrusted: The bundles name code, or a text, that nobody has allowed.
        SettingsError: An argument is out of range, or the folder holds another sweep.
        KeyboardInterrupt: After Ctrl-C; finished cells stay in the folder, for `resume`.
    """
    place = Path(folder)
    plans = PlanFactory(
        runs=load_runs(
            [Path(path) for path in paths],
            trust_of(allow_environment, allow_parameters, trusted_keys),
            alike=TEAMS not in (sweep or ()),
        ),
        settings=RunSettings(
            episodes=episodes,
            greedy=greedy,
            codec=codec,
            channel=None if channel is None else Channel.parse(channel),
            late_policy=late,
            record=place / TRACE,
        ),
        overrides=tuple(overrides_of(parameters or {})),
    )
    first = plans.runs[0]
    plan = plans.plan(first, seed=seeds[0])
    work = None
    if sweep is not None:
        spec = world_spec(plan)
        grid = grid_of(sweep, plans=plans, spec=spec)
        work = Sweep(
            folder=place,
            grid=grid,
            plans=plans,
            seeds=tuple(seeds),
            local=local or local_cells,
            jobs=jobs,
            spec=spec,
        )
        check_sweep(work, resume=resume)
    links = None if local else LinkPlan(kind=LOOPBACK)

    def measured() -> Bandwidth:
        found = measure(plan, links=links)
        report = report_of(found, links)
        results: list[CellResult] = []
        if work is not None:
            run_sweep(work, resume=resume, results=results)
            report = replace(report, sweep=sweep_document(work, results))
        with suppress(MissingExtra):  # of the plots alone, which a program draws as it likes
            write_report(report, place)
        return Bandwidth(run=found.report, report=report, folder=place)

    return beside_a_running_loop(measured)


# As many parameters as the command has options that matter from Python.
def audit(
    path: str | Path,
    *,
    episodes: int = 2,
    steps: int = 40,
    limit: int = 60,
    seed: int = 0,
    greedy: bool = True,
    parameters: Mapping[str, Any] | None = None,
    networks: bool = False,
    log_folder: str | Path | None = None,
    allow_environment: str | None = None,
    allow_parameters: Mapping[str, Any] | None = None,
    trusted_keys: Sequence[str | Path] = (),
) -> Findings:
    """Try to refute that each agent depends on its own observations and its messages alone, as `heliograph audit` does.

    Args:
        path: A run folder, or a folder of bundles.
        episodes: Recorded episodes that every question is asked in.
        steps: Steps of such an episode at most.
        limit: Ordered pairs of agents, and ordered triples, that are tried at most.
        seed: Of the recorded episodes, and of what is drawn at random.
        greedy: Audit the greedy policy; otherwise the sampled one.
        parameters: Changed parameters of the environment.
        networks: Compare the run folder's networks as well; needs the trainer.
        log_folder: Where the nodes' logs are kept; None: only if a node failed.
        allow_environment: Import path of the environment, if it is code that the bundles name and you trust.
        allow_parameters: Texts that the bundles may give it, such as a path.
        trusted_keys: Files of public keys, of which one must have signed the bundles.

    Returns:
        The findings: `refuted`, a verdict for every check in `checks`, and the evidence in `leaks`.  After Ctrl-C they
            are what was found, and `interrupted` is true.

    Raises:
        NodeFailed: A node ended or did not come up.
        BundleError: There are no bundles, or not of one team.
        EnvironmentUntrusted: The bundles name code, or a text, that nobody has allowed.
        SettingsError: An argument is out of range, or the team is of one agent.
    """
    trust = trust_of(allow_environment, allow_parameters, trusted_keys)
    plan = plan_of(path, trust=trust, parameters=parameters, run_seed=seed, greedy=greedy)
    return beside_a_running_loop(
        lambda: audit_plan(
            plan,
            AuditBudget(scripts=episodes, steps=steps, limit=limit),
            networks=Path(path) if networks else None,
            permission=trust.user,
            log_folder=None if log_folder is None else Path(log_folder),
        )
    )
