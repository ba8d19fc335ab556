"""The files that a node process holds: from /proc, so on Linux alone."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

PROC = Path("/proc")

_MAPPING = re.compile(r"^\S+ (\S{4}) \S+ \S+ (?!0 )\d+ +(/.*)$", re.MULTILINE)
"""Permissions and path of a line of /proc/PID/maps that is of a file."""

_FLAGS = re.compile(r"^flags:\s*(\d+)$", re.MULTILINE)
"""In octal, how a file was opened: a line of /proc/PID/fdinfo/N."""


def can_be_read(pid: int) -> bool:
    return (PROC / str(pid) / "maps").is_file()


def writable_files(pid: int, *, log: Path) -> list[str]:
    """Files, named pipes and shared mappings that the process could write to, besides its log and devices."""
    found = set()
    folder = PROC / str(pid)
    for link in (folder / "fd").iterdir():
        try:
            target, mode = os.readlink(link), link.stat().st_mode
            flags = _FLAGS.search((folder / "fdinfo" / link.name).read_text())
        except FileNotFoundError:
            continue  # closed while we looked
        assert flags is not None, f"the system names no flags of {link}"
        writable = int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY
        if target.startswith("/") and writable and not stat.S_ISCHR(mode) and Path(target) != log.resolve():
            found.add(target)
    found |= {path for permissions, path in _mappings(pid) if permissions[1] == "w" and permissions[3] == "s"}
    return sorted(found)


def mapped_packages(pid: int, packages: tuple[str, ...]) -> list[str]:
    """Files mapped into the process that lie in a folder with the name of one of these packages."""
    paths = {path for _, path in _mappings(pid)}
    return sorted(path for path in paths if set(Path(path).parts[:-1]) & set(packages))


def _mappings(pid: int) -> list[tuple[str, str]]:
    return _MAPPING.findall((PROC / str(pid) / "maps").read_text(encoding="utf-8", errors="replace"))
