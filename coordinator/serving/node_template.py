"""Nodes that are forked of a process which has loaded all that they need, and that are this process's children.

A node costs two thirds of a second of a core until its first step, and two thirds of that are the loading of Python's
modules, which a process does once for all (`agent_node.template`).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

ANSWER_S = 15.0
"""How long the template may take to answer, the first time with all that it loads."""
END_S = 5.0
"""How long it may take to end once nobody asks any more."""
UNKNOWN_CODE = 255
"""In place of an exit code that nobody can ask for any more."""
NODE = (sys.executable, "-P", "-m", "agent_node")
"""How the command line of a node begins."""

_GET_SUBREAPER, _SET_SUBREAPER = 37, 36  # of <linux/prctl.h>
_adopting = threading.Lock()


def pays(nodes: int) -> bool:
    """Whether so many nodes are together sooner; where the system has what it takes, which is Linux."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and nodes >= 2 * (os.cpu_count() or 1)


class TemplateFailed(Exception):
    """The template has ended, or does not answer; nodes are to be started one by one."""


class ForkedProcess:
    """A child of this process that it has not started itself, as `subprocess.Popen` is one that it has."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """Negative: ended by that signal."""

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # where a program has children end by themselves, by ignoring SIGCHLD
                self.returncode = UNKNOWN_CODE
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            handle = os.pidfd_open(self.pid)
            try:
                ended = select.poll()
                ended.register(handle, select.POLLIN)
                ended.poll(None if timeout is None else max(0.0, timeout) * 1000)
            finally:
                os.close(handle)
        code = self.poll()
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired([*NODE], timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class NodeTemplate:
    """The process of which nodes are forked, from its first node until it is closed."""

    def __init__(self) -> None:
        """Raises OSError if the system refuses."""
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.settimeout(ANSWER_S)
        with theirs:
            self._process = subprocess.Popen(
                [*NODE[:-1], "agent_node.template", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
                # A library that calculates in threads would have them begin while it is loaded.
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )

    def start(self, words: Sequence[str], log: int) -> ForkedProcess:
        """A node with that command line, which writes to that descriptor.

        Raises OSError if the system refuses, TemplateFailed if the template does not answer.
        """
        try:
            with _adopting, _subreaper():
                socket.send_fds(self._connection, [json.dumps({"words": list(words)}).encode()], [log])
                answer = json.loads(self._connection.recv(1024) or b"{}")
        except OSError as error:
            raise TemplateFailed(str(error)) from error
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "pid" not in answer:
            raise TemplateFailed("it has ended")
        return ForkedProcess(answer["pid"])

    def close(self) -> None:
        """Nodes go on."""
        self._connection.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _subreaper() -> Iterator[None]:
    """Inside, a process below this one whose parent ends becomes this one's child.  Raises OSError."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    before = ctypes.c_int()
    for arguments in ((_GET_SUBREAPER, ctypes.byref(before)), (_SET_SUBREAPER, 1)):
        if prctl(*arguments, 0, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, f"nothing can be adopted: {os.strerror(number)}")
    try:
        yield
    finally:
        prctl(_SET_SUBREAPER, before.value, 0, 0, 0)
