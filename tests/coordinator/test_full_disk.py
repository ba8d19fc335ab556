"""A disk that is full: what was finished is shown, one sentence says what could not be kept, and the exit code is 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from relay_team import relay_bundles

from heliograph import cli
from heliograph.environments.png import write_png
from heliograph.errors import OutputFailed

FULL = Path("/dev/full")
pytestmark = [
    pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full"),
    pytest.mark.usefixtures("warm_teams"),
]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team")
    for bundle in relay_bundles(2):
        bundle.save(folder / f"agent-{bundle.manifest.slot}")
    return folder


@pytest.fixture
def full(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"full{request.param}"
    path.symlink_to(FULL)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "run"])
@pytest.mark.parametrize(
    ("option", "full"),
    [("--record", ".jsonl"), ("--record", ".jsonl.gz"), ("--json", ".json")],
    indirect=["full"],
)
def test_episodes_that_were_finished_are_shown(team, command, option, full, capfd) -> None:
    folder = [str(team)] if command == "evaluate" else ["--bundles", str(team)]
    code = cli.main([command, *folder, "--episodes", "3", option, str(full)])
    out, err = capfd.readouterr()
    assert code == OutputFailed.exit_code
    assert "return per agent" in out
    said = " ".join((out + err).split())
    assert "No space left on device" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("full", [".jsonl"], indirect=True)
def test_finished_episodes_that_cannot_be_kept(team, full, capfd) -> None:
    assert cli.main(["run", "--bundles", str(team), "--episodes", "3", "--resume", str(full)]) == OutputFailed.exit_code
    assert "cannot keep finished episodes" in capfd.readouterr().err


def test_a_picture() -> None:
    with pytest.raises(OutputFailed, match="cannot write /dev/full: No space left on device"):
        write_png(np.zeros((2, 2, 3), dtype=np.uint8), FULL)


def test_what_no_error_speaks_of_is_one_sentence_as_well(capfd) -> None:
    def write(_: object) -> int:
        FULL.write_text("x")
        return 0

    commands = {"write": cli.Command(summary="write", configure=lambda parser: None, run=write)}
    assert cli.run(commands, ["write"]) == cli.MACHINE_EXIT_CODE
    assert capfd.readouterr().err == "heliograph write: No space left on device. Make room on that disk\n"
