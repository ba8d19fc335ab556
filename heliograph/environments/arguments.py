"""Arguments that say which code and texts a command takes from files.  Imports nothing heavy.

May be imported by `coordinator` and `trainer`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.environments.permission import Permission


def add_permission_arguments(parser: argparse._ActionsContainer) -> None:
    """`allow_environment` and `allow_parameter`, lists of texts."""
    parser.add_argument(
        "--allow-environment",
        action="append",
        default=[],
        metavar="PATH",
        help="import the code of this environment, package.module:factory, where a file that is read names it",
    )
    parser.add_argument(
        "--allow-parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="let a file that is read give its environment this text, such as a path",
    )


def permission_of(namespace: argparse.Namespace) -> Permission:
    """What these arguments name, and `--environment` where the command has it.  Raises SettingsError for a bad one."""
    from heliograph.environments.permission import Permission

    named = getattr(namespace, "environment", None)
    return Permission.of_user(
        [*namespace.allow_environment, *([] if named is None else [named])], namespace.allow_parameter
    )
