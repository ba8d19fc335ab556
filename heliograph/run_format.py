"""Of which version the files of a run folder are.

`settings.json` and `run.json` say it, by `format_version`, for those beside them that say none as well, which are
`metrics.jsonl`, `summary.json` and `settings_changes.jsonl`.  Folders of before say nothing, and are of the first.
Whoever reads one of the two imports this; checkpoints, snapshots, bundles and `status.json` have formats of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph import __version__
from heliograph.documents import DocumentFormat, WrongDocument
from heliograph.errors import SettingsError
from heliograph.reading import SMALL, read_json

RUN_FOLDER = DocumentFormat(name=None, version=1, what="the run folder", remedy="Name another run folder", unsaid=1)
ABOUT = "run.json"


def run_fields(document: dict[str, Any], file: Path) -> dict[str, Any]:
    """What one of the two files holds beside its version.  Raises SettingsError for another version than ours."""
    try:
        return RUN_FOLDER.check(document)
    except WrongDocument as error:
        raise SettingsError(f"cannot read {file}: {error}", remedy=error.remedy) from None


def begun_elsewhere(folder: Path) -> str:
    """Which version of heliograph began a run, as a clause after what it says that this one does not know.

    Empty for our own, and where nobody says.
    """
    try:
        version = read_json(folder / ABOUT, limit=SMALL)["heliograph"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # whoever needs that file says what is wrong with it
    if not isinstance(version, str) or version == __version__:
        return ""
    return f"; the run was begun with heliograph {version[:40]!r}, and this is version {__version__}"
