"""A user's program that torchrun starts, which trains twice, and says of how many worlds for evaluation it has by then.

torchrun … tests/trainer/rank_trainings.py FOLDER SETTING …
"""

from __future__ import annotations

import sys
from unittest import mock

import heliograph
from trainer.training import evaluations

made = evaluations.evaluation_environment
with mock.patch.object(evaluations, "evaluation_environment", wraps=made) as worlds:
    for number in range(2):
        folder = heliograph.train("relay-signal", folder=f"{sys.argv[1]}/{number}", settings=sys.argv[2:])
        print("trained in", folder, "worlds", worlds.call_count, flush=True)
