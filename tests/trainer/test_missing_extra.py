"""Without torch the trainer's commands say what to install; everything that needs no torch still answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from heliograph.cli import main
sys.exit(main(sys.argv[1:]))
"""


def heliograph(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "export", "dream"])
def test_a_command_that_needs_torch_says_how_to_get_it(command: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "settings.json").write_text("{}")
    arguments = ["--preset", "relay", "--folder", str(tmp_path / "new")] if command == "train" else [str(run)]
    done = heliograph(command, *arguments)
    assert done.returncode == 5
    assert (
        "needs torch, which is not installed. Install the extra trainer: pip install 'heliograph[trainer]'"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_settings_are_resolved_without_torch() -> None:
    done = heliograph("train", "--preset", "relay", "--dry-run")
    assert done.returncode == 0
    assert '"id": "relay"' in done.stdout
