"""A whole run of a team of processes: start or await nodes, play the passes, read the counters, let everybody go."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from coordinator.links.accounting import Account
from coordinator.links.links import Links
from coordinator.links.links_of import links_of
from coordinator.links.wire_report import WireReport
from coordinator.observers.observation import Showing, ShownTeam, Witness, showing
from coordinator.observers.progress import Progress
from coordinator.plan.pace import Clock
from coordinator.plan.plan import LABELS, Plan
from coordinator.recording.journal import Logbook
from coordinator.recording.writer import Recorder
from coordinator.running.assembly import assemble
from coordinator.running.ending import first_of, loop_factory, to_its_end, until_signal
from coordinator.running.episode import play
from coordinator.running.hot_swap import Versions
from coordinator.running.launch_settings import Staging
from coordinator.running.outcome import Summary, summarise
from coordinator.running.report import Report
from coordinator.serving.conservation import Reading, Traffic, traffic
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import ListenSettings, TeamSettings
from coordinator.serving.supervisor import Ending, Supervisor
from coordinator.serving.team_certificates import coordinator_tls
from coordinator.world.trajectory import EpisodeResult, StepRecord
from coordinator.world.world import EpisodeLost, World
from heliograph import codecs, log
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import NodeFailed, OutputFailed, SettingsError, WorldError
from heliograph.manifest import Manifest
from heliograph.optional import optional
from heliograph.seeds import episode_seed
from heliograph.stopping import PATIENCE_S, Stopped

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.1
"""How often the node processes are looked at; a handle's poll costs microseconds."""

LEAVE_DEADLINE_S = 5.0
"""How long processes may take to end after their sessions are over."""


@dataclass(kw_only=True)
class _State:
    summaries: list[Summary] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    reading: Reading | None = None
    wire: WireReport | None = None
    playing: bool = False
    """The start is over: from now on the team goes on without a node that dies."""
    interrupted: bool = False
    lost_episodes: int = 0
    output_failure: str | None = None


