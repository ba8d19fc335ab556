"""Network namespaces without a name, so that nothing is left behind: they end with whoever holds them.

A namespace lives as long as a process runs in it or this one holds its descriptor, and takes its links along.  No
crash, kill or Ctrl-C leaves anything to clean up, and nothing of anybody else can be meant by mistake.  Linux, as root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from heliograph.errors import SettingsError

_CLONE_NEWNET = 0x4000_0000
_OWN = "/proc/thread-self/ns/net"
_TOOL_TIMEOUT_S = 20.0
_IPV6 = Path("/proc/sys/net/ipv6/conf")

T = TypeVar("T")


class Namespace:
    """A network of its own: a loopback device that is up, no IPv6, no links.  `close` gives it up.

    Raises OSError if the system refuses to make one.
    """

    def __init__(self) -> None:
        self._descriptor = _in_thread(_unshared)
        # Attached to this process by number: a path that `ip` and `nsenter` of our children can open.
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.inside(_without_ipv6)
        self.tool("ip", "link", "set", "lo", "up")

    @property
    def prefix(self) -> list[str]:
        """To put before a command line, whose process then runs in the namespace."""
        return ["nsenter", f"--net={self.path}", "--"]

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that is in the namespace; its sockets and children belong to it, too."""

        def enter() -> T:
            _checked(_libc().setns(self._descriptor, _CLONE_NEWNET))
            return function()

        return _in_thread(enter)

    def tool(self, *command: str, script: str | None = None) -> None:
        """Run a tool of the system in the namespace, a script as its input.  Raises SettingsError if it fails."""

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, input=script or "", text=True, capture_output=True, timeout=_TOOL_TIMEOUT_S, check=False
            )

        try:
            done = self.inside(call)
        except FileNotFoundError:
            raise SettingsError(
                f"there is no `{command[0]}` on this machine", remedy="heliograph doctor network"
            ) from None
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or f"code {done.returncode}").splitlines()
            raise SettingsError(f"`{' '.join(command)}` failed: {said[0]}", remedy="heliograph doctor network")

    def close(self) -> None:
        """Give the namespace up; it ends with its last process."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def join(one: Namespace, other: Namespace, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Lay a virtual link between two namespaces; names and MAC addresses of its two ends."""
    one.tool(
        *("ip", "link", "add", names[0], "address", addresses[0], "type", "veth"),
        *("peer", "name", names[1], "address", addresses[1], "netns", other.path),
    )


def _unshared() -> int:
    _checked(_libc().unshare(_CLONE_NEWNET))
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def _without_ipv6() -> None:
    # It would send neighbour solicitations, which are nobody's messages.
    for name in ("all", "default"):
        path = _IPV6 / name / "disable_ipv6"
        if path.exists():
            path.write_text("1")


def _libc() -> ctypes.CDLL:
    # Python has these calls since 3.12 only.
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own, which is thrown away with the namespace that it is then in."""
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
