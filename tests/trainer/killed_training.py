"""A training with workers that search, which says who they are, and is killed.

python tests/trainer/killed_training.py FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from test_reanalysis import settings, team_of
from tiny_team import start

if __name__ == "__main__":
    training = start(Path(sys.argv[1]), settings(2), stop_after=3)
    training.run()
    print(*team_of(training)[1].pool.processes, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
