"""StarCraft II for SMAC: its Python packages, the game, and the maps that our environments are played on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from heliograph.doctor.finding import Finding
from heliograph.doctor.packages import examine_versions
from heliograph.doctor.trial import try_imports
from heliograph.environments.smac.maps import SMAC_MAPS, SMACV2_MAP_FILE

_SMACV2 = "pip install --no-deps git+https://github.com/oxwhirl/smacv2.git"
_MODULES = ("s2clientprotocol.sc2api_pb2", "pysc2.run_configs", "smacv2.env")
"""What the simulator is made of; its own package last."""
_VARIABLES = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
_BINARIES = ("SC2_x64", "SC2.app/Contents/MacOS/SC2")
_GAME = "Get it from https://github.com/Blizzard/s2client-proto#downloads, and set SC2PATH if it is elsewhere"


def examine_smac() -> list[Finding]:
    """Everything that SMAC and SMACv2 need."""
    return [*_packages(), *examine_game(game_folder(os.environ))]


def _packages() -> list[Finding]:
    findings = examine_versions("smac")
    modules = list(_MODULES) if all(finding.state == "ok" for finding in findings) else []
    if find_spec("smacv2") is None:
        detail = "PyPI does not have it, and its `smac` is something else"
        findings.append(Finding(name="smacv2", state="missing", detail=detail, remedy=f"Install it: {_SMACV2}"))
        modules = modules[:-1]
    problems = try_imports(modules, variables=_VARIABLES)[0] if modules else {}
    for module in modules:
        problem = problems.get(module)
        if problem is None:
            findings.append(
                Finding(name=f"import {module}", state="ok", detail="with protobuf's Python implementation")
            )
        else:
            remedy = f"Install what it names; smacv2 itself: {_SMACV2}"
            findings.append(Finding(name=f"import {module}", state="wrong", detail=problem, remedy=remedy))
    return findings


def game_folder(variables: Mapping[str, str]) -> Path:
    """Where pysc2 looks for the game."""
    usual = "/Applications/StarCraft II" if sys.platform == "darwin" else "~/StarCraftII"
    return Path(variables.get("SC2PATH") or usual).expanduser()


def examine_game(folder: Path) -> list[Finding]:
    """The binary and the maps under the folder of the game."""
    if not folder.is_dir():
        return [Finding(name="StarCraft II", state="missing", detail=f"no folder {folder}", remedy=_GAME)]
    builds = [
        build
        for build in sorted((folder / "Versions").glob("Base*"), key=_number)
        if any((build / binary).is_file() for binary in _BINARIES)
    ]
    if not builds:
        where = f"no binary in {folder}/Versions/Base*"
        return [Finding(name="StarCraft II", state="missing", detail=where, remedy=_GAME), examine_maps(folder)]
    newest = builds[-1]
    if not any(os.access(newest / binary, os.X_OK) for binary in _BINARIES):
        remedy = f"chmod +x {newest}/*"
        game = Finding(name="StarCraft II", state="wrong", detail=f"{newest} cannot be executed", remedy=remedy)
    else:
        game = Finding(name="StarCraft II", state="ok", detail=str(newest))
    return [game, examine_maps(folder)]


def _number(build: Path) -> int:
    digits = build.name.removeprefix("Base")
    return int(digits) if digits.isdecimal() else -1


def examine_maps(folder: Path) -> Finding:
    """Every map of a named environment."""
    maps = folder / "Maps" / "SMAC_Maps"
    needed = [*SMAC_MAPS, SMACV2_MAP_FILE]
    missing = [name for name in needed if not (maps / f"{name}.SC2Map").is_file()]
    if not missing:
        return Finding(name="SMAC maps", state="ok", detail=f"{len(needed)} in {maps}")
    remedy = f"Copy smacv2/env/starcraft2/maps/SMAC_Maps of https://github.com/oxwhirl/smacv2 to {maps.parent}"
    if len(missing) == len(needed):
        return Finding(name="SMAC maps", state="missing", detail=f"none in {maps}", remedy=remedy)
    return Finding(name="SMAC maps", state="wrong", detail=f"{maps} lacks {', '.join(missing)}", remedy=remedy)
