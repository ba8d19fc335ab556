"""The machine: loopback ports, free disk and memory, and docker for those who want it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from heliograph.doctor.finding import Finding

_GIB = 1024**3
_LEAST_DISK_BYTES = 2 * _GIB
"""For runs, checkpoints and recordings of a small experiment."""
_LEAST_MEMORY_BYTES = 1 * _GIB
"""For a coordinator and a handful of nodes."""


def examine_machine() -> list[Finding]:
    """What every process of a team needs from the machine."""
    return [examine_loopback(), examine_disk(Path.cwd()), examine_memory()]


def examine_loopback(host: str = "127.0.0.1") -> Finding:
    """Whether a process may listen where its teammates on this machine can reach it."""
    try:
        with socket.create_server((host, 0)) as server, socket.create_connection(server.getsockname(), timeout=5.0):
            return Finding(name="ports", state="ok", detail=f"{host} can be bound and reached")
    except OSError as error:
        remedy = "Allow processes to listen on the loopback interface"
        return Finding(name="ports", state="wrong", detail=f"{host}: {error}", remedy=remedy)


def examine_disk(folder: Path) -> Finding:
    """Free space where runs would be written."""
    free = shutil.disk_usage(folder).free
    return _enough("disk", free, _LEAST_DISK_BYTES, where=f"free in {folder}", remedy="Free some, or work elsewhere")


def examine_memory() -> Finding:
    """Memory that is available now."""
    free = _available_memory()
    return _enough("memory", free, _LEAST_MEMORY_BYTES, where="available", remedy="End something that uses it")


def _available_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux: all that there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _enough(name: str, free: int, least: int, *, where: str, remedy: str) -> Finding:
    detail = f"{free / _GIB:.1f} GiB {where}"
    if free >= least:
        return Finding(name=name, state="ok", detail=detail)
    return Finding(name=name, state="wrong", detail=f"{detail}, needs {least / _GIB:.0f}", remedy=remedy)


def examine_docker() -> list[Finding]:
    """Whether containers can be started; only `deploy` needs them."""
    if shutil.which("docker") is None:
        return [Finding(name="docker", state="missing", remedy="Install Docker to run a team in containers")]
    done = subprocess.run(["docker", "version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return [Finding(name="docker", state="wrong", detail=said, remedy="Start its daemon, or join its group")]
    return [Finding(name="docker", state="ok", detail="its daemon answers")]
