"""On the module path of processes that tests start: a command that would load much is run by `warm.server` instead.

Python imports this before it runs anything.  The process stays, is what a test watches and signals, and ends as the
command does: it hands over its words, variables, folder and streams, passes signals on, and takes the exit code.  Every
other process goes on as if this file were not there.
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


def _words():
    """Those of a command `heliograph …` that this process is to run; None if it is to run anything else."""
    rest = sys.orig_argv[1:]
    while rest and rest[0] in ("-P", "-u"):
        rest = rest[1:]
    if rest[:2] == ["-m", "heliograph"]:
        rest = rest[2:]
    elif rest[:2] == ["-m", "agent_node"]:
        rest = ["node", *rest[2:]]
    elif rest and os.path.basename(rest[0]) == "heliograph":
        rest = rest[1:]
    else:
        return None
    return rest


def _server(words):
    """The address of that which has loaded the most for it; None if none has."""
    playing, training = os.environ.get(PLAYING_ADDRESS), os.environ.get(ADDRESS)
    if playing and words[0] in PLAYING_COMMANDS and "--central" not in words:  # of the trainer's networks
        return playing
    watches = words[:2] == ["campaign", "work"]  # its parent, which may end before the server asks who that was
    return training if words[0] in COMMANDS and not watches else None


def _end_without_server():
    os.write(2, b"the server of warm commands has gone\n")
    os._exit(1)


def _hand_over(address, words):
    import contextlib
    import json
    import signal
    import socket

    umask = os.umask(0)
    os.umask(umask)
    passed = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    request = {
        "words": words,
        "process": os.getpid(),
        "note": os.path.join(os.path.dirname(address), str(os.getpid())),
        "path": [place for place in sys.path if place != os.path.dirname(__file__)],
        "folder": os.getcwd(),
        "variables": dict(os.environ),
        "umask": umask,
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
        socket.send_fds(server, [b"."], [0, 1, 2, file.fileno()])

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
        signal.signal(killed_by, signal.SIG_DFL)
        os.kill(os.getpid(), killed_by)
    os._exit(code)


if os.environ.get(ADDRESS) or os.environ.get(PLAYING_ADDRESS):
    found = _words()
    server = _server(found) if found else None
    if server:
        _hand_over(server, found)
