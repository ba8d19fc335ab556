"""The console script `heliograph`: finds its subcommands through entry points, so each role brings its own.

A command module holds a `Command` and must be cheap to import: arguments are parsed, and `--help` answered,
before any framework loads.  An image that holds only `agent_node` offers only the commands of that house.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.errors import EXIT_CODES, INTERRUPTED_EXIT_CODE, HeliographError, MissingExtra
from heliograph.foreign_packages import ForeignPackage, foreign
from heliograph.stopping import NUMBERS, TOGETHER_S, interrupted_by_sigterm
from heliograph.system_refusals import remedy_for

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

COMMAND_GROUP = "heliograph.commands"

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

GARBAGE_THRESHOLDS = (10_000, 10, 10)
"""For `gc.set_threshold`: with Python's 700 a training that loads torch spends a tenth of its first seconds looking for
garbage among what stays."""


MACHINE_EXIT_CODE = 1
"""The machine refused what no error of the project's tree speaks of."""

_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|not enough memory", re.IGNORECASE)
"""What torch's RuntimeErrors say for want of it, on CPUs and accelerators."""

_OF_THE_MACHINE = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EIO,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
    )
)
"""What a person can do something about: disk, permissions, open files.  Anything else is a defect, with its trace."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand: one line for the overview, its arguments, and what it does (returns the exit code)."""

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    complete: Callable[[Sequence[str]], list[str]] = list
    """From the words after its name to those that are parsed; here an older spelling can be brought into today's."""
    telling: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around parsing: who tells what is wrong with the words, where several processes are given the same."""


def available_commands() -> dict[str, EntryPoint]:
    """The subcommands whose module is installed, by name, in alphabetical order."""
    return {name: entry for name, entry in _declared_commands().items() if _is_installed(entry.module)}


def _declared_commands() -> dict[str, EntryPoint]:
    # Here and not above: it costs a process 5 MB, and one that knows its command does not ask.
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=COMMAND_GROUP)}
    return {name: found[name] for name in sorted(found)}


def _own_command(name: str) -> dict[str, EntryPoint]:
    """The subcommand of that name, if it is installed and this distribution's: found without reading what every other
    distribution declares."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        declared = distribution("heliograph").entry_points.select(group=COMMAND_GROUP, name=name)
    except PackageNotFoundError:
        return {}
    return {entry.name: entry for entry in declared if _is_installed(entry.module)}


def _is_installed(module: str) -> bool:
    try:
        # Of another distribution's package nothing is to run, as looking for a module in it would.
        if foreign(module.partition(".")[0]) is not None:
            return False
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is not
        return False


