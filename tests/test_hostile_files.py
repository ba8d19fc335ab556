"""Every reader of a file that a user can name ends in a sentence, whatever stands there, and reads it within bounds."""

from __future__ import annotations

import gzip
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from relay_team import relay_plan
from released_files import VERSIONS, unpacked

from analysis.bandwidth.cell import Cell, read_result
from analysis.bandwidth.grid import Setting
from analysis.bandwidth.influence import read_audit
from analysis.bandwidth.report.folder import read_document
from analysis.campaign.places import Places
from analysis.campaign.result import read_result as read_campaign_result
from analysis.campaign.settings import CampaignSettings, read_campaign
from analysis.campaign.standing import last_record
from analysis.campaign.tuning.trials import read_trials
from analysis.card.evaluation import read_evaluation
from analysis.comparison.histories import read_run
from coordinator.recording.journal import Logbook
from coordinator.recording.reader import read_trace
from coordinator.scoring.scored_run import training_seed
from heliograph import marl_eval
from heliograph.certificates.signing_keys import read_signing_key, read_trusted_key
from heliograph.environments import registry
from heliograph.errors import HeliographError
from heliograph.hub.team_folder import read_card
from heliograph.run_status import read_status
from heliograph.settings import read_toml
from heliograph.tls import Tls
from trainer.training.checkpoint import load_experience, load_networks
from trainer.training.run_folder import RunFolder
from trainer.training.snapshots import load_snapshot

ROOT = Path(__file__).parents[1]
PACKAGES = tuple(
    line.removesuffix("*")
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"][
        "include"
    ]
)
"""All that are installed."""
BY_OTHER_MEANS = {
    "analysis/audit/files.py": "of the kernel",
    "agent_node/footprint.py": "of the kernel",
    "agent_node/template.py": "what its parent asks for",
    "analysis/audit/imports.py": "a log of a process that it has started",
    "analysis/bandwidth/report/page.py": "a picture that it has drawn",
    "analysis/campaign/places.py": "nothing: it locks its own mark",
    "analysis/campaign/planning.py": "settings of its own, as JSON would hold them",
    "analysis/campaign/slurm.py": "of the kernel",
    "coordinator/recording/journal.py": "its own header, written a moment ago",
    "coordinator/serving/node_template.py": "what a process says that it has started",
    "coordinator/serving/supervisor.py": "a log of a process that it has started",
    "coordinator/watch/application.py": "the page, which is installed",
    "heliograph/doctor/machine.py": "of the kernel",
    "heliograph/doctor/trial.py": "what a process says that it has started",
    "heliograph/foreign_packages.py": "what pip has written, which is installed",
    "heliograph/network/devices.py": "of the kernel",
    "heliograph/processor_time.py": "of the kernel",
    "trainer/export/shared_graphs.py": "sources, which are installed",
    "trainer/ranks/group.py": "what the first rank has said",
    "trainer/training/checkpoint.py": "nothing: it has the disk keep what it has written",
    "trainer/training/preset_axes.py": "presets, which are installed",
    "trainer/training/run_folder.py": "nothing: it locks the settings, which it has read before",
}
"""Who reads otherwise than by `heliograph.reading`, and what."""
Reader = Callable[[Path], Any]


def logbook(path: Path) -> None:
    plan = relay_plan(2)
    with Logbook(path, plan=plan, spec=registry.make("relay", count=1, parameters={"agents": 2}).spec):
        pass


def compared(run: Path) -> Any:
    return read_run(run, metric="outcome", policy="greedy", label=None, by=None)


def trials(path: Path) -> Any:
    tune = {"method": "m", "parameters": {"a": {"low": 0, "high": 1}}}
    settings = {"name": "a", "worlds": {"w": {"preset": "p"}}, "methods": {"m": {}}, "tune": tune}
    places = Places(name="a", out=path.parent, results=path.parent)
    return read_trials(CampaignSettings.model_validate(settings), places)


def evaluation_of_card(path: Path) -> Any:
    return read_evaluation(path, None, relay_plan(2).bundles, remedy="Make one")


