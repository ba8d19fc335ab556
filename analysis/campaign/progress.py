"""How a campaign goes, while it goes: a table that is drawn anew in a terminal, and lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.campaign.estimates import duration, in_words, left, together
from analysis.campaign.grid import Run
from analysis.campaign.places import Places
from analysis.campaign.planning import Plan
from analysis.campaign.side_by_side import Telling
from analysis.campaign.standing import Standing, State, last_record, standing, standings
from heliograph import display
from heliograph.errors import SettingsError
from heliograph.log_lines import newest_line, size_of
from heliograph.run_status import read_status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

REPORT_INTERVAL_S = 30.0
"""Between two lines about the same run, where no table is drawn."""

MOST_NEWS = 120
"""Characters of a line of a run's log that are shown."""


class CampaignProgress(Telling):
    """Tells on stderr, so that stdout is for results."""

    def __init__(self, runs: Sequence[Run], plans: Mapping[str, Plan], places: Places, *, jobs: int) -> None:
        self._plans, self._places, self._jobs = plans, places, jobs
        self._standing = {each.run.name: each for each in standings(runs, plans, places)}
        self._console = display.console(stderr=True)
        self._live: Live | None = None
        self._printed_at: dict[str, float] = {}
        self._begun_at: dict[str, float] = {}
        # Of an earlier process, perhaps, what that has said is no news.
        self._log_sizes = {run.name: size_of(places.log(run)) for run in runs}
        self._waits: Mapping[str, str] = {}

    def __enter__(self) -> CampaignProgress:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def look(self, running: Sequence[Run], waits: Mapping[str, str]) -> None:
        self._waits = waits
        if self._live is not None:
            self._live.update(self._drawn(running), refresh=True)
            return
        now = time.monotonic()
        for run in running:
            self._begun_at.setdefault(run.name, now)
            if now - self._printed_at.get(run.name, -REPORT_INTERVAL_S) >= REPORT_INTERVAL_S:
                self._printed_at[run.name] = now
                self._say(f"{run.name}: {self._line(run)}")

    def ended(self, run: Run, code: int) -> None:
        found = standing(run, self._plans[run.cell.name], self._places)
        self._standing[run.name] = found
        self._say(f"{run.name}: {self._ending(found, code)}  ({self._count()})")

    def _say(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _ending(self, found: Standing, code: int) -> str:
        if found.result is not None and found.result.scores:
            scores = [
                f"{policy} {display.interval(each.score.mean, each.score.low, each.score.high)}"
                for policy, each in found.result.scores.items()
            ]
            return f"{found.result.measure} {', '.join(scores)} after {found.result.env_steps} steps"
        told = str(found.state) if found.state is not State.ABSENT else "not trained"
        detail = found.detail or (f"exit code {code}, see {self._places.log(found.run)}" if code else "")
        return f"{told}{f', {detail}' if detail else ''}"

    def _line(self, run: Run) -> str:
        """How far a run is; until it logs steps, and while it is measured, what its process has said last."""
        told, *rest = self._words(run)
        if told and not _is_trained(self._places.folder(run)):
            return "  ".join(word for word in (told, *rest) if word)
        for_s = time.monotonic() - self._begun_at[run.name]
        told = told or (f"begins, {duration(for_s)} ago" if for_s >= REPORT_INTERVAL_S else "begins")
        news = newest_line(self._places.log(run), beyond=self._log_sizes.get(run.name, 0))
        news = news if len(news) <= MOST_NEWS else f"{news[: MOST_NEWS - 1]}…"
        return "  ".join(word for word in (told, *rest, news) if word)

    def _words(self, run: Run) -> tuple[str, str, str, str]:
        """Steps, share, processor time and newest score of a run, each as far as it is known."""
        folder = self._places.folder(run)
        record = last_record(folder)
        limit = self._plans[run.cell.name].env_steps
        steps = record.get("env_steps")
        told = "" if steps is None else f"{steps:,} of {limit:,} steps"
        if steps is not None and _is_trained(folder):
            told = f"{steps:,} steps, being measured"
        told = self._waits.get(run.name) or told
        share = "" if steps is None else f"{min(1.0, steps / limit):.0%}"
        cpu = f"{duration(record['cpu_seconds'])} of a processor" if "cpu_seconds" in record else ""
        return told, share, cpu, _score(record)

    def _count(self) -> str:
        settled = sum(each.state.is_settled for each in self._standing.values())
        return f"{settled} of {len(self._standing)} runs done"

    def _drawn(self, running: Sequence[Run]) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        shown = display.table("", "run", "", "steps", "processor", "score", left=("run",))
        for run in running:
            steps, share, cpu, score = self._words(run)
            done = float(share.rstrip("%") or 0)
            shown.add_row(Text(run.name), ProgressBar(total=100, completed=done, width=20), steps, cpu, score)
        return Group(shown, Text(f"{self._count()}; left: {self._left()}"))

    def _left(self) -> str:
        cells: dict[str, list[Standing]] = {}
        for each in self._standing.values():
            cells.setdefault(each.run.cell.name, []).append(each)
        return in_words(together(map(left, cells.values())), jobs=self._jobs)


def _is_trained(folder: Path) -> bool:
    try:
        return read_status(folder).ended
    except SettingsError:  # its worker will say so
        return False


def _score(record: Mapping[str, Any]) -> str:
    for policy in ("sampled", "greedy"):
        if (value := record.get(f"evaluate/{policy}_outcome")) is not None:
            return f"{policy} {display.score(value)}"
    return ""
