"""What is of one process at a time, also where the file system cannot tell."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.claim import claim

CLAIM = "import os, sys; from heliograph.claim import claim; print(claim(os.open(sys.argv[1], os.O_RDONLY)))"


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def claimed_elsewhere(path: Path) -> bool:
    command = [sys.executable, "-P", "-c", CLAIM, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "True\n"


def test_a_folder_is_of_one_process_until_it_is_closed_or_the_process_ends(descriptor: int, tmp_path: Path) -> None:
    assert claimed_elsewhere(tmp_path)
    assert claim(descriptor), "the one before has ended"
    assert not claimed_elsewhere(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_lets_everybody_in(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert claim(descriptor)


def test_another_trouble_is_told(tmp_path: Path) -> None:
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        claim(closed)
