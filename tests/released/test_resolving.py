"""Whether dependencies come as wheels is told by platform and Python; `make nightly` asks the package index itself."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import try_resolving

pytestmark = pytest.mark.slow

TAGS = {"linux-x86_64": "manylinux2014_x86_64", "linux-aarch64": "manylinux_2_28_aarch64"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in the package index's place."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return tmp_path


def put(index: Path, name: str, tag: str, *, needs: str = "") -> None:
    """A wheel of nothing but its metadata."""
    with zipfile.ZipFile(index / f"{name}-1.0-{tag}.whl", "w") as wheel:
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {needs}\n" if needs else "")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", told)
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


def test_a_wheel_of_one_machine_is_none_of_another(index: Path) -> None:
    put(index, "coder", f"cp314-cp314-{TAGS['linux-x86_64']}")
    put(index, "plain", "py3-none-any", needs="coder>=1")
    assert try_resolving.resolved(["plain"], "linux-x86_64", "3.14") == (2, "")
    for platform, python in (("linux-aarch64", "3.14"), ("linux-x86_64", "3.13")):
        wheels, refusal = try_resolving.resolved(["plain"], platform, python)
        assert wheels == 0
        assert "coder" in refusal
    put(index, "coder", f"cp314-cp314-{TAGS['linux-aarch64']}")
    assert try_resolving.resolved(["plain"], "linux-aarch64", "3.14") == (2, "")


def test_a_cell_that_is_empty_is_said_and_fails_the_command(
    index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(index, "coder", f"cp311-cp311-{TAGS['linux-x86_64']}")
    monkeypatch.setattr(try_resolving, "requirements", lambda *_: ["coder"])
    asked = ["--python", "3.11", "--platform", "linux-x86_64"]
    assert try_resolving.main(asked) == 0
    assert try_resolving.main([*asked, "--platform", "linux-aarch64"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "| linux-aarch64 | none |"
    assert told.err.strip().startswith("linux-aarch64, Python 3.11: ERROR: ")


def test_the_base_asks_for_what_a_platform_takes() -> None:
    linux, windows = (
        try_resolving.requirements("", platform, "3.12") for platform in ("linux-aarch64", "windows-amd64")
    )
    assert [name for name in linux if name not in windows] == ["uvloop>=0.21"]
    assert not any("constriction" in name for name in linux)
    assert "onnx>=1.17" in try_resolving.requirements("pack", "linux-aarch64", "3.12")
