"""The parent's handle of one worker process: starts it, exchanges objects with it, and ends it.

For `heliograph.environments.workers.worker`, and for the trainer's workers, which are other programs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from multiprocessing import Pipe
from typing import IO, Any

from heliograph.environments.workers.protocol import CLOSE

_logger = logging.getLogger(__name__)

_PROGRAM = """
import sys
sys.path.extend(place for place in sys.argv[2:] if place not in sys.path)
from {module} import main
main(int(sys.argv[1]))
"""
"""What the child runs, given the descriptor of its end of the pipe and the parent's import path."""
ENVIRONMENT = "heliograph.environments.workers.process"
"""Module whose `main` serves an environment."""

_LAST_LINES = 20
_LISTENING_S = 1.0
"""How long to wait for the last words of a process that has ended; a runaway of its own may hold its stdout."""
SENDING_S = 60.0
"""How long a process may leave unread what it is sent, once the pipe is full, before it is killed."""
CLOSING_S = 10.0
"""How long a simulator may take to close before it is killed."""
_OWING_S = 2.0
"""How long one may take that has not answered yet when it is closed: nobody waits for its answer any more."""


class WorkerDied(Exception):
    """The process ended, or was ended because it did not read or answer in time; the text says which."""


class WorkerHandle:
    """A child in a session of its own: Ctrl-C in the terminal reaches the parent alone, which then decides.

    The child ends when its end of the pipe reports that the parent has gone.  Ending it also ends what it started,
    such as a game.
    """

    def __init__(self, blueprint: Any, *, variables: Mapping[str, str], module: str = ENVIRONMENT) -> None:
        """Start the process with `variables` on top of this one's environment; do not wait for it.

        Its `module`'s main gets the descriptor of a pipe, in which the blueprint comes first.
        """
        self._connection, theirs = Pipe()
        _bound_writing(self._connection.fileno())
        self._unread = False
        with theirs:
            descriptor = theirs.fileno()
            self._process = subprocess.Popen(
                # -P: or the child would look for modules in the current folder first.
                [sys.executable, "-P", "-c", _PROGRAM.format(module=module), str(descriptor), *sys.path],
                pass_fds=(descriptor,),
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._owed = 0  # answers
        self._closing_by: float | None = None  # on the monotonic clock
        self._last_output: deque[str] = deque(maxlen=_LAST_LINES)
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()
        self.send(blueprint)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """What is readable once there is something to receive; for `multiprocessing.connection.wait`."""
        return self._connection.fileno()

    def send(self, request: Any) -> None:
        """Send an object.  A process that has died, or is killed since it does not read, is noticed when its answer is
        received."""
        self._owed += 1
        try:
            self._connection.send(request)
        except BlockingIOError:
            self._unread = True
            self._end_group()  # it has half of the object, so nothing else can follow
        except OSError:
            pass

    def receive(self, *, timeout_s: float) -> Any:
        """The answer to what was sent.  Raises WorkerDied, and leaves no process behind."""
        try:
            if self._connection.poll(timeout_s):
                answer = self._connection.recv()
                self._owed -= 1
                return answer
        except (EOFError, OSError):
            self.kill()
            if self._unread:
                raise WorkerDied(f"did not read what it was sent within {SENDING_S:g} s") from None
            raise WorkerDied(f"ended with {_meaning(self._process.returncode)}") from None
        self.kill()
        raise WorkerDied(f"did not answer within {timeout_s:g} s")

    def last_lines(self) -> str:
        """The end of what the process has written to stdout and stderr."""
        return "\n".join(self._last_output)

    def begin_closing(self) -> None:
        """Tell the simulator to close, without waiting; several then close at once."""
        if self._closing_by is None:
            self._closing_by = time.monotonic() + (_OWING_S if self._owed else CLOSING_S)
            self.send((CLOSE, ()))

    def close(self) -> None:
        """Let the simulator close, then end the process."""
        self.begin_closing()
        assert self._closing_by is not None
        with contextlib.suppress(EOFError, OSError):
            while self._connection.poll(max(0.0, self._closing_by - time.monotonic())):
                self._connection.recv()  # an answer that nobody waited for; the end of the process ends the loop
        self.kill()

    def kill(self) -> None:
        """End the process and what it started; nothing if that has been done."""
        if self._process.returncode is not None:
            return
        self._end_group()
        self._process.wait()
        self._connection.close()
        self._listener.join(_LISTENING_S)

    def _end_group(self) -> None:
        # Before the process is waited for: until then nobody else can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                self._last_output.append(text)
                _logger.debug("worker pid=%d said=%r", self._process.pid, text)


def _bound_writing(descriptor: int) -> None:
    """Have writes to a pipe's end fail, if its other end takes nothing for so long."""
    seconds, rest = divmod(SENDING_S, 1)
    with socket.socket(fileno=os.dup(descriptor)) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(1e6 * rest)))


def _meaning(returncode: int) -> str:
    return f"exit code {returncode}" if returncode >= 0 else f"signal {signal.Signals(-returncode).name}"
