"""The trainer's part of the public surface: `heliograph.train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph import log
from heliograph.environments import registry
from heliograph.environments.permission import Permission
from heliograph.optional import optional
from heliograph.stopping import obeying_signals
from trainer.commands.extra import trainer_extra
from trainer.training.preset import load_settings

if TYPE_CHECKING:
    from trainer.ranks.group import Ranks
    from trainer.training.settings import TrainSettings


def train(
    preset: str,
    *,
    folder: str | Path | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    init_from: str | Path | None = None,
) -> Path:
    """Train a team and export one bundle per agent, as `heliograph train` does; progress is told on stderr.

    In a program that torchrun has started, its processes train the team together, and all have to call this; the first
    alone tells, and raises TargetNotReached.

    Args:
        preset: A name of `heliograph train --list-presets`, or the path of a TOML file.
        folder: The run folder; None: a new one under `runs`.
        settings: Changed settings as `key=value`, such as `"schedule.env_steps=2000"`.  An environment that is named
            here, and texts that are given to it, are the caller's to vouch for; those of a preset of one's own file are
            not.
        seed: Of the training; None: the preset's.
        init_from: A run or snapshot whose networks it begins with; None: random ones.

    Returns:
        The run folder, with the bundles in `bundles` and the result in `summary.json`.  After Ctrl-C it has a
            checkpoint, and `heliograph train --resume` goes on with it.

    Raises:
        MissingExtra: The packages of the trainer are not installed.
        SettingsError: A setting is unknown or out of range, or the folder holds a run.
        EnvironmentUntrusted: A preset of one's own file names code, or a text.
        NonFiniteLoss: A loss became NaN or infinite.
        RankLost: Another rank has ended before its time.
        TargetNotReached: All steps are done, and the team is not as good as `schedule.must_reach` asks for; the folder
            holds all results.
    """
    overrides = [*settings, *([] if seed is None else [f"seed={seed}"])]
    chosen = load_settings(preset, overrides)
    permission = Permission().also_in_settings(overrides).of(f"preset {preset}")
    registry.check(chosen.environment.id, chosen.environment.parameters, permission)
    weights = None if init_from is None else Path(init_from)
    with trainer_extra("training"):
        from trainer.ranks.joining import joined_ranks

        with joined_ranks() as group:
            if group.lead:
                return _lead(group, folder, settings=chosen, permission=permission, init_from=weights)
            from trainer.commands.following import follow

            followed = follow(group, permission=permission, init_from=weights)
            assert followed is not None  # the first rank has something to train
            return followed.folder


def _lead(
    group: Ranks,
    folder: str | Path | None,
    *,
    settings: TrainSettings,
    permission: Permission,
    init_from: Path | None,
) -> Path:
    """What `train` does alone, or as the first of several ranks."""
    from trainer.training.console import TrainingConsole
    from trainer.training.run_folder import RunFolder
    from trainer.training.summary import in_words
    from trainer.training.training import Training

    run = RunFolder.create(None if folder is None else Path(folder), settings, init_from=init_from)
    begun = False
    try:
        log.enter(run=run.run_id)
        with run.claimed(), run.status_at_exit(), TrainingConsole(run) as console:
            group.of_lead({"folder": str(run.path.resolve()), "resume": False})
            training = Training(run, console, resume=False, permission=permission, init_from=init_from)
            group.any(False)  # before anything is begun that another rank cannot join
            begun = True
            console.begin(training.horizon, measure=training.environment.spec.outcome)
            try:
                with obeying_signals(training.stopping):
                    summary = training.run()
                console.end(in_words(run, summary))
            finally:
                with optional("the environments did not close"):
                    training.close()
    finally:
        if not begun:
            run.discard()
    if summary.missed:
        raise summary.error(run, more=f"for {settings.schedule.env_steps} steps more")
    return run.path
