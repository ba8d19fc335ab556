"""Where a campaign keeps what it makes.

runs/campaigns/NAME/                out
    campaign.json                   whose folder it is
    runs/WORLD/METHOD[+VARIANT]/
        seed-0/                     a run folder of `heliograph train`, and measured/ with the evaluations' reports
        seed-0.toml                 what is trained
        seed-0.log                  what training and evaluation said
    results/                        or where --results says
        campaign.json
        WORLD/METHOD[+VARIANT]/seed-0.json
        README.md, report.json, curves.png …
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.campaign.grid import Run
from heliograph.claim import claim
from heliograph.documents import DocumentFormat
from heliograph.errors import OutputFailed, SettingsError
from heliograph.reading import SMALL
from heliograph.system_refusals import remedy_for

CAMPAIGN = DocumentFormat(
    name="heliograph-campaign", version=1, what="the campaign's mark", remedy="Name another folder: --out, --results"
)
MARK = "campaign.json"


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders of a campaign."""

    name: str
    """Of the campaign."""
    out: Path
    results: Path

    def folder(self, run: Run) -> Path:
        """Of `heliograph train`."""
        return self.out / "runs" / run.name

    def log(self, run: Run) -> Path:
        folder = self.folder(run)
        return folder.with_name(f"{folder.name}.log")

    def preset(self, run: Run) -> Path:
        folder = self.folder(run)
        return folder.with_name(f"{folder.name}.toml")

    def result(self, run: Run) -> Path:
        path = self.results / run.name
        return path.with_name(f"{path.name}.json")

    def check(self) -> None:
        """Raise SettingsError if one of the folders is another campaign's, or holds what is no campaign's."""
        for path, flag in ((self.out, "--out"), (self.results, "--results")):
            whose = CAMPAIGN.find(path / MARK, _name, limit=SMALL)
            if whose is not None and whose != self.name:
                raise SettingsError(
                    f"{path} is of the campaign {whose!r}, not of {self.name!r}", remedy=f"Name another folder: {flag}"
                )
            if whose is None and path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise SettingsError(
                    f"{path} is there, and no folder of a campaign (it has no {MARK})",
                    remedy=f"Name another folder: {flag}",
                )

    def make(self) -> None:
        """Make both folders and mark them.  Raises as `check`, and OutputFailed if the disk refuses."""
        self.check()
        for path in (self.out, self.results):
            if not (path / MARK).exists():
                CAMPAIGN.write(path / MARK, {"campaign": self.name})

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, no other process runs this campaign here.  Raises SettingsError if one does."""
        try:
            file = (self.out / MARK).open()
        except OSError as error:
            raise OutputFailed(f"cannot open {self.out / MARK}: {error.strerror}", remedy=remedy_for(error)) from error
        with file:
            if not claim(file.fileno()):
                raise SettingsError(
                    f"another process runs the campaign in {self.out}",
                    remedy="Wait for it, or end it with Ctrl-C, which saves",
                )
            yield


def places_of(name: str, out: Path | None, results: Path | None) -> Places:
    """The folders of a campaign where a command names none, or some."""
    chosen = Path("runs") / "campaigns" / name if out is None else out
    return Places(name=name, out=chosen, results=chosen / "results" if results is None else results)


def _name(fields: dict[str, Any]) -> str:
    name = fields["campaign"]
    if not isinstance(name, str):
        raise ValueError(f"its campaign is {name!r}")
    return name
