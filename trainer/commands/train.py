"""`heliograph train`: parses and resolves first, loads torch last."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.metrics import add_metrics_argument
from trainer.commands.extra import trainer_extra

if TYPE_CHECKING:
    from heliograph.environments.permission import Permission
    from trainer.ranks.group import Ranks
    from trainer.training.settings import TrainSettings

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
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--environment", metavar="ID", help="an id of `heliograph environments`, or an import path")
    add_permission_arguments(parser)
    parser.add_argument("--seed", type=int, help="override the preset's seed")
    parser.add_argument("--folder", type=Path, help="run folder to create; default: runs/<algorithm>-<world>-<time>")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with the newest checkpoint of a run folder; --set may change how long it trains, how it "
        "is evaluated and what machine it has",
    )
    parser.add_argument(
        "--resume-or-start",
        action="store_true",
        help="with --folder: go on with the run that is in it, begin one if there is none, and leave it alone if it is "
        "finished; for scripts and containers that are started again",
    )
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="RUN",
        help="begin with the networks of another run, or of a snapshot of it (RUN/snapshots/STEPS); the rest is new",
    )
    parser.add_argument(
        "--seeds",
        metavar="SEEDS",
        help="train one run per seed (0-9, or 0,3,7) in --folder, side by side, and show one table; the same command "
        "again, with that folder, goes on with those that are not finished",
    )
    parser.add_argument("--jobs", type=int, default=1, help="with --seeds: how many runs at a time")
    parser.add_argument("--wandb", metavar="PROJECT", help="log to Weights & Biases as well")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings as JSON and end")
    add_metrics_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from trainer.ranks.launched import first_rank_reports

    with first_rank_reports():
        train = _checked(namespace)
    return 0 if train is None else train()


def _checked(namespace: argparse.Namespace) -> Callable[[], int] | None:
    """What is to be done once all that can be known beforehand is sound; None if that is nothing."""
    from heliograph.environments import registry
    from heliograph.errors import SettingsError
    from heliograph.seed_ranges import parse_seeds
    from trainer.ranks.launched import launched_ranks, leads
    from trainer.training.preset import load_settings, preset_names
    from trainer.training.world_fit import check_world

    if launched_ranks() > 1 and namespace.seeds is not None:
        raise SettingsError("--seeds begins runs of its own", remedy="Start it without torchrun")
    if namespace.list_presets is not None:
        from trainer.training.preset_families import in_words

        print("\n".join(preset_names()) if namespace.list_presets == "names" else in_words())
        return None
    if namespace.resume is not None and (namespace.seed is not None or namespace.environment or namespace.init_from):
        raise SettingsError(
            "a resumed run keeps its world, its seed and its networks", remedy="Start a new run to change them"
        )
    if namespace.resume is not None and namespace.dry_run:
        raise SettingsError(
            f"--dry-run shows the settings of a new run, and those of {namespace.resume} are in its settings.json",
            remedy="Leave out --dry-run to go on with it",
        )
    if namespace.resume is not None and namespace.folder is not None:
        raise SettingsError(f"--resume goes on in {namespace.resume}", remedy="Leave out --folder")
    if namespace.seeds is not None and namespace.metrics is not None:
        raise SettingsError("--metrics serves those of one run", remedy="Leave it out, or train one seed")
    if namespace.seeds is not None and (namespace.resume is not None or namespace.seed is not None):
        raise SettingsError("--seeds begins a run for each seed", remedy="Leave out --resume and --seed")
    seeds = None if namespace.seeds is None else parse_seeds(namespace.seeds)
    if namespace.seeds is None and namespace.jobs != 1:
        raise SettingsError(f"--jobs {namespace.jobs} is for several runs", remedy="Name their --seeds")
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
        if not namespace.set and _finished_already(namespace.resume):
            return None
        permission = permission_of(namespace)
        return partial(_train, namespace.resume, settings=None, permission=permission, namespace=namespace)
    overrides = list(namespace.set)
    if namespace.environment is not None:
        # Another world's parameters mean nothing to this one.
        overrides = [f'environment.id="{namespace.environment}"', "environment.parameters={}", *overrides]
    if namespace.seed is not None:
        overrides.append(f"seed={namespace.seed}")
    settings = load_settings(namespace.preset, overrides)
    if namespace.environment is not None and not any("usual_env_steps" in text for text in namespace.set):
        # How long it usually takes was measured in the preset's own world.
        schedule = settings.schedule.model_copy(update={"usual_env_steps": None})
        settings = settings.model_copy(update={"schedule": schedule})
    permission = permission_of(namespace).also_in_settings(overrides).of(f"preset {namespace.preset}")
    registry.check(settings.environment.id, settings.environment.parameters, permission)
    check_world(settings)
    if namespace.dry_run:
        if leads():
            print(settings.model_dump_json(indent=2))
        return None
    if seeds is not None:
        return partial(_train_seeds, namespace, settings, seeds)
    if namespace.resume_or_start:
        from trainer.training.carrying_on import is_begun, is_done

        if is_done(namespace.folder):
            if leads():
                print(f"bundles are in {namespace.folder} already", flush=True)
            return None
        if is_begun(namespace.folder, settings, init_from=namespace.init_from):
            return partial(_train, namespace.folder, settings=None, permission=permission, namespace=namespace)
    return partial(_train, namespace.folder, settings=settings, permission=permission, namespace=namespace)


def _finished_already(path: Path) -> bool:
    """Whether a run that is asked to go on has nothing left to do; says so."""
    from trainer.ranks.launched import leads
    from trainer.training.carrying_on import is_done

    if (done := is_done(path)) and leads():
        print(f"{path} is finished already; to train it further change its schedule with --set", flush=True)
    return done


def _extend(path: Path, overrides: list[str]) -> None:
    from trainer.training.extending import extend

    for name, (before, after) in extend(path, overrides).items():
        print(f"{name} was {before!r} and is {after!r} from here on", file=sys.stderr)


def _train_seeds(namespace: argparse.Namespace, settings: TrainSettings, seeds: tuple[int, ...]) -> int:
    from datetime import datetime

    from trainer.commands.many_seeds import train_seeds

    arguments = ["--preset", namespace.preset, *(word for text in namespace.set for word in ("--set", text))]
    for option in ("environment", "init_from", "wandb"):
        if (value := getattr(namespace, option)) is not None:
            arguments += [f"--{option.replace('_', '-')}", str(value)]
    arguments += [word for path in namespace.allow_environment for word in ("--allow-environment", path)]
    arguments += [word for value in namespace.allow_parameter for word in ("--allow-parameter", value)]
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = namespace.folder or Path("runs") / f"{settings.algorithm}-{settings.environment.id}-seeds-{stamp}"
    print(f"the runs are in {folder}", file=sys.stderr)
    return train_seeds(folder, seeds, arguments=arguments, jobs=namespace.jobs)


def _train(
    path: Path | None, *, settings: TrainSettings | None, permission: Permission, namespace: argparse.Namespace
) -> int:
    """Alone, or as one of the ranks that torchrun has started.  Returns and raises what `_lead` does."""
    from heliograph.errors import INTERRUPTED_EXIT_CODE, HeliographError

    group = None
    try:
        with trainer_extra("training"):
            from trainer.ranks.joining import joined_ranks

            with joined_ranks() as group:
                if group.lead:
                    return _lead(group, path, settings=settings, permission=permission, namespace=namespace)
                from trainer.commands.following import follow
                from trainer.ranks.launched import LEAVING_S

                followed = follow(group, permission=permission, init_from=namespace.init_from)
                if followed is None or not followed.interrupted:
                    return 0
                group.leave(within_s=LEAVING_S)
                return INTERRUPTED_EXIT_CODE
    except HeliographError as error:
        if group is not None and group.is_reported(error):
            return error.exit_code
        raise


def _lead(
    group: Ranks,
    path: Path | None,
    *,
    settings: TrainSettings | None,
    permission: Permission,
    namespace: argparse.Namespace,
) -> int:
    """Create or open the folder, train, print the summary; 130 if interrupted.

    Raises TargetNotReached, once all results are written and told, if the team is not as good as it must be.
    """
    from heliograph import log
    from heliograph.environments.consent import consented
    from heliograph.errors import INTERRUPTED_EXIT_CODE, HeliographError, RankLost
    from heliograph.optional import optional
    from heliograph.stopping import obeying_signals
    from trainer.training.checkpoint import check_newest_ranks
    from trainer.training.console import TrainingConsole
    from trainer.training.run_folder import RunFolder
    from trainer.training.scraped_progress import scraped
    from trainer.training.summary import in_words
    from trainer.training.way_on import way_on

    if settings is None:
        assert path is not None
        folder = RunFolder.open(path)
        world = folder.settings().environment
        permission = consented(folder.path, world.id, world.parameters, permission.of(folder.source))
        if namespace.resume is not None and namespace.set:
            check_newest_ranks(folder.checkpoints, group.count)
            _extend(folder.path, namespace.set)
            if _finished_already(folder.path):
                group.of_lead(None)
                return 0  # those were its settings before
    else:
        folder = RunFolder.create(path, settings, init_from=namespace.init_from)
    begun = False
    try:
        log.enter(run=folder.run_id)
        with (
            folder.claimed(),
            folder.status_at_exit(),
            TrainingConsole(folder, wandb=namespace.wandb) as console,
            scraped(console, namespace.metrics) as progress,
        ):
            from trainer.training.training import Training

            group.of_lead({"folder": str(folder.path.resolve()), "resume": settings is None})
            training = Training(
                folder, progress, resume=settings is None, permission=permission, init_from=namespace.init_from
            )
            group.any(False)  # before anything is begun that another rank cannot join
            begun = True
            console.begin(training.horizon, measure=training.environment.spec.outcome)

            try:
                with obeying_signals(
                    training.stopping, on_request=lambda: console.note("stopping; a checkpoint will be written")
                ):
                    summary = training.run()
                console.end(in_words(folder, summary))
            except KeyboardInterrupt:
                print(f"stopped amid work that could not be left in order; {way_on(folder)}", file=sys.stderr)
                raise
            except HeliographError as error:
                if isinstance(error, RankLost):
                    # What has started the ranks ends them all with the first; how this one ended is still to be told.
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                print(f"the run folder is {folder.path}; {way_on(folder)}", file=sys.stderr)
                raise
            finally:
                with optional("the environments did not close"):
                    training.close()
    finally:
        if settings is not None and not begun:
            folder.discard()
    if summary.missed:
        schedule = folder.settings().schedule
        raise summary.error(folder, more=f"for {schedule.env_steps} steps more")
    return INTERRUPTED_EXIT_CODE if summary.reason == "interrupted" else 0


def _telling() -> AbstractContextManager[None]:
    from trainer.ranks.launched import first_rank_parses

    return first_rank_parses()


COMMAND = Command(
    summary="train a team centrally and export its bundles", configure=configure, run=run, telling=_telling
)
