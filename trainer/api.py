"""The trainer's part of the public surface: `heliograph.train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliograph import log
from heliograph.environments import registry
from heliograph.environments.permission import Permission
from heliograph.optional import optional
from heliograph.stopping import obeying_signals
from trainer.commands.extra import trainer_extra
from trainer.training.preset import load_settings


def train(
    preset: str,
    *,
    folder: str | Path | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    init_from: str | Path | None = None,
) -> Path:
    """Train a team and export one bundle per agent, as `heliograph train` does; progress is told on stderr.

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
        TargetNotReached: All steps are done, and the team is not as good as `schedule.must_reach` asks for; the folder
            holds all results.
    """
    overrides = [*settings, *([] if seed is None else [f"seed={seed}"])]
    chosen = load_settings(preset, overrides)
    permission = Permission().also_in_settings(overrides).of(f"preset {preset}")
    registry.check(chosen.environment.id, chosen.environment.parameters, permission)
    weights = None if init_from is None else Path(init_from)
    with trainer_extra("training"):
        from trainer.training.console import TrainingConsole
        from trainer.training.run_folder import RunFolder
        from trainer.training.summary import in_words
        from trainer.training.training import Training

        run = RunFolder.create(None if folder is None else Path(folder), chosen, init_from=weights)
        begun = False
        try:
            log.enter(run=run.run_id)
            with run.claimed(), run.status_at_exit(), TrainingConsole(run) as console:
                training = Training(run, console, resume=False, permission=permission, init_from=weights)
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
        raise summary.error(run, more=f"for {chosen.schedule.env_steps} steps more")
    return run.path
