"""Who observes a run while it goes on, beside its report.  Imported by what runs a plan.

Observers are told of every step and episode by the run's own thread; what they need is imported here when it is asked
for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from coordinator.observers.settings import ObserverSettings
from coordinator.plan.clock import Clock
from coordinator.plan.plan import Plan
from coordinator.world.trajectory import EpisodeResult, Observer, StepRecord
from coordinator.world.world import World
from heliograph.bundle import Bundle
from heliograph.environments.vector import EnvironmentSpec
from heliograph.metrics import serving_metrics
from heliograph.tracing import sending_spans

if TYPE_CHECKING:
    from coordinator.watch.events import PageEvents
    from coordinator.watch.gate import Gate
    from coordinator.watch.watcher import Watcher
    from heliograph.tls import Tls


class RunObserver(Protocol):
    """Told of what is run."""

    def step(self, name: str, record: StepRecord) -> None:
        """After every step under the condition of that name."""
        ...

    def episode(self, name: str, result: EpisodeResult) -> None:
        """After every episode that was finished."""
        ...


@dataclass(frozen=True, kw_only=True)
class ObservedTeam:
    """Who is observed."""

    name: str
    """Such as "2 processes"."""
    live: Callable[[], int]
    """How many of its nodes take part right now."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """The calls that its server refuses, by status, as they grow."""
    tls: Tls | None = None
    """The server's."""


@dataclass(frozen=True, kw_only=True)
class Observers:
    """All observers of a run; of an empty one nobody is told."""

    each: tuple[RunObserver, ...] = ()
    gate: Gate | None = None
    """Where the run waits while somebody looks at it."""
    watcher: Watcher | None = None
    on_bundles: tuple[Callable[[Sequence[Bundle]], None], ...] = ()
    """Whom it matters to which bundles the team has."""

    def switched(self, bundles: Sequence[Bundle]) -> None:
        """The team goes on with these."""
        for tell in self.on_bundles:
            tell(bundles)

    def begin(self, name: str, world: World) -> None:
        """A condition begins in that world."""
        if self.watcher is not None:
            self.watcher.begin(name, world)

    def clock(self, period_s: float | None) -> Clock:
        """That of a run that can be held."""
        if self.gate is None:
            return Clock(period_s)
        from coordinator.watch.gate import GatedClock

        return GatedClock(period_s, self.gate)

    def observer(self, name: str) -> Observer | None:
        """For a run that has no clock: tells the observers of a condition, and waits while it is held."""
        if not self.each:
            return None

        def observe(record: StepRecord) -> None:
            for observer in self.each:
                observer.step(name, record)
            if self.gate is not None:
                self.gate.wait()

        return observe


NO_OBSERVERS: Observers = Observers()


@contextmanager
def observing(
    settings: ObserverSettings,
    plan: Plan,
    spec: EnvironmentSpec,
    team: ObservedTeam,
) -> Iterator[Observers]:
    """Inside, the plan, run by the team, is observed as asked for.

    Raises MissingExtra, SettingsError for an address that is none, or PortTaken.
    """
    with ExitStack() as stack:
        observers: list[RunObserver] = []
        on_bundles: list[Callable[[Sequence[Bundle]], None]] = []
        if settings.metrics is not None:
            from coordinator.observers.metrics import RunMetrics

            registry, address = stack.enter_context(serving_metrics(settings.metrics))
            metrics = RunMetrics(registry, plan, live=team.live, refusals=team.refusals, tls=team.tls)
            observers.append(metrics)
            on_bundles.append(metrics.switched)
            print(f"metrics at http://{address}/metrics", file=sys.stderr, flush=True)
        if settings.trace is not None:
            from coordinator.observers.tracing import RunTraces

            observers.append(RunTraces(stack.enter_context(sending_spans(settings.trace, service="heliograph-run"))))
        if settings.watch is None:
            yield Observers(each=tuple(observers), on_bundles=tuple(on_bundles))
            return
        gate, watcher, page_events = stack.enter_context(_page(settings.watch, plan, spec, team=team.name))
        yield Observers(
            each=(*observers, watcher),
            gate=gate,
            watcher=watcher,
            on_bundles=(*on_bundles, page_events.switched),
        )


@contextmanager
def _page(listen: str, plan: Plan, spec: EnvironmentSpec, *, team: str) -> Iterator[tuple[Gate, Watcher, PageEvents]]:
    from coordinator.watch.events import PageEvents
    from coordinator.watch.gate import Gate
    from coordinator.watch.server import WatchServer
    from coordinator.watch.watcher import Watcher

    gate = Gate()
    watcher = Watcher(gate)
    page_events = PageEvents(plan, spec, title=f"{team}, {plan.manifest.algorithm} in {spec.id}")
    with WatchServer(watcher, gate, page_events, listen=listen) as server:
        print(f"watch the team at http://{server.address}/", file=sys.stderr, flush=True)
        yield gate, watcher, page_events
