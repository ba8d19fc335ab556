"""`heliograph push`: a team and its card onto a model hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command

ENDPOINT_HELP = "address of the hub; default: HF_ENDPOINT, or https://huggingface.co"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what `heliograph card` has written")
    parser.add_argument("repository", metavar="OWNER/NAME", help="repository of models, made if it is not there")
    parser.add_argument("--private", action="store_true", help="make the repository one that others do not see")
    parser.add_argument("--unsigned", action="store_true", help="push bundles that nobody has signed, too")
    parser.add_argument("--message", default="A team and its card", help="of the commit")
    parser.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    add_trusted_key_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from heliograph.hub.client import place_of
    from heliograph.hub.pushing import push

    pushed = push(
        namespace.folder,
        place_of(namespace.repository, namespace.endpoint),
        private=namespace.private,
        unsigned=namespace.unsigned,
        trusted_keys=namespace.trusted_key,
        message=namespace.message,
    )
    print(f"{pushed.url} holds {len(pushed.files)} files at commit {pushed.commit}")
    return 0


COMMAND = Command(summary="put a team and its card onto a model hub", configure=configure, run=run)
