"""Who observes a run while it goes on, as it is asked for.  Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.plan.options import option
from coordinator.watch.command import DEFAULT_ADDRESS


@dataclass(frozen=True, kw_only=True)
class ObserverSettings:
    """Who is to observe a run."""

    watch: str | None = option(
        None,
        f"serve a page on which the team can be seen and paused, at {DEFAULT_ADDRESS} if no address is given",
        argument={"nargs": "?", "const": DEFAULT_ADDRESS, "metavar": "HOST:PORT"},
    )
    metrics: str | None = option(
        None,
        "serve Prometheus metrics here; nodes that are started here use the ports that follow",
        argument={"metavar": "HOST:PORT"},
    )
    trace: str | None = option(
        None, "send OpenTelemetry traces to this collector, by OTLP over HTTP", argument={"metavar": "URL"}
    )

    @property
    def wants_latents(self) -> bool:
        """Whether the messages of the agents are to be reported."""
        return self.watch is not None


UNOBSERVED: ObserverSettings = ObserverSettings()
