"""On the module path of processes that tests start: what would load much is run by `warm.server` instead.

That is a command that trains or plays, a node, torchrun, a worker of the trainer, a script that lies beside the
trainer's tests, and a document's Python block.  Python imports this before it runs anything.  The process stays, is
what a test watches and signals, and ends as the program does: it hands over its words, variables, folder, streams and
whatever else it has inherited, passes signals on, and takes the exit code.  Every other process goes on as if this
file were not there.
"""

import os
import sys

ADDRESS = "HELIOGRAPH_TESTS_WARM"
"""The variable with the server's socket."""
COMMANDS = (
    *("train", "evaluate", "export", "dream", "run", "audit", "bandwidth", "card"),
    *("campaign", "compare", "environments", "bundle", "certificates"),
)
PLAYING_ADDRESS = "HELIOGRAPH_TESTS_WARM_PLAYING"
"""The variable with the socket of the server that has loaded what plays, and no torch."""
PLAYING_COMMANDS = ("run", "coordinator", "evaluate", "audit", "bandwidth", "bundle", "certificates", "node")


TORCHRUN = "torch.distributed.run"
BLOCK = "block.py"
"""The name of a file with a document's Python block (`documents/workplace.py`)."""
SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "trainer")
WORKER = "from trainer."
"""In the text of a program that the trainer starts as its worker."""


def _program():
    """What this process is to run, as words of Python's: `-m` and a module, `-c` and a text, or a script; then those of
    the program."""
    rest = sys.orig_argv[1:]
    while rest and rest[0] in ("-P", "-u", "-W"):
        rest = rest[2:] if rest[0] == "-W" else rest[1:]
    if rest and os.path.basename(rest[0]) == "heliograph":
        rest = ["-m", "heliograph", *rest[1:]]
    if rest[:2] == ["-m", "agent_node"]:
        rest = ["-m", "heliograph", "node", *rest[2:]]
    return rest


def _server(program):
    """The address of that which has loaded the most for it; None if none has."""
    playing, training = os.environ.get(PLAYING_ADDRESS), os.environ.get(ADDRESS)
    if program[:2] == ["-m", "heliograph"]:
        words = program[2:]
        if playing and words[:1] and words[0] in PLAYING_COMMANDS and "--central" not in words:  # of trainer's networks
            return playing
        watches = words[:2] == ["campaign", "work"]  # its parent, which may end before the server asks who that was
        return training if words[:1] and words[0] in COMMANDS and not watches else None
    if program[:2] == ["-m", TORCHRUN] or (program[:1] == ["-c"] and WORKER in program[1]):
        return training
    if not program:
        return None
    folder, name = os.path.split(os.path.abspath(program[0]))
    return training if name == BLOCK or folder == SCRIPTS else None


def _inherited():
    """Descriptors beside the streams: what Python opens itself is no child's to inherit."""
    found = []
    for number in range(3, 256):
        try:
            if os.get_inheritable(number):
                found.append(number)
        except OSError:  # there is none
            continue
    return found


def _end_without_server():
    os.write(2, b"the server of warm commands has gone\n")
    os._exit(1)


def _hand_over(address, program):
    import contextlib
    import json
    import signal
    import socket

    umask = os.umask(0)
    os.umask(umask)
    passed = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    request = {
        "program": program,
        "descriptors": _inherited(),
        "process": os.getpid(),
        "note": os.path.join(os.path.dirname(address), str(os.getpid())),
        "path": [place for place in sys.path if place != os.path.dirname(__file__)],
        "folder": os.getcwd(),
        "variables": dict(os.environ),
        "umask": umask,
        "warnings": sys.warnoptions,
        "unbuffered": "-u" in sys.orig_argv[1:3] or bool(os.environ.get("PYTHONUNBUFFERED")),
        "ignored": [number for number in passed if signal.getsignal(number) is signal.SIG_IGN],
    }
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(address)
    except OSError:  # which Python would pass over, and run the command itself
        _end_without_server()
    # In a file, and so all at once: a process that is stopped or killed amid its words would keep the server waiting.
    with os.fdopen(os.memfd_create("request"), "wb") as file:
        file.write(json.dumps(request).encode())
        file.flush()
        socket.send_fds(server, [b"."], [0, 1, 2, *request["descriptors"], file.fileno()])
    for number in request["descriptors"]:
        os.close(number)  # whoever has the other end is to see it closed once the program has ended

    def pass_on(number, _):
        with contextlib.suppress(OSError):  # the command has ended
            server.sendall(bytes([number]))

    for number in passed:
        if number not in request["ignored"]:
            signal.signal(number, pass_on)
    answer = server.recv(1)
    if not answer:
        _end_without_server()
    answer += server.recv(1)
    killed_by, code = answer
    if killed_by:
        if killed_by != signal.SIGKILL:
            signal.signal(killed_by, signal.SIG_DFL)
        os.kill(os.getpid(), killed_by)
    os._exit(code)


if os.environ.get(ADDRESS) or os.environ.get(PLAYING_ADDRESS):
    asked = _program()
    server = _server(asked)
    if server:
        _hand_over(server, asked)
