"""`heliograph pull`: a team and its card from a model hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.errors import SettingsError
from heliograph.hub.push_command import ENDPOINT_HELP

DEFAULT_MIB = 2048


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repository", metavar="OWNER/NAME", help="a repository that `heliograph push` has filled")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="a folder that is not there; default: NAME")
    parser.add_argument("--revision", default="main", help="branch, tag or commit")
    parser.add_argument("--most-mib", type=int, default=DEFAULT_MIB, metavar="MIB", help="larger teams are refused")
    parser.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    add_trusted_key_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from heliograph.hub.client import place_of
    from heliograph.hub.pulling import pull
    from heliograph.reading import printable

    if namespace.most_mib < 1:
        raise SettingsError(f"--most-mib must be at least 1, not {namespace.most_mib}")
    place = place_of(namespace.repository, namespace.endpoint)
    pulled = pull(
        place,
        namespace.to or Path(place.repository.partition("/")[2]),
        revision=namespace.revision,
        trusted_keys=namespace.trusted_key,
        most_bytes=namespace.most_mib * 2**20,
    )
    if pulled.resumed_bytes:
        print(f"{pulled.resumed_bytes:,} bytes were there of an earlier attempt")
    manifest = pulled.bundles[0].manifest
    print(
        f"{pulled.folder}: {len(pulled.bundles)} bundles of {printable(manifest.algorithm)} in "
        f"{printable(manifest.environment)}, commit {pulled.commit}"
    )
    by = "all are signed by a trusted key" if pulled.trusted else "signatures not looked at, for want of --trusted-key"
    print(f"digests are those of the card; {by}")
    if pulled.others:
        print(f"left there, as no part of a team: {', '.join(pulled.others[:8])}")
    return 0


COMMAND = Command(
    summary="fetch a team and its card from a model hub, checked, and run none of it", configure=configure, run=run
)
