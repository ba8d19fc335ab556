"""The child side of a worker: makes one environment and answers calls until the pipe closes.

Runs as a process of its own, which ends with its parent, whatever the simulator is doing then.
For `heliograph.environments` only.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from heliograph.environments import registry
from heliograph.environments.vector import VectorEnvironment
from heliograph.environments.workers.protocol import CLOSE, Blueprint, Failure
from heliograph.errors import HeliographError

_ORPHAN_GRACE_S = 2.0
"""How long an orphan may take to close its simulator before it is killed with all that it started."""


def main(descriptor: int) -> None:
    """Serve one environment on the inherited end of a pipe, given by its descriptor.

    First comes a Blueprint, answered with the EnvironmentSpec; then come calls (name, arguments), each answered with
    its value.  Any answer may be a Failure instead.
    """
    connection = connected(descriptor)
    try:
        blueprint = connection.recv()
        environment = _attempt(blueprint.environment, "construction", lambda: build(blueprint))
        if isinstance(environment, Failure):
            connection.send(environment)
            return
        try:
            _serve(connection, environment)
        finally:
            environment.close()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone, and nobody is left to tell


def connected(descriptor: int) -> Connection:
    """The inherited end of a pipe; this process ends with the parent's."""
    os.set_inheritable(descriptor, False)  # what the simulator starts must not keep the pipe open
    os.dup(descriptor)  # and this one is never closed, so that the end of the pipe means the end of the process
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    return Connection(descriptor)


def build(blueprint: Blueprint) -> VectorEnvironment:
    """Make the environment in this process.  Raises what `registry.make` or the adapter raises."""
    if not blueprint.adapter:
        return registry.make(
            blueprint.environment,
            count=blueprint.count,
            parameters=blueprint.parameters,
            permission=blueprint.permission,
        )
    module, _, name = blueprint.adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name)
    made: VectorEnvironment = adapter(blueprint.settings, id=blueprint.environment, count=blueprint.count)
    return made


def _serve(connection: Connection, environment: VectorEnvironment) -> None:
    connection.send(environment.spec)
    while True:
        name, arguments = connection.recv()
        if name == CLOSE:
            return
        answer = _attempt(environment.spec.id, name, lambda: getattr(environment, name)(*arguments))  # noqa: B023
        connection.send(answer)


def _attempt(environment: str, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except HeliographError as error:
        return Failure(error=type(error).__name__, message=error.message, remedy=error.remedy)
    except Exception as error:  # foreign code may raise anything, and the parent must learn whose fault it is
        message = f"adapter of {environment!r}: {what} raised {type(error).__name__}: {error}"
        return Failure(error="WorldError", message=message)


def _end_with_parent(descriptor: int) -> None:
    """Wait until the parent's end of the pipe is closed; then end this process even in the midst of a call."""
    hang_up = select.poll()
    hang_up.register(descriptor, 0)
    hang_up.poll()
    time.sleep(_ORPHAN_GRACE_S)
    os.killpg(0, signal.SIGKILL)