def run_processes(plan: Plan, staging: Staging) -> Report:
    """Run a plan from a program without an event loop of its own, with Ctrl-C and SIGTERM ending it in order."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(until_signal(lambda stop: run(plan, staging, stop=stop)))


async def run(plan: Plan, staging: Staging, *, stop: asyncio.Event) -> Report:
    """Run a plan until it is done or `stop` is set; the report then says so and holds what was finished.

    Raises NodeFailed if nodes do not come up or all of them die, PortTaken, WorldError, MessageError, and SettingsError
    if the machine cannot make the links.
    """
    async with links_of(staging.links, team_size=len(plan.bundles), listen=staging.listen) as links:
        return await _run_over(links, plan, staging, stop)


async def _run_over(links: Links, plan: Plan, staging: Staging, stop: asyncio.Event) -> Report:
    state = _State()
    account = None
    certificates = staging.certificates
    if staging.links is not None:
        account = _account(links, plan)
    worlds = {name: plan.world(name) for name in plan.passes}
    spec = worlds[plan.passes[0]].spec
    team_name = f"{len(plan.bundles)} processes"
    tls = None if certificates is None else coordinator_tls(certificates)
    server = CoordinationServer(
        plan.bundles,
        TeamSettings(
            run_seed=plan.run_seed,
            greedy=plan.greedy,
            late_policy=plan.late_policy,
            codec=plan.codec,
            report_latents=plan.reports_latents or account is not None or staging.shows.wants_latents,
            rejoin_s=staging.rejoin_s,
        ),
        reached=ListenSettings(listen=links.listen, tls=tls, insecure=staging.insecure, address_of=links.address_of),
    )
    log.enter(run=server.run_id)
    with ExitStack() as stack:
        logbook = stack.enter_context(Logbook(staging.resume, plan=plan, spec=spec))
        state.lost_episodes = logbook.lost_episodes
        recorder = None
        if plan.record is not None:
            recorder = stack.enter_context(Recorder(plan.record, plan=plan, spec=spec))
        shown = stack.enter_context(
            showing(
                staging.shows,
                plan,
                spec,
                ShownTeam(
                    name=team_name,
                    live=lambda: len(server.team.live),
                    refusals=server.refusals.counts,
                    tls=tls,
                ),
            )
        )
        versions = Versions(
            staging.following, plan, worlds.values(), connect_timeout_s=staging.connect_timeout_s, told=shown.switched
        )
        log_folder = staging.log_folder
        if log_folder is None and staging.spawn:
            log_folder = Path(tempfile.mkdtemp(prefix="heliograph-nodes-"))
            stack.push(partial(_tidy, log_folder, state))
        supervisor = None
        if staging.spawn:
            assert log_folder is not None
            supervisor = stack.enter_context(
                Supervisor(
                    lambda slot: [
                        *links.command(slot, server.address, join_timeout_s=staging.start_timeout_s),
                        *staging.node_options(slot),
                        *(() if certificates is None else ("--tls", str(certificates))),
                    ],
                    log_folder=log_folder,
                )
            )
        async with server, nullcontext() if tls is None else tls.watched():
            watch = _watch(supervisor, staging, state) if supervisor is not None else asyncio.Event().wait()
            work = _work(plan, staging, server, supervisor, worlds, recorder, account, shown, logbook, versions, state)
            try:
                await first_of(work, watch, stop)
            except Stopped:
                state.interrupted = True
            except OutputFailed as error:
                state.output_failure = str(error)
            if supervisor is not None:
                # Those that died since the watch looked last; from here on they are told to end.
                state.endings += supervisor.ended()
        # After an interruption some may still be starting; those are not told anything, only ended.
        if supervisor is not None and not state.interrupted:
            # In a thread, because links may have to pass on what nodes say while they leave.
            await asyncio.to_thread(supervisor.wait, timeout_s=LEAVE_DEADLINE_S)
    return Report.of(
        plan,
        spec,
        team=team_name,
        summaries=state.summaries,
        versions=tuple(versions.played),
        links=None if state.reading is None else state.reading.links,
        wire=state.wire,
        endings=tuple(state.endings),
        departures=dict(sorted(server.team.departures.items())),
        interrupted=state.interrupted,
        output_failure=state.output_failure,
        stale_acts=server.team.stale_acts,
        cuts=tuple(server.team.cuts),
        lost_episodes=state.lost_episodes,
        earlier_episodes=logbook.episodes,
    )


async def _work(
    plan: Plan,
    staging: Staging,
    server: CoordinationServer,
    supervisor: Supervisor | None,
    worlds: dict[str, World],
    recorder: Recorder | None,
    account: Account | None,
    shown: Showing,
    logbook: Logbook,
    versions: Versions,
    state: _State,
) -> None:
    if not logbook.is_whole:
        await assemble(
            server,
            supervisor,
            start_timeout_s=staging.start_timeout_s,
            # Without messages nobody needs a stream.
            connect_timeout_s=None if plan.manifest.message is None else staging.connect_timeout_s,
        )
    if account is not None:
        account.begin()
    state.playing = True
    logger.info("playing address=%s passes=%s", server.address, plan.passes)
    clock = shown.clock(plan.pace.period_s)
    for name in plan.passes:
        shown.begin(name, worlds[name])
        witnesses = [witness for witness in (recorder, account, *shown.witnesses) if witness is not None]
        await _play_pass(name, plan, server, worlds[name], clock, witnesses, account, logbook, versions, state)
    if recorder is not None:
        recorder.finish()


async def _play_pass(
    name: str,
    plan: Plan,
    server: CoordinationServer,
    world: World,
    clock: Clock,
    witnesses: list[Witness],
    account: Account | None,
    logbook: Logbook,
    versions: Versions,
    state: _State,
) -> None:
    def observe(record: StepRecord) -> None:
        for witness in witnesses:
            witness.step(name, record)

    results = logbook.earlier(name)
    earlier, steps_before = len(results), server.team.steps
    started, paused_s = time.perf_counter(), server.team.paused_s
    try:
        with Progress(LABELS[name], total=plan.episodes) as bar:
            bar.reach(earlier)
            for episode in logbook.remaining(name):
                await server.team.reunite()
                await versions.before(episode, server)
                try:
                    result = await play(
                        server.team,
                        world,
                        episode=episode,
                        seed=episode_seed(run_seed=plan.run_seed, episode=episode),
                        pace=plan.pace,
                        clock=clock,
                        observe=observe if witnesses else None,
                        report_latents=bool(witnesses),
                    )
                except KeyboardInterrupt:
                    # The world did not return and held up the loop, which can now tell this task to end.
                    await asyncio.sleep(PATIENCE_S)
                    raise Stopped from None
                except EpisodeLost as lost:
                    # Not played again: the nodes have spoken in it, and an episode's messages are numbered once.
                    logger.warning("episode lost episode=%d cause=%s", episode, lost)
                    state.lost_episodes += 1
                    logbook.lost(name, episode)
                    continue
                results.append(result)
                logbook.finished(name, result)
                bar.advance()
                for witness in witnesses:
                    witness.episode(name, result)
            if server.team.cut_off:
                await server.team.pause()  # they have counted, too
            if not results:
                raise WorldError(f"all {plan.episodes} episodes were lost with the simulator of {world.spec.id!r}")
    finally:
        # A stopped pass counts for what was finished; asking the nodes for it takes a bounded time.
        steps = server.team.steps - steps_before
        if results or steps:
            seconds = time.perf_counter() - started - (server.team.paused_s - paused_s)
            booked = _book(name, results, earlier, plan.manifest, world.spec, seconds, steps, server, state)
            await to_its_end(booked)
            if account is not None and state.reading is not None:
                whole = len(results) == plan.episodes
                doubt = None if whole else "not all episodes were played to their end"
                state.wire = account.report(state.reading, doubt=doubt)


async def _book(
    name: str,
    results: list[EpisodeResult],
    earlier: int,
    manifest: Manifest,
    spec: EnvironmentSpec,
    seconds: float,
    steps: int,
    server: CoordinationServer,
    state: _State,
) -> None:
    passed = Traffic.nothing()
    if steps:
        last, state.reading = state.reading, await server.team.reading()
        passed = traffic(state.reading, since=last)
    if not results:  # stopped in its first episode
        return
    state.summaries.append(
        summarise(
            results,
            label=LABELS[name],
            spec=spec,
            manifest=manifest,
            seconds=seconds,
            traffic=passed,
            counted_steps=steps,
            earlier=earlier,
        )
    )


def _account(links: Links, plan: Plan) -> Account:
    message = plan.manifest.message
    if message is None:
        raise SettingsError(f"bundles of {plan.manifest.algorithm!r} send no messages that could be counted")
    return Account(links, codec=codecs.make(plan.codec, message, plan.bundles[0].tables), manifest=plan.manifest)


async def _watch(supervisor: Supervisor, staging: Staging, state: _State) -> None:
    """Notice processes that die: start them again while that is allowed, and give up when none is left."""
    started: dict[int, int] = {}
    while True:
        for ending in supervisor.ended():
            state.endings.append(ending)
            if not state.playing:
                raise NodeFailed(str(ending))
            started[ending.slot] = started.get(ending.slot, 0) + 1
            if started[ending.slot] <= staging.restarts:
                supervisor.start(ending.slot)
        if state.endings and not supervisor.running:
            raise NodeFailed(str(state.endings[-1]))
        await asyncio.sleep(WATCH_INTERVAL_S)


def _tidy(folder: Path, state: _State, kind: type[BaseException] | None, *_: object) -> None:
    """Remove logs that nobody needs: nothing went wrong."""
    if not state.endings and kind is None:
        with optional("logs that nobody needs are left"):
            for path in folder.glob("*.log"):
                path.unlink()
            folder.rmdir()