CELL = Cell(run="run", seed=0, setting=Setting())
CHECKPOINT, SNAPSHOT = "run/checkpoints/00000012", "run/snapshots/000000048"
READERS: dict[str, tuple[str, Reader]] = {
    "settings of a run": ("run/settings.json", lambda file: RunFolder.open(file.parent).settings()),
    "identity of a run": ("run/run.json", lambda file: RunFolder.open(file.parent).run_id),
    "metrics of a run": ("run/metrics.jsonl", lambda file: RunFolder.open(file.parent).history()),
    "settings of a compared run": ("run/settings.json", lambda file: compared(file.parent)),
    "metrics of a compared run": ("run/metrics.jsonl", lambda file: compared(file.parent)),
    "summary of a compared run": ("run/summary.json", lambda file: compared(file.parent)),
    "seed of an evaluated run": ("run/settings.json", lambda file: training_seed(file.parent)),
    "state of a checkpoint": (f"{CHECKPOINT}/state.json", lambda file: load_networks(file.parent, None)),  # type: ignore[arg-type]
    "networks": (f"{CHECKPOINT}/tensors.safetensors", lambda file: load_networks(file.parent, None)),  # type: ignore[arg-type]
    "random states": (f"{CHECKPOINT}/tensors.safetensors", lambda file: load_experience(file.parent)),
    "replay": (f"{CHECKPOINT}/replay.safetensors", lambda file: load_experience(file.parent)),
    "a snapshot": (f"{SNAPSHOT}/snapshot.json", lambda file: load_snapshot(file.parent, None)),  # type: ignore[arg-type]
    "a snapshot's networks": (f"{SNAPSHOT}/tensors.safetensors", lambda file: load_snapshot(file.parent, None)),  # type: ignore[arg-type]
    "status of a run": ("run/status.json", lambda file: read_status(file.parent)),
    "summary of an older run": ("run/summary.json", lambda file: read_status(file.parent)),
    "marl-eval results": ("results.json", marl_eval.read),
    "a recording": ("recording.jsonl.gz", read_trace),
    "a logbook": ("logbook.jsonl", logbook),
    "a report": ("bandwidth/report.json", lambda file: read_document(file.parent)),
    "an audit": ("bandwidth/report.json", lambda file: read_audit(file, relay_plan(2).bundles)),
    "an evaluation that a card tells of": ("card/evaluation.json", evaluation_of_card),
    "a card": ("card/card.json", lambda file: read_card(file.parent)),
    "a preset": ("preset.toml", read_toml),
    "a campaign": ("campaign/own.toml", read_campaign),
    "mark of a campaign": (
        "campaign/campaign.json",
        lambda file: Places(name="a", out=file.parent, results=file.parent).check(),
    ),
    "result of a campaign": ("campaign/seed-0.json", read_campaign_result),
    "trials of a campaign": ("campaign/trials-m.json", trials),
    "how far a run of a campaign is": ("run/metrics.jsonl", lambda file: last_record(file.parent)),
    "a signing key": ("signing.key", read_signing_key),
    "a trusted key": ("signing.key.pub", read_trusted_key),
    "a certificate": ("tls/ca.crt", lambda file: Tls(file.parent)),
}


def fill(path: Path, what: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a device":
        path.symlink_to("/dev/zero")
    elif what == "a hole of terabytes":
        with path.open("wb") as file:
            file.truncate(2**42)
    else:
        path.write_bytes(
            {
                "nothing": b"",
                "no UTF-8": b'{"a": "\xff"}\n',
                "lists in lists": b"[" * 200_000 + b"\n",
                "a huge number": b'{"a": ' + b"9" * 5000 + b"}\n",
                "another kind of value": b"7\n",
            }[what]
        )


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(VERSIONS[0], tmp_path_factory)


@pytest.mark.parametrize("reader", READERS)
def test_what_stands_in_a_files_place_is_named(released: Path, reader: str) -> None:
    part, read = READERS[reader]
    path = released / part
    kept = path.read_bytes() if path.exists() else None
    try:
        for what in (
            *("a pipe", "a device", "a hole of terabytes", "nothing", "no UTF-8", "lists in lists", "a huge number"),
            "another kind of value",
        ):
            fill(path, what)
            try:
                read(path)
            except HeliographError as error:
                assert "\n" not in str(error), what  # noqa: PT017
            else:
                # An empty log has no entries; and what is no plain file is no part of a run folder.
                # How far a run is told by the last lines that can be read, and by nothing if none can.
                fine = ("nothing", "another kind of value", "a pipe", "a device")
                assert what in fine or reader.startswith("how far"), f"{what} was read"
    finally:
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)


def test_a_recording_that_unzips_without_end_is_left_early(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(b" " * 2**20)
    with pytest.raises(HeliographError, match="the file has a line of more than 64 MiB"):
        read_trace(path)


def test_a_cell_of_a_sweep_is_read_within_bounds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{CELL.name}.json")
    with pytest.raises(HeliographError, match="is a pipe"):
        read_result(tmp_path, CELL)


def test_files_are_read_in_one_place() -> None:
    """What is read by other means is no file that somebody hands over; and what is listed is so read."""
    means = re.compile(
        r"\bjson\.loads?\(|\.read_text\(|\.read_bytes\(|\bgzip\.open\([^)]*\"r|load_file\(|(?<!call)\.open\((\)|\"r)"
    )
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if means.search(path.read_text())
    }
    assert found - {"heliograph/reading.py"} == BY_OTHER_MEANS.keys()
