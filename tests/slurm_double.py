"""Slurm's four commands as programs of this machine: a job is a process, and a folder keeps what became of it.

What they print and how they are called is that of Slurm 22, as far as submitit and the campaign's executor use it;
`test_campaign_on_slurm.py` asks Slurm itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SBATCH = """
import os, pathlib, subprocess, sys
state = pathlib.Path(os.environ["SLURM_DOUBLE"])
number = str(1000 + len(list(state.glob("*.submitted"))))
(state / f"{number}.submitted").write_text(sys.argv[1])
program = "import subprocess, sys, pathlib; code = subprocess.run(['bash', sys.argv[1]]).returncode; "
program += "state = pathlib.Path(sys.argv[2]); part = state.with_suffix('.part'); "
program += "part.write_text('COMPLETED' if code == 0 else 'FAILED'); part.replace(state)"
job = subprocess.Popen(
    [sys.executable, "-c", program, sys.argv[1], str(state / f"{number}.state")],
    env=os.environ | {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                      "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "here"},
    start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
(state / f"{number}.pid").write_text(str(job.pid))
print(f"Submitted batch job {number}")
"""
_SRUN = """
import os, sys
words = sys.argv[1:]
while words[0].startswith("--"):
    words = words[2:] if words[0] in ("--output", "--error") else words[1:]
os.execvp(words[0], words)
"""
_SQUEUE = """
import os, pathlib, sys
state = pathlib.Path(os.environ["SLURM_DOUBLE"])
for pid in state.glob("*.pid"):
    found = pid.with_suffix(".state")
    print(pid.stem, found.read_text() if found.exists() else "RUNNING", "None")
"""
_SCANCEL = """
import os, pathlib, signal, sys
state, words = pathlib.Path(os.environ["SLURM_DOUBLE"]), sys.argv[1:]
(state / "cancelled").open("a").write(" ".join(words) + "\\n")
if "--signal=INT" in words and not (state / f"{words[-1]}.state").exists():
    children = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    mine = [int((state / f"{words[-1]}.pid").read_text())]
    for process in mine:  # which grows; the numbers of processes begin anew now and then, so order tells nothing
        mine += children.get(process, [])
    # As Slurm does: the processes of the job's step, but not the batch script.
    for process in mine[2:]:
        try:
            os.kill(process, signal.SIGINT)
        except ProcessLookupError:
            pass
"""


def install(folder: Path) -> Path:
    """Put the commands into `folder / "bin"`, for PATH; SLURM_DOUBLE must name `folder`."""
    programs = {"sbatch": _SBATCH, "srun": _SRUN, "squeue": _SQUEUE, "scancel": _SCANCEL}
    (folder / "bin").mkdir(parents=True)
    for name, text in programs.items():
        program = folder / "bin" / name
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)
    return folder / "bin"
