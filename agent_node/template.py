"""A process that has loaded all that a node does, and of which nodes are forked: they begin in a third of the time.

    python -P -m agent_node.template SOCKET

For who starts many nodes on one machine (`coordinator.serving.node_template`): the parent of this process, which
leaves it a socket by the number of its descriptor.  Each message is `{"words": […]}`, a node's command line, and comes
with the descriptor of its log; each answer is `{"pid": …}`, or `{"errno": …}` where the system refuses.  The node
becomes a child of who has asked, as if that had started it.  Once the other end of the socket is closed, this process
ends.  Linux has what that takes.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import socket
import sys
from contextlib import suppress
from importlib import import_module

from agent_node.command import COMMAND
from heliograph.cli import run

LOADED = (
    *("agent_node.process", "agent_node.transport.over_grpcio", "agent_node.transport.lean.transport"),
    *("grpc.aio", "onnxruntime", "uvloop"),
)
"""What a node loads sooner or later; some of it belongs to an extra."""
MOST_BYTES = 2**16
"""Of a message."""


def main(arguments: list[str]) -> int:
    with socket.socket(fileno=int(arguments[0])) as connection:
        for module in LOADED:
            with suppress(ModuleNotFoundError):
                import_module(module)
        if len(os.listdir("/proc/self/task")) != 1:
            print("a fork has one thread of all that there are", file=sys.stderr)
            return 1
        gc.collect()
        gc.freeze()  # so that nodes share its pages
        words = serve(connection)
    return 0 if words is None else run({"node": COMMAND}, ["node", *words])


def serve(connection: socket.socket) -> list[str] | None:
    """Fork as often as it is asked for.  Returns in each node, with its command line, and None once nobody asks."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, 1)
        if not message:
            return None
        try:
            pid = forked() if descriptors else None
        except OSError as error:
            answer = {"errno": error.errno}
        else:
            if pid == 0:
                _write_to(descriptors[0])
                return [str(word) for word in json.loads(message)["words"]]
            # Where as many files are open as may be, the system has kept the log's descriptor back.
            answer = {"errno": errno.EMFILE} if pid is None else {"pid": pid}
        for log in descriptors:
            os.close(log)
        connection.send(json.dumps(answer).encode())


def forked() -> int:
    """A process in a group of its own, which is nobody's child here: its number, and 0 in it.  Raises OSError."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            refused = 0
            try:
                if (pid := os.fork()) == 0:
                    return 0
                os.setpgid(pid, pid)
            except OSError as error:
                pid, refused = 0, error.errno or 0
            os.write(writing, f"{pid} {refused}".encode())
            os._exit(0)
        os.waitpid(between, 0)  # from here on it is the child of who has asked
        pid, refused = map(int, os.read(reading, 64).split())
    finally:
        os.close(reading)
        os.close(writing)
    if refused:
        raise OSError(refused, os.strerror(refused))
    return pid


def _write_to(log: int) -> None:
    """Standard output and error go to that file, and nothing comes from standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, number)
    os.close(nothing)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
