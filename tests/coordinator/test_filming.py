"""`heliograph evaluate --frames`: pictures of the first episode, which change as the world does."""

from __future__ import annotations

from pathlib import Path

from relay_team import relay_bundles
from scripted_bundle import save_team

from heliograph.cli import main


def test_evaluate_draws_every_state_of_the_first_episode(tmp_path: Path, capsys) -> None:
    save_team(relay_bundles(2), tmp_path / "team")
    command = [
        "evaluate",
        str(tmp_path / "team"),
        "--episodes",
        "2",
        "--links",
        "both",
        "--frames",
        str(tmp_path / "film"),
    ]
    assert main([*command, "--json", "-"]) == 0
    assert '"episodes": 2' in capsys.readouterr().out
    frames = sorted(path.name for path in (tmp_path / "film").iterdir())
    assert frames == [f"{name}-{step:03d}.png" for name in ("cut", "open") for step in range(7)]
    pictures = {(tmp_path / "film" / f"open-{step:03d}.png").read_bytes() for step in range(7)}
    assert len(pictures) > 1
