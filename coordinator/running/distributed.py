"""Runs of a team of processes, for programs with and without an event loop of their own."""

from __future__ import annotations

import asyncio

from coordinator.links.links_of import links_of
from coordinator.plan.plan import Plan
from coordinator.running.ending import until_signal
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.report import Report
from coordinator.running.run import Run
from heliograph.event_loops import loop_factory


def run_processes(plan: Plan, launch: LaunchSettings) -> Report:
    """Run a plan from a program without an event loop of its own, with Ctrl-C and SIGTERM ending it in order."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(until_signal(lambda stop: run(plan, launch, stop=stop)))


async def run(plan: Plan, launch: LaunchSettings, *, stop: asyncio.Event) -> Report:
    """Run a plan until it is done or `stop` is set; the report then says so and holds what was finished.

    Raises NodeFailed if nodes do not come up or all of them die, PortTaken, WorldError, MessageError, and SettingsError
    if the machine cannot make the links.
    """
    async with links_of(launch.links, team_size=len(plan.bundles), listen=launch.listen) as links:
        return await Run(plan, launch, links).until_done(stop)
