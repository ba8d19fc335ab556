"""`heliograph certificates`: an authority, certificates for the processes of a team, and a key that signs bundles."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.certificates.folder import AUTHORITY_DAYS, CERTIFICATE_DAYS
from heliograph.cli import Command, keep_old_name
from heliograph.subcommands import with_subcommands


def _configure_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where it is kept; never overwritten")
    parser.add_argument("--days", type=float, default=AUTHORITY_DAYS, help="validity in days")


def _configure_issue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="of the authority")
    parser.add_argument("--team", type=int, metavar="N", help="the coordinator and slots 0..N-1")
    parser.add_argument("--slot", type=int, action="append", default=[], help="one slot")
    parser.add_argument("--coordinator", action="store_true", help="the coordinator")
    out = parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the folders are made; default: the authority's"
    )
    keep_old_name(parser, "--to", out)
    parser.add_argument("--days", type=float, default=CERTIFICATE_DAYS, help="validity in days")
    parser.add_argument("--dns", action="append", default=[], metavar="NAME", help="a further name, for other programs")
    parser.add_argument("--ip", action="append", default=[], metavar="ADDRESS", help="a further address, likewise")
    parser.add_argument("--renew", action="store_true", help="replace; running processes take the new by themselves")
    parser.add_argument(
        "--forget-others",
        action="store_true",
        help="with --renew: trust this authority's ca.crt alone from now on, and no other that was trusted before",
    )


def _configure_signing_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="of the private key; never overwritten")


def _init(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.authority import Authority
    from heliograph.certificates.folder import AUTHORITY_CERTIFICATE, write_authority

    write_authority(Authority.make(days=arguments.days), arguments.folder)
    print(arguments.folder / AUTHORITY_CERTIFICATE)
    return 0


def _issue(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.folder import read_authority, team, write_certificates
    from heliograph.certificates.identity import COORDINATOR, Identity
    from heliograph.errors import SettingsError

    if any(slot < 0 for slot in arguments.slot) or (arguments.team is not None and arguments.team < 1):
        raise SettingsError("no such slots", remedy="They count from 0, and a team has at least one")
    wanted = [*(() if arguments.team is None else team(arguments.team))]
    wanted += [COORDINATOR] * arguments.coordinator + [Identity(slot=slot) for slot in arguments.slot]
    if not wanted:
        raise SettingsError("nobody to issue a certificate to", remedy="Name --team N, --coordinator or --slot I")
    authority = read_authority(arguments.folder)
    credentials = {
        identity: authority.issue(identity, days=arguments.days, dns=arguments.dns, addresses=arguments.ip)
        for identity in wanted
    }
    target = arguments.out or arguments.folder
    for path in write_certificates(
        credentials, target, authority=arguments.folder, renew=arguments.renew, alone=arguments.forget_others
    ):
        print(path)
    return 0


def _signing_key(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.signing_keys import make_signing_key

    public = make_signing_key(arguments.file)
    print(f"{arguments.file} signs (heliograph export --sign), {public} is to be trusted (--trusted-key)")
    return 0


COMMAND = with_subcommands(
    "make certificates for TLS between processes, and keys that sign bundles",
    {
        "init": Command(
            summary="make an authority: ca.crt for everybody, ca.key for nobody else",
            configure=_configure_init,
            run=_init,
        ),
        "issue": Command(
            summary="issue certificates, each into a folder of its own, for --tls",
            configure=_configure_issue,
            run=_issue,
        ),
        "signing-key": Command(
            summary="make an ed25519 key that signs bundles: FILE, and FILE.pub",
            configure=_configure_signing_key,
            run=_signing_key,
        ),
    },
)
