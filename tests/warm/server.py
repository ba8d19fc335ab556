"""Runs commands of `heliograph`, and what else trains, in forks of a process that has loaded already what they need.

    python tests/warm/server.py training|playing SOCKET PROCESS

A command that trains takes two to five seconds of a core for imports alone, and the tests start a hundred; for those
torch is loaded, and a graph has been traced.  One that plays takes one, and a node most of one, and there are hundreds
of these; for those all but torch is loaded, and their forks cost a fifth of a second.  Each fork is a process of its
own, with the words, variables, folder and descriptors of the process that asks for it (`path/sitecustomize.py`), whose
signals it gets and with which it ends.  Once it can be asked, the server goes on by itself, until the process ends
whose number it is given.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from quick_disk import write_quickly
from quick_pictures import DRAWN, QUICK_PICTURES

CHUNK = 65536
STREAMS, DESCRIPTORS = 3, 16
"""The first of a process, and how many of all it may hand over."""
LOADED = (
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "tensorboard.summary.writer.event_file_writer"),
    *("rich.console", "rich.table", "trainer.training.training", "trainer.training.preset", "trainer.training.planned"),
    *("trainer.commands.train", "trainer.commands.export", "coordinator.channel", "coordinator.observers.observers"),
    *("coordinator.commands.evaluate", "coordinator.commands.run", "coordinator.recording.writer"),
    *("coordinator.serving.supervisor", "coordinator.plan.trust", "coordinator.scoring.score_table"),
    *("analysis.campaign.command", "analysis.campaign.preview", "analysis.campaign.running"),
    *("torch.distributed.launcher.api", "trainer.ranks.joining", "trainer.algorithms.mazero.search_worker"),
    *("heliograph.aggregates", "heliograph.graph", "heliograph.environments.relay", "pydantic.dataclasses"),
)
"""What commands load one by one, but for worlds, and for onnxruntime, which starts a thread."""
PLAYING = (
    *("analysis.audit.document", "analysis.audit.evidence", "analysis.audit.files"),
    *("analysis.bandwidth.information", "analysis.bandwidth.language.plot"),
    *("agent_node.certificate_claim", "agent_node.coordinator_world", "agent_node.footprint", "agent_node.peers"),
    *("coordinator.commands.demo", "coordinator.commands.evaluate", "coordinator.commands.run"),
    *("coordinator.commands.serve", "coordinator.commands.exit_status", "coordinator.plan.trust"),
    *("coordinator.recording.writer", "coordinator.running.distributed", "coordinator.running.report"),
    *("coordinator.scoring.score_table", "coordinator.scoring.scores", "coordinator.serving.team_certificates"),
    *("cryptography.hazmat.primitives.serialization", "heliograph.aggregates", "heliograph.environments.relay"),
    *("heliograph.event_loops", "heliograph.graph", "rich.console", "rich.table"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure"),
)
"""The same of commands that play, and of nodes."""


@dataclass(kw_only=True)
class Client:
    """A process that waits for its command."""

    connection: socket.socket
    pid: int
    note: Path
    """A file that holds the fork's number as long as that is there; its name is the number of the process."""


def load_playing() -> None:
    """All of a coordinator and of a node that takes long."""
    for module in PLAYING:
        with suppress(ModuleNotFoundError):  # of an extra that is not installed, whose commands are not run either
            import_module(module)


def load_training() -> None:
    """All that takes long, and what the exporter makes once in each process."""
    import torch
    import tqdm
    from quick_traces import trace_quickly

    from trainer.algorithms.registry import ALGORITHMS, algorithm_entry
    from trainer.export.exporting import exported

    for module in LOADED:
        import_module(module)
    tqdm.tqdm.monitor_interval = 0  # it would start a thread
    for name in ALGORITHMS:
        algorithm_entry(name)
    trace_quickly()
    exported(torch.nn.Linear(1, 1).eval(), {"x": torch.zeros(1)}, ["y"])


def received(connection: socket.socket) -> tuple[list[int], dict[str, Any]] | None:
    """Three streams, what else is handed over, and a request, which come with one byte and at once; None from a process
    that has ended before."""
    said, descriptors = b"", list[int]()
    with suppress(ConnectionResetError):
        said, descriptors, _, _ = socket.recv_fds(connection, 1, DESCRIPTORS + 1)
    if not said:
        return None
    *inherited, written = descriptors
    with open(written, "rb") as file:
        file.seek(0)
        return inherited, json.load(file)


