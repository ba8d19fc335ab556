"""For each preset that is named: a run, and one that is stopped and gone on with, by every rank that torchrun starts.

torchrun … tests/trainer/rank_runs.py FOLDER PRESET …
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from stop_at_check import StopAtCheck
from tiny_team import SMALL_OF, Silent, small_settings

from heliograph.environments.permission import EVERYTHING
from heliograph.stopping import StopRequest
from trainer.ranks.group import Ranks
from trainer.ranks.joining import joined_ranks
from trainer.ranks.shared_stop import SharedStop
from trainer.training import training as loop
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings

MORE = {
    "marie": ("marie.tokenizer.codebook.idle_updates=2",),
    "mazero": ("mazero.updates=2", "mazero.model.dropout=0.2", "schedule.overlap=false"),
}
FEW_EPISODES = ("evaluation.episodes=2", "evaluation.final_episodes=2")
WITH_WORKERS = ("mazero.reanalysis.workers=1", "mazero.reanalysis.ahead=2")
"""Of `mazero-relay:workers`."""
STOPPED_AT = 20
"""The look for a stop, of the second rank, before which somebody asks it for one."""


def settings_of(preset: str) -> TrainSettings:
    name, _, variant = preset.partition("-relay")
    more = (*FEW_EPISODES, *MORE.get(name, ()), *(WITH_WORKERS if variant == ":workers" else ()))
    return small_settings(f"{name}-relay", *more, env_steps=96, small=SMALL_OF[name])


def stops_at(number: int, group: Ranks) -> StopRequest:
    return StopAtCheck(number) if group.rank else SharedStop(group)


def run(group: Ranks, path: Path, settings: TrainSettings, *, resume: bool) -> str:
    """Why it has ended."""
    if group.lead and not resume:
        RunFolder.create(path, settings)
    group.any(False)  # the folder is there
    training = loop.Training(RunFolder.open(path), Silent(), resume=resume, permission=EVERYTHING)
    try:
        return training.run().reason
    finally:
        training.close()


def main(folder: Path, presets: list[str]) -> None:
    with joined_ranks() as group:
        for preset in presets:
            settings = settings_of(preset)
            if not preset.endswith(":workers"):  # which draw anew what they had drawn ahead of a stop
                run(group, folder / preset / "whole", settings, resume=False)
            loop.SharedStop = partial(stops_at, STOPPED_AT)  # type: ignore[assignment, misc]
            reason = run(group, folder / preset / "stopped", settings, resume=False)
            loop.SharedStop = SharedStop  # type: ignore[misc]
            assert reason == "interrupted", reason
            run(group, folder / preset / "stopped", settings, resume=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
