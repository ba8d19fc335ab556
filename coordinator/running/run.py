"""One run of a plan by a team of node processes, from its first process to its report."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from coordinator.links.accounting import Account
from coordinator.links.links import Links
from coordinator.links.wire_report import WireReport
from coordinator.observers.observers import ObservedTeam, RunObserver, observing
from coordinator.observers.progress import Progress
from coordinator.plan.clock import Clock
from coordinator.plan.plan import LABELS, Plan
from coordinator.plan.settings import PERMUTED
from coordinator.recording.journal import Logbook
from coordinator.recording.writer import Recorder
from coordinator.running.ending import to_its_end
from coordinator.running.episode import run_episode
from coordinator.running.hot_swap import Versions
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.node_team import NodeTeam
from coordinator.running.outcome import Summary, summarise
from coordinator.running.report import Report
from coordinator.serving.conservation import Reading, Traffic, traffic
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.team_certificates import coordinator_tls
from coordinator.world.trajectory import EpisodeResult, StepRecord
from coordinator.world.world import EpisodeLost
from heliograph import codecs, log
from heliograph.errors import OutputFailed, SettingsError, WorldError
from heliograph.guard import places
from heliograph.seeds import episode_seed
from heliograph.stopping import PATIENCE_S, Stopped
from heliograph.transports import LEAN

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Condition:
    """A condition while its episodes run, and what the team's clocks and counts showed when it began."""

    name: str
    results: list[EpisodeResult]
    """Of finished episodes; those of an earlier coordinator come first."""
    earlier: int
    """How many those are."""
    started: float
    paused_s: float
    steps: int


