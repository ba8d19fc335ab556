"""Every format that a file of ours may have refuses a later version in a sentence that names it.

`tests/released/test_released_files.py` reads the files with the commands; here no format is left out.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from heliograph.documents import DocumentFormat
from heliograph.errors import SettingsError

ROOT = Path(__file__).parents[2]
PACKAGES = ("heliograph", "agent_node", "coordinator", "trainer", "analysis")


def every_format() -> dict[str, DocumentFormat]:
    """By the module and the name that it has there."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            names = re.findall(r"^([A-Z_]+) = DocumentFormat\(", path.read_text(encoding="utf-8"), re.MULTILINE)
            if names:
                place = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found |= {f"{place}.{name}": getattr(importlib.import_module(place), name) for name in names}
    return found


FORMATS = every_format()


def test_none_is_left_out() -> None:
    assert len(FORMATS) >= 19
    named = [each.name for each in FORMATS.values() if each.name is not None]
    assert len(named) == len(set(named)), "two kinds of files say that they are the same"


@pytest.mark.parametrize("place", FORMATS)
def test_a_later_version_is_refused_with_its_number_and_with_ours(tmp_path: Path, place: str) -> None:
    ours = FORMATS[place]
    file = tmp_path / "file.json"
    later = ours.version + 8
    key = "format_version" if ours.name is None else "version"
    ours.write(file, {})
    text = file.read_text()
    assert f'"{key}": {ours.version}' in text
    assert ours.read(file, dict) == {}
    file.write_text(text.replace(f'"{key}": {ours.version}', f'"{key}": {later}'))
    refused = rf"it is .*of version {later}, and what is read here is .*of version {ours.version}\. Use the version of"
    with pytest.raises(SettingsError, match=refused):
        ours.read(file, dict)