def _hidden_commands(available: Collection[str]) -> dict[str, ForeignPackage]:
    """The subcommands in place of whose package Python finds another, by name."""
    declared = _declared_commands()
    found = {name: foreign(declared[name].module.partition(".")[0]) for name in declared if name not in available}
    return {name: other for name, other in found.items() if other is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the available subcommands and return its exit code.

    Without arguments the process is the command's, and its garbage is collected less often than Python would.
    """
    if arguments is None:
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        atexit.register(_ignore_signals)  # before any other, so that it is called after all of them
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # From here on: a command may take seconds to be found and loaded.
        with interrupted_by_sigterm():
            code = _find_and_run(argv)
    except KeyboardInterrupt:
        code = _interrupted(_first_word(argv))
    if arguments is None:
        _ends_with(code)
    return code


def _find_and_run(argv: Sequence[str]) -> int:
    chosen = _first_word(argv)
    # Only the module of the command that was asked for is imported; the overview needs them all, and each is cheap.
    commands = (chosen and _own_command(chosen)) or available_commands()
    wanted = [chosen] if chosen in commands else list(commands)
    hidden = {} if chosen in commands else _hidden_commands(commands)
    if chosen in hidden:
        other = hidden[chosen]
        print(f"heliograph {chosen}: {MissingExtra(other.sentence, remedy=other.remedy)}", file=sys.stderr)
        return MissingExtra.exit_code
    for package in dict.fromkeys(hidden.values()):
        names = ", ".join(name for name, other in hidden.items() if other == package)
        print(f"heliograph: without {names}, for {package.sentence}. {package.remedy}", file=sys.stderr)
    return run({name: commands[name].load() for name in wanted}, argv)


def _first_word(argv: Sequence[str]) -> str | None:
    """Which names the command, if any does."""
    return next((word for word in argv if not word.startswith("-")), None)


def _interrupted(command: str | None) -> int:
    if not _follows():
        print("heliograph" if command is None else f"heliograph {command}", "interrupted", sep=": ", file=sys.stderr)
    # Python remembers that code in a string was interrupted, as that of dataclasses is while they are loaded, and
    # with -m ends as if by SIGINT, whatever the exit code.  It forgets it with the next such code.
    exec("")
    return INTERRUPTED_EXIT_CODE


def _follows() -> bool:
    """Whether torchrun has started this process as another rank than the first, which says how all have ended.

    Where the first fails, torchrun ends the others: one that is still being loaded was not interrupted by anybody.
    """
    return os.environ.get("RANK", "0") != "0" and "WORLD_SIZE" in os.environ


def _ends_with(code: int) -> None:
    """The command has said its last, and Python may need seconds more to end: a signal changes nothing of how it ended.

    One that comes at once is the one that ended it again; a later one cuts the rest short.
    """
    ended = time.monotonic()

    def on_signal(_number: int, _frame: object) -> None:
        if time.monotonic() - ended >= TOGETHER_S:
            with suppress(OSError, ValueError, RuntimeError):  # it may be closed, or written to at this moment
                sys.stdout.flush()
            os._exit(code)

    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_signal)


def _ignore_signals() -> None:
    """While Python takes itself down it has no handlers any more, and a signal would be the end that others see."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def run(commands: Mapping[str, Command], arguments: Sequence[str]) -> int:
    """Parse and run one of `commands`; errors of the project's tree end in one sentence, not a trace."""
    named = next((word for word in arguments if word in commands), None)
    with nullcontext() if named is None else commands[named].telling():
        namespace = make_parser(commands).parse_args(_completed(commands, arguments))
    # gRPC's core tells stderr of every peer that ends its streams, in lines that are neither text logs' nor JSON.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    level = namespace.log_level.upper()
    if namespace.log_format == "json":
        from heliograph.log import json_lines

        with json_lines(sys.stderr, level=level):
            return _run(commands, namespace)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return _run(commands, namespace)


def _completed(commands: Mapping[str, Command], arguments: Sequence[str]) -> list[str]:
    for place, word in enumerate(arguments, start=1):
        if word in commands:
            return [*arguments[:place], *commands[word].complete(arguments[place:])]
    return list(arguments)


def _run(commands: Mapping[str, Command], namespace: argparse.Namespace) -> int:
    try:
        with interrupted_by_sigterm():
            return commands[namespace.command].run(namespace)
    except HeliographError as error:
        if namespace.log_level == "debug":
            logging.getLogger(__name__).exception("command failed")
        print(f"heliograph {namespace.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (`| head`) has left; Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        logging.getLogger(__name__).debug("command failed", exc_info=True)
        where = "" if error.filename is None else f": {error.filename}"
        remedy = remedy_for(error, otherwise="")
        said = f"{error.strerror}{where}{remedy and f'. {remedy}'}"
        print(f"heliograph {namespace.command}: {said}", file=sys.stderr)
        return MACHINE_EXIT_CODE
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and _NO_MEMORY.search(str(error)) is None:
            raise
        logging.getLogger(__name__).debug("command failed", exc_info=True)
        what = " ".join(str(error).split())
        print(
            f"heliograph {namespace.command}: there is not enough memory{what and f' ({what})'}. Fewer copies, "
            "smaller networks, batches or replay need less; the settings, or the file with them, ask for that much",
            file=sys.stderr,
        )
        return MACHINE_EXIT_CODE
    except KeyboardInterrupt:
        return _interrupted(namespace.command)


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of the console script with these subcommands; the reference pages are made from it, too."""
    parser = argparse.ArgumentParser(
        prog="heliograph",
        description="Train a team of agents, export one bundle per agent, run them as processes.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"heliograph {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, command in commands.items():
        add_command(subparsers, name, command)
    return parser


def add_command(subparsers: Subparsers, name: str, command: Command, *, log_defaults: bool = True) -> None:
    """Add the parser of a command, or of a subcommand, where `log_defaults` are those of the command above it."""
    parser = subparsers.add_parser(
        name,
        help=command.summary,
        description=command.summary,
        epilog=EXIT_CODES,
        formatter_class=_HelpFormatter,
    )
    for flag, choices, default, text in (
        ("--log-level", LOG_LEVELS, "warning", "verbosity on stderr"),
        ("--log-format", LOG_FORMATS, "text", "json: one object per line"),
    ):
        if log_defaults:
            parser.add_argument(flag, choices=choices, default=default, help=text)
        else:  # or what was given before the subcommand would be overwritten
            told = f"{text} (default: {default})"
            parser.add_argument(flag, choices=choices, default=argparse.SUPPRESS, help=told)
    command.configure(parser)


def keep_old_name(parser: argparse.ArgumentParser, old: str, option: argparse.Action) -> None:
    """Take an option by the name that it had before as well, which no help shows."""
    parser.add_argument(
        old, dest=option.dest, type=option.type or str, default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where it tells something, not that an option is off or that nothing was given, and which options
    may be given more than once."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action, argparse._AppendAction) and action.help is not argparse.SUPPRESS:
            return f"{action.help}; may be given several times"
        quiet = action.default is None or isinstance(action.default, (bool, list))
        return action.help if quiet else super()._get_help_string(action)
