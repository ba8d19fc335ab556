"""A run of two processes that goes on for as long as a test has not seen what it is about, however slow all is."""

from __future__ import annotations

from pathlib import Path

from scripted_bundle import save_team, scripted_team

GAME = "waiting_game:make"


def held_run(folder: Path) -> tuple[list[object], Path]:
    """The words of a `heliograph run` of one episode, which needs `importing_test_modules`; it ends once the returned
    file is there."""
    parameters = {"all_heard": True, "early_leavers": False}
    bundles = scripted_team(
        team_size=2, actions=3, observation_size=4, environment=GAME, environment_parameters=parameters
    )
    over = folder / "over"
    words = ["run", "--bundles", save_team(bundles, folder / "held"), "--environment", GAME, "--episodes", 1]
    return [*words, "--set", f'until="{over}"', "--period-s", 0.01, "--log-level", "info"], over
