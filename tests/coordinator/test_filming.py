"""`heliograph evaluate --frames`: pictures of the first episode, which change as the world does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team

from coordinator.running.local import evaluate
from coordinator.world.frames import LEAST_PIXELS, enlarged, filmed_in_words
from heliograph.cli import main
from heliograph.environments.animation import FRAME_MS, LAST_FRAME_MS


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


def test_an_episode_that_is_filmed_is_cut_where_any_other_is(tmp_path: Path) -> None:
    film = tmp_path / "film"
    evaluate(replace(relay_plan(2, episodes=1), most_steps=3, frames=film))
    assert sorted(path.name for path in film.iterdir()) == [f"open-{step:03d}.png" for step in range(4)]


@pytest.mark.parametrize(("links", "names"), [("open", ["film.gif"]), ("both", ["film-cut.gif", "film-open.gif"])])
def test_a_film_is_one_animated_file_of_every_state_large_enough_to_watch(tmp_path: Path, links, names) -> None:
    image = pytest.importorskip("PIL.Image")
    save_team(relay_bundles(2), tmp_path / "team")
    command = ["evaluate", str(tmp_path / "team"), "--episodes", "2", "--links", links, "--json", "-"]
    assert main([*command, "--frames", str(tmp_path / "films" / "film.gif")]) == 0
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == names
    for name in names:
        with image.open(tmp_path / "films" / name) as film:
            assert min(film.size) >= LEAST_PIXELS
            shown_ms = 0
            for frame in range(film.n_frames):
                film.seek(frame)
                shown_ms += film.info["duration"]
            assert shown_ms == 6 * FRAME_MS + LAST_FRAME_MS, "states that look alike may share a frame"


def test_a_video_is_not_written_as_a_folder_of_pictures(tmp_path: Path, capsys) -> None:
    save_team(relay_bundles(2), tmp_path / "team")
    assert main(["evaluate", str(tmp_path / "team"), "--episodes", "1", "--frames", str(tmp_path / "film.mp4")]) == 2
    assert "ends in .gif" in capsys.readouterr().err
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(("height", "width", "times"), [(145, 145, 4), (480, 10, 1), (479, 600, 1), (3, 7, 69)])
def test_small_pictures_are_enlarged_by_a_whole_number(height, width, times) -> None:
    pixels = np.arange(height * width * 3).astype(np.uint8).reshape(height, width, 3)
    large = enlarged(pixels)
    assert large.shape == (height * times, width * times, 3)
    assert (large[::times, ::times] == pixels).all()


def test_an_evaluation_says_where_its_pictures_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_team(relay_bundles(2), tmp_path / "team")
    assert main(["evaluate", str(tmp_path / "team"), "--episodes", "1", "--frames", str(tmp_path / "film")]) == 0
    assert f"first episode drawn into {tmp_path / 'film'}: open-….png\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "conditions", "told"),
    [
        ("film.gif", ("open",), "film.gif"),
        ("film.gif", ("open", "cut"), "film-open.gif, film-cut.gif"),
        ("film", ("open",), "film: open-….png"),
    ],
)
def test_it_is_said_where_the_pictures_are(name: str, conditions: tuple[str, ...], told: str) -> None:
    assert filmed_in_words(Path(name), conditions).endswith(told)
