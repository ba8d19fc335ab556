"""What a campaign tells of its runs where there is no terminal: how far they are, or what their processes said last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.campaign import progress
from analysis.campaign.grid import cells_of, runs_of
from analysis.campaign.places import places_of
from analysis.campaign.planning import plans_of
from analysis.campaign.settings import CampaignSettings
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.run_status import RunState, RunStatus, write_status

CAMPAIGN = CampaignSettings.model_validate(
    {
        "name": "try",
        "seeds": "0",
        "worlds": {"w": {"preset": "mappo-relay", "env_steps": 100}},
        "methods": {"mappo": {}},
    }
)


def test_until_steps_are_logged_and_while_it_is_measured_a_run_tells_what_its_process_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = cells_of(CAMPAIGN)
    (run,) = runs_of(cells)
    places = places_of("try", tmp_path / "out", None)
    plans = {each.cell.name: each for each in plans_of(cells, permission=CATALOGUE_ONLY, source="try")}
    log, folder = places.log(run), places.folder(run)
    folder.mkdir(parents=True)
    log.write_text("interrupted an hour ago\n")
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def told() -> str:
        shown.look([run], {run.name: ""})
        now[0] += 30.0
        return capsys.readouterr().err

    with progress.CampaignProgress([run], plans, places, jobs=1) as shown:
        assert told() == "w/mappo/seed-0: begins\n", "what an earlier process said is no news"
        assert told() == "w/mappo/seed-0: begins, 30 s ago\n"
        with log.open("a") as file:
            file.write("the world is built\n\x1b[31mwaits for the first episode\n\nhalf a li")
        assert told() == "w/mappo/seed-0: begins, 60 s ago  ?[31mwaits for the first episode\n"
        record = {"env_steps": 50, "cpu_seconds": 30.0, "evaluate/greedy_outcome": 0.5}
        (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        assert told() == "w/mappo/seed-0: 50 of 100 steps  50%  30 s of a processor  greedy 0.500\n"
        write_status(folder, RunStatus(state=RunState.FINISHED, env_steps=50))
        with log.open("a") as file:
            file.write("ne\nmessages masked: 45/200, about 647 s left\n  run folder: r\n  next: heliograph run\n")
        assert told().endswith("  messages masked: 45/200, about 647 s left\n"), "the campaign itself goes on"
        with log.open("a") as file:
            file.write("x" * 300 + "\nlast " + "y" * 500)
        said = told()
    assert said.startswith("w/mappo/seed-0: 50 steps, being measured  50%  30 s of a processor  greedy 0.500  xxx")
    assert said.endswith("x…\n")
    assert len(said) < 250
