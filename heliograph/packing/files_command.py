"""`heliograph bundle inspect`, `verify` and `sign`: of one bundle, or of a folder or run with a team's."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.cli import Command
from heliograph.reading import parse_json, printable

if TYPE_CHECKING:
    from heliograph.bundle import Bundle


def _found(path: Path) -> dict[Path, Bundle]:
    """The bundle at `path`, or those of the team in it or in its folder `bundles`, checked to be one team."""
    from heliograph import bundle as bundles

    if path.suffix == ".tar" or (path / bundles.MANIFEST).exists():
        return {path: bundles.load(path)}
    folder = path / "bundles" if (path / "bundles").is_dir() else path
    team = bundles.load_team(folder)
    paths = [folder / f"agent-{slot}" for slot in range(len(team))]
    return {place if place.exists() else place.with_suffix(".tar"): one for place, one in zip(paths, team, strict=True)}


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="a bundle, a folder of a team's, or a run folder")


def _configure_inspect(parser: argparse.ArgumentParser) -> None:
    _add_path(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _inspect(arguments: argparse.Namespace) -> int:
    told = {str(path): _described(bundle) for path, bundle in _found(arguments.path).items()}
    if arguments.json:
        print(json.dumps(told, indent=2))
        return 0
    for path, entries in told.items():
        print(path)
        for name, value in entries.items():
            print(f"  {name:<24}{printable(value) if isinstance(value, str) else json.dumps(value)}")
    return 0


def _described(bundle: Bundle) -> dict[str, Any]:
    manifest = parse_json(bundle.manifest_bytes)
    return {
        "digest": bundle.digest,
        "signed": "yes, by whom `heliograph bundle verify --trusted-key` tells" if bundle.signature else "no",
        "graph_bytes": len(bundle.graph),
        **{name: value for name, value in manifest.items() if name != "format_version"},
    }


def _configure_verify(parser: argparse.ArgumentParser) -> None:
    _add_path(parser)
    parser.add_argument("--trusted-key", type=Path, action="append", default=[], metavar="FILE", help="a public key")


def _verify(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.signing_keys import require_trusted
    from heliograph.graph import check_graph

    found = _found(arguments.path)
    for bundle in found.values():
        check_graph(bundle.graph)
    signed = require_trusted(found.values(), arguments.trusted_key)
    by = "signed by a trusted key" if signed else "signatures not looked at, for want of --trusted-key"
    for path, bundle in found.items():
        print(f"{path}: whole, {bundle.digest}, {by}")
    return 0


def _configure_sign(parser: argparse.ArgumentParser) -> None:
    _add_path(parser)
    parser.add_argument("--key", type=Path, required=True, help="private key of `heliograph certificates signing-key`")


def _sign(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.signing_keys import read_signing_key

    key = read_signing_key(arguments.key)
    for path, bundle in _found(arguments.path).items():
        bundle.sign(key).save_signature(path)
        print(path)
    return 0


INSPECT = Command(summary="say what bundles are, by their manifests", configure=_configure_inspect, run=_inspect)
VERIFY = Command(
    summary="check that bundles are whole, safe to load and, with a key, signed",
    configure=_configure_verify,
    run=_verify,
)
SIGN = Command(summary="sign bundles, in their place", configure=_configure_sign, run=_sign)
