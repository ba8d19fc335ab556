"""Runs of two processes that go on for as long as a test has not seen what it is about, however slow all is."""

from __future__ import annotations

from pathlib import Path

from scripted_bundle import save_team, scripted_team

GAME = "waiting_game:make"
EPISODE_STEPS = 5
"""The longest episode of a game that ends by itself."""


def held_run(folder: Path) -> tuple[list[object], Path]:
    """The words of a `heliograph run` of one episode, which needs `importing_test_modules`; it ends once the returned
    file is there."""
    over = folder / "over"
    return [*_run(folder, episodes=1), "--set", f'until="{over}"', "--period-s", 0.01], over


def announcing_run(folder: Path, *, at_step: int) -> list[object]:
    """The words of one of very many episodes, whose world says at a step of the run, over all episodes, that it is
    there, and goes on."""
    return [*_run(folder, episodes=100_000), "--set", f"announce_at={at_step}"]


def _run(folder: Path, *, episodes: int) -> list[object]:
    parameters = {"all_heard": True, "early_leavers": False}
    bundles = scripted_team(
        team_size=2, actions=3, observation_size=4, environment=GAME, environment_parameters=parameters
    )
    words = ["run", "--bundles", save_team(bundles, folder / "held"), "--environment", GAME, "--episodes", episodes]
    return [*words, "--log-level", "info"]
