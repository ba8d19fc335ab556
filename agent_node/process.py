"""The node as a process: arguments to a running node, signals, exit code.  Imported by `command.py` when it runs."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from functools import partial

from agent_node import footprint
from agent_node.certificate_claim import claimed
from agent_node.coordinator_world import CoordinatorWorld
from agent_node.metrics import node_metrics
from agent_node.node import Node, host_to_dial
from agent_node.tracing import node_traces
from heliograph import bundle as bundles
from heliograph.bundle import Bundle
from heliograph.certificates.signing_keys import require_trusted
from heliograph.errors import INTERRUPTED_EXIT_CODE, BundleMismatch, CoordinatorGone, SettingsError
from heliograph.event_loops import call_on_signal, loop_factory
from heliograph.grace import check_rejoin
from heliograph.listening import parse_address
from heliograph.stopping import handlers_kept
from heliograph.tls import Tls

REJOIN_PAUSE_S = 0.5
"""Before a coordinator that is gone is looked for."""

_log = logging.getLogger(__name__)


def run_node(arguments: argparse.Namespace) -> int:
    """Run until the coordinator ends the run or a signal comes; returns the exit code."""
    if arguments.slot is not None and arguments.slot < 0:
        raise SettingsError(f"slot {arguments.slot} cannot be", remedy="Slots count from 0")
    if arguments.join_timeout_s <= 0:
        raise SettingsError(f"join timeout of {arguments.join_timeout_s:g} s cannot be kept")
    check_rejoin(arguments.rejoin_s)
    # At once, and not only when a coordinator has been found.
    host_to_dial(arguments.listen, arguments.advertise)
    if arguments.metrics is not None:
        parse_address(arguments.metrics)
    footprint.bound_allocator()
    with handlers_kept(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    """SIGTERM and SIGINT drain the node at any moment: they end the one task that does everything."""
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []
    running = loop.create_task(_take_part(arguments))

    def on_signal(number: signal.Signals) -> None:
        _log.info("signal name=%s", number.name)
        if not received:  # a second signal must not cut the drain short
            running.cancel()
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        call_on_signal(loop, number, on_signal)
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()
    return INTERRUPTED_EXIT_CODE if received and received[0] is signal.SIGINT else 0


async def _take_part(arguments: argparse.Namespace) -> None:
    if arguments.tls is None:
        await _take_part_as(arguments, None)
        return
    with claimed(arguments.tls, slot=arguments.slot) as folder:
        tls = Tls(folder)
        if tls.identity.slot is None or arguments.slot not in (None, tls.identity.slot):
            wanted = "a node" if arguments.slot is None else f"slot {arguments.slot}"
            raise SettingsError(f"certificate in {folder} is of {tls.identity}, not of {wanted}")
        arguments.slot = tls.identity.slot
        async with tls.watched():
            await _take_part_as(arguments, tls)


async def _take_part_as(arguments: argparse.Namespace, tls: Tls | None) -> None:
    """Play until a run is over, in as many sessions as it takes."""
    patience = _Patience(arguments.join_timeout_s)
    while True:
        try:
            await _run_session(arguments, tls, patience)
            return
        except CoordinatorGone as gone:
            if not patience.allows_another() or not _is_wanted(arguments):
                raise
            left_s = patience.left_s()
            _log.warning("looking for a coordinator again seconds=%.1f cause=%s", left_s, gone.message)
            await asyncio.sleep(REJOIN_PAUSE_S)
        except BundleMismatch as mismatch:
            # A coordinator that follows a run may hand on newer bundles between this node's fetch and its join.
            if arguments.bundle is not None or not patience.allows_another_fetch():
                raise
            _log.warning("fetching the bundle again cause=%s", mismatch)


class _Patience:
    """How long a session may take to begin: at first the time to join; after a loss what is left of the grace."""

    def __init__(self, join_timeout_s: float) -> None:
        self._until = time.monotonic() + join_timeout_s
        self._has_met = self._has_fetched_again = False

    def has_lost(self, *, grace_left_s: float, has_joined: bool) -> None:
        """A session is over whose coordinator was there: another may be looked for until the grace is over.

        Who has not played in it has the rest of the time to join as well, and the grace only once.
        """
        until = time.monotonic() + grace_left_s
        if has_joined:
            self._until, self._has_met, self._has_fetched_again = until, False, False
        elif not self._has_met:
            self._until, self._has_met = max(self._until, until), True

    def allows_another(self) -> bool:
        return self.left_s() > REJOIN_PAUSE_S

    def allows_another_fetch(self) -> bool:
        """Once for each session that is to begin."""
        allowed = not self._has_fetched_again and self.left_s() > 0
        self._has_fetched_again = True
        return allowed

    def left_s(self) -> float:
        """In whole milliseconds, since it is shown."""
        return round(max(0.0, self._until - time.monotonic()), 3)


async def _run_session(arguments: argparse.Namespace, tls: Tls | None, patience: _Patience) -> None:
    bundle = None if arguments.bundle is None else bundles.load(arguments.bundle)
    if bundle is not None:
        _check(bundle, arguments)
    world = CoordinatorWorld(
        arguments.coordinator,
        join_timeout_s=patience.left_s(),
        rejoin_s=arguments.rejoin_s,
        is_wanted=partial(_is_wanted, arguments),
        joined=partial(_say_joined, arguments),
        tls=tls,
        check=None if bundle is not None else partial(_check, arguments=arguments),
    )
    try:
        if bundle is None:
            bundle = await world.fetch_bundle(arguments.slot)
            _check(bundle, arguments)
        arguments.slot = bundle.manifest.slot  # a node that joins again is the agent that it was
        node = Node(
            bundle,
            listen=arguments.listen,
            advertise=arguments.advertise,
            tls=tls,
            insecure=arguments.insecure,
            transport=arguments.transport,
        )
        del bundle  # its graph has megabytes, and the node has loaded it
        footprint.give_back()
        with node_metrics(node, arguments.metrics, tls), node_traces(node, arguments.trace):
            await node.run(world)
    finally:
        if world.has_met:
            patience.has_lost(grace_left_s=world.grace_left_s, has_joined=world.has_joined)
        await world.leave()


def _is_wanted(arguments: argparse.Namespace) -> bool:
    """Whoever started this node, and coordinates it, is there, or whoever started it does not."""
    return arguments.started_by in (None, os.getppid())


def _say_joined(arguments: argparse.Namespace) -> None:
    """At any level of the log: whoever starts a node by hand sees that it has found its team."""
    if arguments.started_by is None:
        print(f"joined {arguments.coordinator} as slot {arguments.slot}", file=sys.stderr, flush=True)


def _check(bundle: Bundle, arguments: argparse.Namespace) -> None:
    slot = bundle.manifest.slot if arguments.slot is None else arguments.slot
    bundle.check_slot(slot=slot, team_size=bundle.manifest.team_size)
    require_trusted([bundle], arguments.trusted_key, insecure=arguments.insecure)
