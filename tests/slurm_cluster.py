"""Slurm itself on this machine, for tests that it has to answer: one node, a controller and munge, on free ports.

`apt-get install slurmctld slurmd slurm-client munge` brings what it takes; their settings are not used, and nothing is
kept.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from reserved_ports import reserved_row

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sinfo", "sbatch", "srun", "squeue", "scancel")
DEADLINE_S = 60.0


def missing() -> list[str]:
    """The programs that are not here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Variables with which Slurm's commands find a cluster that keeps its state in `folder`; at the end it is gone."""
    variables = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}
    environment = os.environ | variables
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(64))
    key.chmod(0o400)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--log-file={folder}/munge.log"]
    munged += [f"--socket={folder}/munge", f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed"]
    with reserved_row(2) as port, ExitStack() as running:
        (folder / "slurm.conf").write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={port + 1}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=small Nodes={host} Default=YES State=UP
""")

        def begin(command: list[str], ready: list[str], answer: str) -> subprocess.Popen[bytes]:
            with (folder / f"{command[0]}.out").open("wb") as file:
                process = running.enter_context(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
            running.callback(process.terminate)
            _await(lambda: answer in _told(ready, environment), process, folder / f"{command[0]}.out")
            return process

        begin(munged, ["munge", "--no-input", f"--socket={folder}/munge"], "MUNGE:")
        begin(["slurmctld", "-D"], ["sinfo", "--noheader", "--format=%P"], "small")
        slurmd = begin(["slurmd", "-D"], ["sinfo", "--noheader", "--format=%T"], "idle")
        try:
            yield variables
        finally:
            # A job that is still ending would wait for ever for those to whom it says so.
            subprocess.run(["scancel", f"--user={user}"], env=environment, check=False, timeout=DEADLINE_S)
            _await(lambda: not _told(["squeue", "--noheader"], environment), slurmd, folder / "slurmd.out")


# Where Debian has daemons, which are on no user's path.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def _told(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S).stdout


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + DEADLINE_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"{process.args} is not ready: {output.read_text()}")