def serve(listening: socket.socket, *, until: int) -> bool:
    """For as long as that process is there, then returns False; in a fork it returns at once, True.

    It waits for no single process, which may have been stopped or killed at any moment.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(until, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == until:
                    return False
                if key.fileobj is listening:
                    connection, _ = listening.accept()
                    selector.register(connection, selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    if key.fileobj.fileno() < 0:
                        continue  # its command has ended by the same look
                    if key.data is not None:
                        hand_on(key.fileobj, key.data, selector)
                    elif begin(key.fileobj, selector):
                        return True
                else:
                    end(key.fd, key.data, selector)


def begin(connection: socket.socket, selector: selectors.BaseSelector) -> bool:
    """Fork for a process that asks for it; whether this is the fork."""
    asked = received(connection)
    if asked is None:
        selector.unregister(connection)
        connection.close()
        return False
    inherited, request = asked
    pid = os.fork()
    note = Path(request["note"])
    if pid == 0:
        note.write_text(str(os.getpid()), encoding="ascii")  # before it does anything for which it could be looked for
        leave(selector)
        become(request, inherited)
        return True
    for each in inherited:
        os.close(each)
    client = Client(connection=connection, pid=pid, note=note)
    selector.modify(connection, selectors.EVENT_READ, client)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, client)
    return False


def hand_on(connection: socket.socket, client: Client, selector: selectors.BaseSelector) -> None:
    """Send a fork the signals that the process got which waits for it."""
    said = b""
    with suppress(ConnectionResetError):
        said = connection.recv(CHUNK)
    for number in said or [signal.SIGKILL]:  # nobody is left that waits for it
        os.kill(client.pid, number)
    if not said:
        selector.unregister(connection)


def end(descriptor: int, client: Client, selector: selectors.BaseSelector) -> None:
    """Tell the process that waits for a fork how that has ended."""
    selector.unregister(descriptor)
    os.close(descriptor)
    _, status = os.waitpid(client.pid, 0)
    client.note.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    if client.connection in selector.get_map():
        selector.unregister(client.connection)
        with suppress(OSError):  # it has been killed meanwhile
            client.connection.sendall(bytes([-code, 0] if code < 0 else [0, code]))
    client.connection.close()


def leave(selector: selectors.BaseSelector) -> None:
    """Close what the server watches, in a fork."""
    for key in list(selector.get_map().values()):
        if isinstance(key.fileobj, socket.socket):
            key.fileobj.close()
        else:
            os.close(key.fd)
    selector.close()  # now: its descriptor's number may soon be another's


def become(request: dict[str, Any], inherited: list[int]) -> None:
    """The process that a request is for, as far as it can be told from one that was started."""
    numbers = [*range(STREAMS), *request["descriptors"]]
    beyond = max([*numbers, *inherited]) + 1  # where none is overwritten that is still to be moved
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, beyond) for each in inherited]
    for each in set(inherited) - set(numbers):
        os.close(each)
    for number, each in zip(numbers, moved, strict=True):
        os.dup2(each, number)
        os.close(each)
    os.setsid()  # a program that ends its whole group would end the server and all other forks
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.path[:] = request["path"]
    sys.argv[:] = request["program"]
    sys.warnoptions[:] = request["warnings"]  # which its children are started with, too
    for action in sys.warnoptions:
        warnings.simplefilter(action)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.getppid = partial(parent_of, request["process"])
    if DRAWN in request["variables"]:
        QUICK_PICTURES.draw()
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty(), write_through=request["unbuffered"])  # type: ignore[union-attr]
    gc.enable()


def parent_of(process: int) -> int:
    """Who has started the process that a fork stands for: the server is the parent of them all."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except FileNotFoundError:  # killed, as its fork will be
        return 1


def run_program(told: list[str]) -> None:
    """What Python runs that is told so: `-m` and a module, `-c` and a text, or a script, and then its words."""
    kind, *rest = told
    if kind == "-m":
        name, *words = rest
        sys.argv[:] = [name, *words]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        text, *words = rest
        sys.argv[:] = ["-c", *words]
        exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(kind)))
        runpy.run_path(kind, run_name="__main__")


class Ending:
    """Leaves a fork as soon as Python has run what is to run at its exit: taking apart all that is loaded would first
    copy it, which takes most of a second."""

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self._leave)  # before all others, which are then run before it

    def run(self) -> None:
        """The program, as it would be in a process that was started for it."""
        try:
            run_program(sys.argv)
            self.code = 0
        except SystemExit as ended:
            self.code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            raise
        except Exception:
            self.code = 1
            raise

    def _leave(self) -> None:
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def main(kind: str, address: str, user: int) -> bool:
    """Whether this is a fork by now."""
    until = os.pidfd_open(user)
    gc.disable()
    {"training": load_training, "playing": load_playing}[kind]()
    QUICK_PICTURES.begin()
    write_quickly()
    gc.collect()
    gc.freeze()  # so that forks share its pages
    assert len(os.listdir("/proc/self/task")) == 1, "a fork has one thread of all"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        if os.fork():
            os._exit(0)  # whoever has started it need not wait any more
        os.setsid()
        for number in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), number)
        return serve(listening, until=until)


if __name__ == "__main__":
    ending = Ending()
    if main(sys.argv[1], sys.argv[2], int(sys.argv[3])):
        ending.run()
