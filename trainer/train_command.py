"""`heliograph train`: parses and resolves first, loads torch last."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.metrics import add_metrics_argument
from trainer.extra import trainer_extra

if TYPE_CHECKING:
    from trainer.settings import TrainSettings

GENERAL_PRESET = "cpu"
"""For an environment without a preset of its own."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help="a preset's name or a TOML file; 'cpu' if only --environment is given")
    parser.add_argument(
        "--list-presets",
        nargs="?",
        const="families",
        choices=("families", "names"),
        help="print what presets there are and what for (families, the default), or every name (names), and end",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    parser.add_argument("--environment", metavar="ID", help="an id of `heliograph environments`, or an import path")
    parser.add_argument("--seed", type=int, help="override the preset's seed")
    parser.add_argument("--folder", type=Path, help="run folder to create; default: runs/<algorithm>-<world>-<time>")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the newest checkpoint of a run folder")
    parser.add_argument(
        "--resume-or-start",
        action="store_true",
        help="with --folder: go on with the run that is in it, begin one if there is none, and leave it alone if it is "
        "finished; for scripts and containers that are started again",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings as JSON and end")
    add_metrics_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from heliograph.errors import SettingsError
    from trainer.preset import load_settings, preset_names

    if namespace.list_presets is not None:
        from trainer.preset_families import in_words

        print("\n".join(preset_names()) if namespace.list_presets == "names" else in_words())
        return 0
    if namespace.resume is not None and (namespace.set or namespace.seed is not None or namespace.environment):
        raise SettingsError("a resumed run keeps its settings", remedy="Start a new run to change them")
    if namespace.preset is None and namespace.environment is not None:
        namespace.preset = GENERAL_PRESET
    if (namespace.preset is None) == (namespace.resume is None):
        raise SettingsError(
            "say what to train with --preset or --environment, or what to go on with by --resume",
            remedy="`heliograph train --list-presets` says what presets there are",
        )
    if namespace.resume_or_start and (namespace.folder is None or namespace.resume is not None):
        raise SettingsError("--resume-or-start looks into a run folder", remedy="Name it with --folder")
    if namespace.resume is not None:
        with trainer_extra("training"):
            return _train(namespace.resume, settings=None, metrics=namespace.metrics)
    overrides = list(namespace.set)
    if namespace.environment is not None:
        # Another world's parameters mean nothing to this one.
        overrides = [f'environment.id="{namespace.environment}"', "environment.parameters={}", *overrides]
    if namespace.seed is not None:
        overrides.append(f"seed={namespace.seed}")
    settings = load_settings(namespace.preset, overrides)
    if namespace.dry_run:
        print(settings.model_dump_json(indent=2))
        return 0
    if namespace.resume_or_start:
        from trainer.carrying_on import is_begun, is_done

        if is_done(namespace.folder):
            print(f"bundles are in {namespace.folder} already", flush=True)
            return 0
        if is_begun(namespace.folder, settings):
            with trainer_extra("training"):
                return _train(namespace.folder, settings=None, metrics=namespace.metrics)
    with trainer_extra("training"):
        return _train(namespace.folder, settings=settings, metrics=namespace.metrics)


def _train(path: Path | None, *, settings: TrainSettings | None, metrics: str | None) -> int:
    """Create or open the folder, train, print the summary; 130 if interrupted.

    Raises TargetNotReached, once all results are written and told, if the team is not as good as it must be.
    """
    from heliograph import log
    from heliograph.errors import INTERRUPTED_EXIT_CODE, HeliographError
    from heliograph.optional import optional
    from heliograph.stopping import obeying_signals
    from trainer.console import TrainingConsole
    from trainer.run_folder import RunFolder
    from trainer.scraped_progress import scraped
    from trainer.summary import in_words

    if settings is None:
        assert path is not None
        folder = RunFolder.open(path)
    else:
        folder = RunFolder.create(path, settings)
    log.enter(run=folder.run_id)
    with (
        folder.claimed(),
        folder.ending_told(),
        TrainingConsole(folder) as console,
        scraped(console, metrics) as progress,
    ):
        from trainer.training import Training

        training = Training(folder, progress, resume=settings is None)
        console.begin(training.horizon, measure=training.environment.spec.outcome)

        try:
            with obeying_signals(
                training.stopping, told=lambda: console.note("stopping; a checkpoint will be written")
            ):
                summary = training.run()
            console.end(in_words(folder, summary))
        except KeyboardInterrupt:
            print(
                f"stopped amid work that could not be left in order; go on from the last checkpoint with: "
                f"heliograph train --resume {folder.path}",
                file=sys.stderr,
            )
            raise
        except HeliographError:
            print(f"the run folder is {folder.path}", file=sys.stderr)
            raise
        finally:
            with optional("the environments did not close"):
                training.close()
    if summary.missed:
        schedule = folder.settings().schedule
        raise summary.error(folder, more=f"for {schedule.env_steps} steps more")
    return INTERRUPTED_EXIT_CODE if summary.reason == "interrupted" else 0


COMMAND = Command(summary="train a team centrally and export its bundles", configure=configure, run=run)
