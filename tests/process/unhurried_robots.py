"""An example of robots, `NAME BUNDLES [HOLD]`, on a grid whose steps nobody can miss; messages are waited for.

The example's own processes import this file anew, and find it so, too.  With HOLD, the path of a file, nobody goes on
after the step `HELD_AT` before that file is there.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
example = importlib.import_module(sys.argv[1])
HELD_AT = 20


class Unhurried(example.StepGrid):  # type: ignore[misc, name-defined]
    """Its steps follow one another however long each takes."""

    async def next_step(self) -> tuple[int, int]:
        self._last += 1
        while self._last > HELD_AT and not all(Path(path).exists() for path in sys.argv[3:]):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return 0, self._last


example.StepGrid = Unhurried
example.MESSAGE_DEADLINE_S = 60.0

if __name__ == "__main__":
    sys.exit(example.main(Path(sys.argv[2])))
