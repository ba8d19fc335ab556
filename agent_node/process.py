"""The node as a process: arguments to a running node, signals, exit code.  Imported by `command.py` when it runs."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import uvloop

from agent_node import footprint
from agent_node.coordinator_world import CoordinatorWorld
from agent_node.node import Node
from heliograph import bundle as bundles
from heliograph.bundle import Bundle
from heliograph.errors import INTERRUPTED_EXIT_CODE, SettingsError

_PUBLIC_KEY_BYTES = 32

_log = logging.getLogger(__name__)


def run_node(arguments: argparse.Namespace) -> int:
    """Run until the coordinator ends the run or a signal comes; returns the exit code."""
    if arguments.slot is not None and arguments.slot < 0:
        raise SettingsError(f"slot {arguments.slot} cannot be", remedy="Slots count from 0")
    if arguments.join_timeout_s <= 0:
        raise SettingsError(f"join timeout of {arguments.join_timeout_s:g} s cannot be kept")
    footprint.bound_allocator()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    """SIGTERM and SIGINT drain the node at any moment: they end the one task that does everything."""
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []
    playing = loop.create_task(_play(arguments))

    def on_signal(number: signal.Signals) -> None:
        _log.info("signal name=%s", number.name)
        if not received:  # a second signal must not cut the drain short
            playing.cancel()
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await asyncio.wait({playing})
    if not playing.cancelled():
        playing.result()
    return INTERRUPTED_EXIT_CODE if received and received[0] is signal.SIGINT else 0


async def _play(arguments: argparse.Namespace) -> None:
    bundle = None if arguments.bundle is None else bundles.load(arguments.bundle)
    if bundle is not None:
        _check(bundle, arguments)
    world = CoordinatorWorld(arguments.coordinator, join_timeout_s=arguments.join_timeout_s)
    try:
        if bundle is None:
            bundle = await world.fetch_bundle(arguments.slot)
            _check(bundle, arguments)
        node = Node(bundle, listen=arguments.listen, advertise=arguments.advertise)
        del bundle  # its graph has megabytes, and the node has loaded it
        footprint.give_back()
        await node.run(world)
    finally:
        await world.leave()


def _check(bundle: Bundle, arguments: argparse.Namespace) -> None:
    slot = bundle.manifest.slot if arguments.slot is None else arguments.slot
    bundle.check_slot(slot=slot, team_size=bundle.manifest.team_size)
    if arguments.trusted_key is not None:
        bundle.verify(read_public_key(arguments.trusted_key))


def read_public_key(path: Path) -> bytes:
    """The raw ed25519 public key in a file.  Raises SettingsError if there is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read trusted key {path}: {error.strerror}") from None
    if len(data) == _PUBLIC_KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _PUBLIC_KEY_BYTES:
        raise SettingsError(f"trusted key {path} holds neither 32 bytes nor 64 hex digits")
    return key