class Run:
    """Runs the conditions of a plan, one after the other, over one team of nodes; for a single use.

    `links` are up, and made for the plan's team.
    """

    def __init__(self, plan: Plan, launch: LaunchSettings, links: Links) -> None:
        if PERMUTED in plan.conditions:
            raise SettingsError(
                "processes receive the messages of their own episode alone",
                remedy="Use `heliograph evaluate --links permuted`",
            )
        _check_crowd(plan, launch)
        self._plan, self._launch, self._links = plan, launch, links
        self._account = None if launch.links is None else _account(links, plan)
        self._worlds = {name: plan.world(name) for name in plan.conditions}
        self._spec = self._worlds[plan.conditions[0]].spec
        self._tls = None if launch.certificates is None else coordinator_tls(launch.certificates)
        self._nodes = NodeTeam(
            CoordinationServer(
                plan.bundles,
                TeamSettings(
                    run_seed=plan.run_seed,
                    greedy=plan.greedy,
                    late_policy=plan.late_policy,
                    codec=plan.codec,
                    report_latents=plan.reports_latents or self._account is not None or launch.observers.wants_latents,
                    rejoin_s=launch.rejoin_s,
                ),
                reached=ListenSettings(
                    listen=links.listen, tls=self._tls, insecure=launch.insecure, address_of=links.address_of
                ),
            ),
            command=self._command if launch.spawn else None,
            log_folder=launch.log_folder,
            restarts=launch.restarts,
        )
        self._team = self._nodes.team
        self._journal = Logbook(launch.resume, plan=plan, spec=self._spec)
        self._summaries: list[Summary] = []
        self._reading: Reading | None = None
        self._wire: WireReport | None = None
        self._lost_episodes = 0

    async def until_done(self, stop: asyncio.Event) -> Report:
        """Run until every episode is finished or `stop` is set; the report then says so and holds what was finished.

        Raises NodeFailed if nodes do not come up or all of them die, PortTaken, WorldError and MessageError.
        """
        interrupted, output_failure = False, None
        log.enter(run=self._nodes.server.run_id)
        with ExitStack() as stack:
            self._open(stack)
            async with self._nodes, nullcontext() if self._tls is None else self._tls.watched():
                try:
                    await self._nodes.during(self._conditions(), stop=stop)
                except Stopped:
                    interrupted = True
                except OutputFailed as error:
                    output_failure = str(error)
        return self._report(interrupted=interrupted, output_failure=output_failure)

    def _open(self, stack: ExitStack) -> None:
        """The files that the run reads and writes, and what it shows of itself."""
        plan = self._plan
        stack.enter_context(self._journal)
        self._lost_episodes = self._journal.lost_episodes
        self._recorder = None
        if plan.record is not None:
            self._recorder = stack.enter_context(Recorder(plan.record, plan=plan, spec=self._spec))
        self._beside = stack.enter_context(
            observing(
                self._launch.observers,
                plan,
                self._spec,
                ObservedTeam(
                    name=self._title,
                    live=lambda: len(self._team.live),
                    refusals=self._nodes.server.refusals.counts,
                    tls=self._tls,
                ),
            )
        )
        self._versions = Versions(
            self._launch.following,
            plan,
            self._worlds.values(),
            connect_timeout_s=self._launch.connect_timeout_s,
            on_switch=self._beside.switched,
        )
        observers: tuple[RunObserver | None, ...] = (self._recorder, self._account, *self._beside.each)
        self._observers = [observer for observer in observers if observer is not None]

    async def _conditions(self) -> None:
        if not self._journal.is_whole:
            await self._connect()
        if self._account is not None:
            self._account.begin()
        logger.info("running address=%s conditions=%s", self._nodes.server.address, self._plan.conditions)
        clock = self._beside.clock(self._plan.pace.period_s)
        for name in self._plan.conditions:
            await self._condition(name, clock)
        if self._recorder is not None:
            self._recorder.finish()

    async def _connect(self) -> None:
        # Without messages nobody needs a stream.
        connect_timeout_s = None if self._plan.manifest.message is None else self._launch.connect_timeout_s
        missing = await self._nodes.connect(
            start_timeout_s=self._launch.start_timeout_s, connect_timeout_s=connect_timeout_s
        )
        if missing:
            logger.warning("starting without streams between pairs=%s", missing)

    async def _condition(self, name: str, clock: Clock) -> None:
        self._beside.begin(name, self._worlds[name])
        results, team = self._journal.earlier(name), self._team
        condition = _Condition(
            name=name,
            results=results,
            earlier=len(results),
            started=time.perf_counter(),
            paused_s=team.paused_s,
            steps=team.steps,
        )
        try:
            with Progress(LABELS[name], total=self._plan.episodes) as bar:
                bar.reach(condition.earlier)
                for episode in self._journal.remaining(name):
                    await team.reunite()
                    await self._versions.before(episode, self._nodes.server)
                    result = await self._episode(name, episode, clock)
                    if result is None:
                        continue
                    results.append(result)
                    self._journal.finished(name, result)
                    bar.advance()
                    for observer in self._observers:
                        observer.episode(name, result)
                if team.cut_off:
                    await team.pause()  # they have counted, too
                if not results:
                    raise WorldError(
                        f"all {self._plan.episodes} episodes were lost with the simulator of {self._spec.id!r}"
                    )
        finally:
            # A stopped condition counts for what was finished; asking the nodes for it takes a bounded time.
            await to_its_end(self._sum_up(condition))

    async def _episode(self, name: str, episode: int, clock: Clock) -> EpisodeResult | None:
        """Run an episode; None if it is lost with its simulator."""

        def observe(record: StepRecord) -> None:
            for observer in self._observers:
                observer.step(name, record)

        try:
            return await run_episode(
                self._team,
                self._worlds[name],
                episode=episode,
                seed=episode_seed(run_seed=self._plan.run_seed, episode=episode),
                pace=self._plan.pace,
                clock=clock,
                observe=observe if self._observers else None,
            )
        except KeyboardInterrupt:
            # The world did not return and held up the loop, which can now tell this task to end.
            await asyncio.sleep(PATIENCE_S)
            raise Stopped from None
        except EpisodeLost as lost:
            # Not run again: the nodes have sent messages in it, and an episode's messages are numbered once.
            logger.warning("episode lost episode=%d cause=%s", episode, lost)
            self._lost_episodes += 1
            self._journal.lost(name, episode)
            return None

    async def _sum_up(self, condition: _Condition) -> None:
        seconds = time.perf_counter() - condition.started - (self._team.paused_s - condition.paused_s)
        counted_steps = self._team.steps - condition.steps
        passed = Traffic.nothing()
        if counted_steps:
            last, self._reading = self._reading, await self._team.reading()
            passed = traffic(self._reading, since=last)
        if condition.results:  # and not stopped in the first episode
            self._summaries.append(
                summarise(
                    condition.results,
                    label=LABELS[condition.name],
                    spec=self._spec,
                    seconds=seconds,
                    traffic=passed,
                    counted_steps=counted_steps,
                    earlier=condition.earlier,
                )
            )
        if self._account is not None and self._reading is not None and (condition.results or counted_steps):
            is_whole = len(condition.results) == self._plan.episodes
            doubt = None if is_whole else "not all episodes were finished"
            self._wire = self._account.report(self._reading, doubt=doubt)

    def _command(self, slot: int) -> list[str]:
        """The command line of a slot's node."""
        launch = self._launch
        return [
            *self._links.command(slot, self._nodes.server.address, join_timeout_s=launch.start_timeout_s),
            *("--transport", launch.transport),
            *launch.node_options(slot),
            *(() if launch.certificates is None else ("--tls", str(launch.certificates))),
        ]

    @property
    def _title(self) -> str:
        return f"{len(self._plan.bundles)} processes"

    def _report(self, *, interrupted: bool, output_failure: str | None) -> Report:
        return Report.of(
            self._plan,
            self._spec,
            team=self._title,
            summaries=self._summaries,
            launch=self._launch,
            versions=tuple(self._versions.used),
            links=None if self._reading is None else self._reading.links,
            wire=self._wire,
            endings=tuple(self._nodes.exits),
            departures=dict(sorted(self._team.departures.items())),
            interrupted=interrupted,
            output_failure=output_failure,
            stale_acts=self._team.stale_acts,
            cuts=tuple(self._team.cuts),
            lost_episodes=self._lost_episodes,
            earlier_episodes=self._journal.episodes,
        )


def _account(links: Links, plan: Plan) -> Account:
    message = plan.manifest.message
    if message is None:
        raise SettingsError(f"bundles of {plan.manifest.algorithm!r} send no messages that could be counted")
    return Account(links, codec=codecs.make(plan.codec, message, plan.bundles[0].tables), manifest=plan.manifest)


def _check_crowd(plan: Plan, launch: LaunchSettings) -> None:
    """Raises SettingsError for more nodes at one address than a node of the lean transport lets in from there."""
    most = places.MAX_PER_CLIENT + 1  # and itself
    alone = launch.spawn and launch.links is None
    if launch.transport == LEAN and alone and plan.manifest.message is not None and len(plan.bundles) > most:
        raise SettingsError(
            f"a node of the lean transport has at most {places.MAX_PER_CLIENT} peers at one address, and "
            f"{len(plan.bundles)} nodes would be started here",
            remedy="Give --transport grpcio, or start nodes on other machines",
        )
