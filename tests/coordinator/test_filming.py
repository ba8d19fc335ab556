"""`heliograph evaluate --frames`: pictures of the first episode, which change as the world does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team

import coordinator.world.frames
from coordinator.running.local import evaluate
from coordinator.world.frames import LEAST_PIXELS, enlarged, filmed_in_words
from heliograph.cli import main
from heliograph.environments.animation import FRAME_MS, LAST_FRAME_MS
from heliograph.environments.relay import RelayEnvironment
from heliograph.errors import OutputFailed, WorldError


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


@pytest.mark.slow
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


def raising(error: BaseException, *, after: int):
    """In place of something that works so often before."""
    left = iter(range(after))

    def act(*_arguments: object, **_named: object) -> np.ndarray:
        if next(left, None) is None:
            raise error
        return np.zeros((9, 9, 3), dtype=np.uint8)

    return act


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            ImportError("no module named pygame"),
            "cannot be drawn: ImportError: no module named pygame. Mend its render()",
        ),
        (RuntimeError(), "cannot be drawn: RuntimeError. Mend its render()"),
        (WorldError("the sky fell", remedy="Wait"), "the sky fell. Wait"),
    ],
)
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("film", ["film", "film.gif"])
def test_a_world_whose_drawing_fails_is_evaluated_without(
    error: Exception, cause: str, after: int, film: str, tmp_path: Path, monkeypatch, capsys, caplog
) -> None:
    pytest.importorskip("PIL")
    monkeypatch.setattr(RelayEnvironment, "render", raising(error, after=after))
    save_team(relay_bundles(2), tmp_path / "team")
    report = tmp_path / "report.json"
    command = ["evaluate", str(tmp_path / "team"), "--episodes", "3", "--links", "both", "--json", str(report)]
    assert main([*command, "--frames", str(tmp_path / film)]) == OutputFailed.exit_code
    told = capsys.readouterr().out
    assert "return per agent" in told
    assert "Stopped" not in told
    assert "drawn" not in told
    document = json.loads(report.read_text())
    assert [summary["episodes"] for summary in document["summaries"]] == [3, 3]
    assert document["output_failure"] is None
    assert cause in document["undrawn"]
    said = [record.getMessage() for record in caplog.records if record.name == "coordinator.world.frames"]
    names = [name for name in ("open", "cut") if any(f"first episode {name}" in each for each in said)]
    assert len(said) == len(names) == 2
    assert all(cause in each for each in said)
    assert not (tmp_path / "film.gif").exists()


@pytest.mark.parametrize(("film", "writer"), [("film", "write_png"), ("film.gif", "write_gif")])
@pytest.mark.parametrize("error", [OutputFailed("cannot write it"), ValueError("no such mode")])
def test_pictures_that_cannot_be_written_cost_no_episode(
    film: str, writer: str, error: Exception, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("PIL")
    monkeypatch.setattr(coordinator.world.frames, writer, raising(error, after=0))
    report = evaluate(replace(relay_plan(2, episodes=3), frames=tmp_path / film))
    assert report.summaries[0].episodes == 3
    assert report.undrawn is not None
    assert str(error) in report.undrawn


def test_ctrl_c_while_a_picture_is_drawn_ends_the_evaluation(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(RelayEnvironment, "render", raising(KeyboardInterrupt(), after=2))
    report = evaluate(replace(relay_plan(2, episodes=3), frames=tmp_path / "film"))
    assert report.interrupted
    assert report.undrawn is None


def test_a_world_without_pictures_is_refused_before_it_is_played(tmp_path: Path, monkeypatch) -> None:
    original = RelayEnvironment.spec.fget
    blind = property(lambda world: replace(original(world), renders=False, cannot_draw="there is no screen"))
    monkeypatch.setattr(RelayEnvironment, "spec", blind)
    with pytest.raises(WorldError, match=r"'relay' cannot be drawn: there is no screen\. Run it without --frames"):
        evaluate(replace(relay_plan(2, episodes=3), frames=tmp_path / "film"))


def test_it_is_not_said_that_pictures_are_there_if_a_recording_ended_the_run(tmp_path: Path, capsys) -> None:
    save_team(relay_bundles(2), tmp_path / "team")
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    command = ["evaluate", str(tmp_path / "team"), "--episodes", "300", "--record", str(tmp_path / "full.jsonl")]
    assert main([*command, "--frames", str(tmp_path / "film")]) == OutputFailed.exit_code
    told = capsys.readouterr().out
    assert "Stopped" in told
    assert "drawn" not in told
