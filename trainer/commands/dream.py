"""`heliograph dream RUN`: what a run's world model imagines, beside what is real."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments, permission_of
from heliograph.output_arguments import check_output_folder, output_file
from trainer.commands.extra import trainer_extra

if TYPE_CHECKING:
    from trainer.training.imagined_episode import ImaginedBesideReal

MOST_ROLLOUTS = 256

MEND = "The numbers are told without it; mend matplotlib or Pillow, or name a file of the other kind"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder of MAMBA, MAG, MABL or MARIE")
    parser.add_argument(
        "--out",
        type=output_file,
        metavar="FILE",
        help="picture to write, .gif of every step or .png of the last; default: `RUN/dream.gif` where the world "
        "can be drawn, `RUN/dream.png` where it cannot",
    )
    parser.add_argument(
        "--snapshot",
        metavar="STEPS",
        help="networks as they were at an evaluation on the way: after so many steps, or 'best'; default: the newest",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the episode and of what is imagined")
    parser.add_argument("--start", type=int, default=0, metavar="STEP", help="imagine from this step of the episode on")
    parser.add_argument(
        "--horizon", type=int, metavar="STEPS", help="transitions to imagine; default: as long as the episode goes on"
    )
    parser.add_argument(
        "--rollouts", type=int, default=8, help="imagined rollouts from the same state; one of them is shown whole"
    )
    parser.add_argument("--slot", type=int, default=0, help="agent whose observations are shown")
    parser.add_argument("--most-steps", type=int, default=1000, help="steps after which the episode is left")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the numbers to FILE; - for stdout")
    add_permission_arguments(parser)


def run(namespace: argparse.Namespace) -> int:
    _check(namespace)
    with trainer_extra("imagining"):
        return _draw(namespace)


def _check(namespace: argparse.Namespace) -> None:
    """Raises SettingsError for what can be told from the arguments alone."""
    from heliograph.errors import SettingsError

    for name, least, most in (
        ("seed", 0, 2**63 - 1),
        ("start", 0, 10**6),
        ("horizon", 1, 10**6),
        ("rollouts", 1, MOST_ROLLOUTS),
        ("slot", 0, 10**6),
        ("most_steps", 1, 10**6),
    ):
        value = getattr(namespace, name)
        if value is not None and not least <= value <= most:
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(f"{option} {value} is not within {least} and {most}", remedy="Name another number")
    if namespace.out is not None and namespace.out.suffix.lower() not in (".gif", ".png"):
        raise SettingsError(
            f"{namespace.out} is no picture that can be written", remedy="Name a file that ends in .gif or .png"
        )


def _draw(namespace: argparse.Namespace) -> int:
    import torch

    from heliograph.documents import finite, write_json
    from heliograph.errors import HeliographError, OutputFailed, SettingsError
    from trainer.algorithms.imagining import ImaginingAlgorithm
    from trainer.training.imagined_episode import Wanted, imagined_beside_real
    from trainer.training.imagined_picture import draw_imagined
    from trainer.training.making import make_environment
    from trainer.training.restored import chosen_algorithm
    from trainer.training.run_folder import RunFolder

    folder = RunFolder.open(namespace.run)
    if namespace.out is None:
        check_output_folder(folder.path)
    device, permission = torch.device("cpu"), permission_of(namespace)
    algorithm, spec, chosen = chosen_algorithm(folder, namespace.snapshot, device=device, permission=permission)
    if not isinstance(algorithm, ImaginingAlgorithm):
        raise SettingsError(
            f"{folder.path} is a run of {algorithm.name}, which does not learn in imagination",
            remedy="Name a run of mamba, mag, mabl or marie",
        )
    if namespace.slot >= spec.agents:
        raise SettingsError(f"there is no agent {namespace.slot}", remedy=f"Name a slot of 0 to {spec.agents - 1}")
    settings = folder.settings()
    environment = make_environment(settings, permission.of(folder.source), count=1)
    wanted = Wanted(
        seed=namespace.seed,
        start=namespace.start,
        horizon=namespace.horizon,
        rollouts=namespace.rollouts,
        most_steps=namespace.most_steps,
    )
    try:
        found = imagined_beside_real(algorithm, environment, settings.replay, wanted, device=device)
    finally:
        environment.close()
    path: Path = namespace.out or folder.path / ("dream.gif" if found.drawn else "dream.png")
    title = f"{algorithm.name} on {spec.id}, {chosen.in_words()}: episode {wanted.seed} from step {wanted.start} on"
    picture: Path | None = path
    failure: HeliographError | None = None  # told last, after the numbers
    try:
        draw_imagined(found, spec, path, title=title, slot=namespace.slot)
    except HeliographError as error:
        picture, failure = None, error
    except Exception as error:  # of what draws
        picture, failure = None, OutputFailed(f"cannot draw {path}: {type(error).__name__}: {error}", remedy=MEND)
    document = {
        "run": str(folder.path),
        "env_steps": chosen.env_steps,
        "picture": None if picture is None else str(picture),
        **found.document(),
    }
    try:
        write_json(finite(document), namespace.json)
    finally:
        print(_in_words(found, picture), file=sys.stderr if namespace.json == Path("-") else sys.stdout, flush=True)
    if failure is not None:
        raise failure
    return 0


def _in_words(found: ImaginedBesideReal, path: Path | None) -> str:
    imagined, real = found.imagined, found.real
    returns, lengths = imagined.earned.sum(1), imagined.survival.sum(1)
    replayed = found.replayed
    ended = f"; {replayed.ended} after {_transitions(len(replayed.reward))}" if replayed.ended else ""
    return "\n".join(
        [
            f"from step {found.wanted.start} of the episode of seed {found.wanted.seed} on, "
            f"{_transitions(len(real.reward))}:",
            f"  real: return {real.reward.sum():.3g}",
            f"  imagined: return {returns.mean():.3g} ({returns.min():.3g} to {returns.max():.3g} in {len(returns)} "
            f"rollouts), {lengths.mean():.1f} transitions before the end",
            f"  real, where the team does what was imagined first: return {replayed.reward.sum():.3g}{ended}",
            f"  picture: {'none' if path is None else path}",
        ]
    )


def _transitions(count: int) -> str:
    return f"{count} transition{'' if count == 1 else 's'}"


COMMAND = Command(summary="draw what a world model imagines beside what is real", configure=configure, run=run)
