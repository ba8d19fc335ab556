"""`.ci/run` with another `make` and another engine: no stage's failure is lost, and the engine is always stopped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
MAKE = """#!/bin/sh
echo "make $*" >>"$TOLD"
for word in "$@"; do if [ "$word" = "${FAILING:-}" ]; then exit 2; fi; done
"""
PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\nexit ${WITHOUT_UV:-0}\n' >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""
"""It makes environments whose pip installs nothing."""
ENGINE = """#!/bin/sh
if [ "${1:-}" = stop ]; then echo stop >>"$TOLD"; exit "${STOPPING:-0}"; fi
if [ -n "${BROKEN:-}" ]; then echo "no engine today" >&2; exit 3; fi
if [ -z "${SILENT:-}" ]; then echo DOCKER_HOST=unix:///somewhere; fi
"""
IMAGES = "make images"
"""Beside the first stage, and before those that need them."""
WITH_UV, INSTALL = "make install with uv", "make install"
"""Before all that is tested."""
SIDE_BY_SIDE = ["make check", "make test", "make test-docker", "make test-numpy2 WORKERS=1"]
"""Once that has passed, in any order."""
WITHOUT_IMAGES = [stage for stage in SIDE_BY_SIDE if stage != "make test-docker"]


def ran(path: Path, *, engine: bool = True, images: int = 1, **variables: str) -> tuple[int, list[str], str]:
    """The exit code, what was begun beside the images, which are made so often, and what was said on stderr."""
    script, leftovers, told = path / "checkout" / ".ci" / "run", path / "leftovers", path / "told"
    script.parent.mkdir(parents=True)
    leftovers.mkdir()
    shutil.copy(SCRIPT, script)
    programs = {path / "bin" / "make": MAKE, path / "bin" / "python3": PYTHON}
    if engine:
        (place,) = re.findall(r"^engine=(\S+)$", SCRIPT.read_text(), flags=re.MULTILINE)
        programs[Path(os.path.normpath(path / "checkout" / place))] = ENGINE
    for program, text in programs.items():
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    given = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    given |= {"PATH": f"{path / 'bin'}:{given['PATH']}", "TMPDIR": str(leftovers), "TOLD": str(told), **variables}
    ended = subprocess.run([script], env=given, capture_output=True, text=True, timeout=60, check=False)
    assert list(leftovers.iterdir()) == []
    begun = [
        re.sub(r"^make install PIP_INSTALL=/.*/uv pip install .*", WITH_UV, line)
        for line in told.read_text().splitlines()
    ]
    assert begun.count(IMAGES) == images
    assert not images or "make test-docker" not in begun[: begun.index(IMAGES)]
    stages = [stage for stage in begun if stage != IMAGES]
    begin = sum(stage in (WITH_UV, INSTALL) for stage in stages)
    beside = slice(begin, len(stages) - (stages[-1] == "stop"))
    stages[beside] = sorted(stages[beside])
    return ended.returncode, stages, ended.stderr


def test_all_stages_pass(tmp_path: Path) -> None:
    assert ran(tmp_path) == (0, [WITH_UV, *SIDE_BY_SIDE, "stop"], "")


def test_nothing_is_tested_that_cannot_be_installed(tmp_path: Path) -> None:
    code, told, _ = ran(tmp_path, FAILING="install", STOPPING="4")
    assert (code, told) == (2, [WITH_UV, INSTALL, "stop"])


def test_pip_installs_where_uv_cannot_be_had(tmp_path: Path) -> None:
    assert ran(tmp_path, WITHOUT_UV="1") == (0, [INSTALL, *SIDE_BY_SIDE, "stop"], "")


@pytest.mark.parametrize("failing", ["check", "test", "test-numpy2", "test-docker"])
def test_a_stage_that_fails_fails_it_whatever_the_others_and_stopping_the_engine_come_to(
    tmp_path: Path, failing: str
) -> None:
    code, told, _ = ran(tmp_path, FAILING=failing, STOPPING="4")
    assert (code, told) == (2, [WITH_UV, *SIDE_BY_SIDE, "stop"])


def test_images_that_cannot_be_made_fail_it(tmp_path: Path) -> None:
    code, told, _ = ran(tmp_path, FAILING="images", STOPPING="4")
    assert (code, told) == (1, [WITH_UV, *WITHOUT_IMAGES, "stop"])


def test_an_engine_that_does_not_start_fails_and_says_why(tmp_path: Path) -> None:
    code, told, said = ran(tmp_path, images=0, BROKEN="1")
    assert (code, told) == (1, [WITH_UV, *WITHOUT_IMAGES, "stop"])
    assert said == "no engine today\n"


def test_an_engine_that_does_not_say_where_it_is_fails_instead_of_being_passed_over(tmp_path: Path) -> None:
    code, told, said = ran(tmp_path, images=0, SILENT="1")
    assert (code, told) == (1, [WITH_UV, *WITHOUT_IMAGES, "stop"])
    assert "has not said where" in said


def test_an_engine_that_does_not_stop_is_told_of(tmp_path: Path) -> None:
    assert ran(tmp_path, STOPPING="4") == (0, [WITH_UV, *SIDE_BY_SIDE, "stop"], "the engine did not stop\n")


def test_without_an_engine_it_says_what_was_not_tested(tmp_path: Path) -> None:
    code, told, said = ran(tmp_path, engine=False, images=0)
    assert (code, told) == (0, [WITH_UV, *WITHOUT_IMAGES])
    assert said.startswith("NOT TESTED: images and compose.")
