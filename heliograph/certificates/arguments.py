"""Arguments of the commands that listen: certificates, trusted keys, and doing without.  Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_security_arguments(parser: argparse.ArgumentParser) -> None:
    """`tls`, a folder or None; `trusted_key`, a list of files; `insecure`."""
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help="talk mutual TLS with the ca.crt, tls.crt and tls.key in DIR, or in DIR/coordinator, DIR/slot-0, …",
    )
    add_trust_arguments(parser)


def add_trusted_key_argument(parser: argparse._ActionsContainer) -> None:
    """`trusted_key`, a list of files."""
    parser.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="ed25519 public key, raw or hex, that must have signed the bundles; of several, any one",
    )


def add_trust_arguments(parser: argparse.ArgumentParser) -> None:
    """What of `add_security_arguments` is not the certificate."""
    add_trusted_key_argument(parser)
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="allow plaintext that other machines can reach, and bundles that no trusted key has signed",
    )


def trust_options(namespace: argparse.Namespace) -> tuple[str, ...]:
    """The same trust for a process that is started by this one."""
    keys = (option for key in namespace.trusted_key for option in ("--trusted-key", str(key)))
    return (*keys, "--insecure") if namespace.insecure else tuple(keys)
