"""`heliograph dream`: a real episode, what is imagined from it and what comes of that; pictures, numbers, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tiny_team import SMALL_MABL, SMALL_MAPPO, SMALL_MARIE, small_settings, start

from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.relay import RelayEnvironment
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import OutputFailed, WorldError
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.settings import ReplaySettings
from trainer.training.imagined_episode import (
    ILLEGAL,
    OVER,
    ImaginedBesideReal,
    Wanted,
    _episode_run,
    _executed,
    imagined_beside_real,
)
from trainer.training.imagined_picture import TRACES, draw_imagined
from trainer.training.making import make_algorithm
from trainer.training.training import Training

pytestmark = pytest.mark.drawn

CPU = torch.device("cpu")
PRESETS = {"mamba": ("relay", ()), "mabl": ("mabl-relay", SMALL_MABL), "marie": ("marie-relay", SMALL_MARIE)}


def untrained(algorithm: str) -> tuple[ImaginingAlgorithm, VectorEnvironment]:
    preset, small = PRESETS[algorithm]
    settings = small_settings(preset, **({"small": small} if small else {}))
    world = registry.make(
        settings.environment.id, count=1, parameters=settings.environment.parameters, permission=EVERYTHING
    )
    made = make_algorithm(settings, world, CPU)
    assert isinstance(made, ImaginingAlgorithm)
    return made, world


def imagine(algorithm: str, **wanted: Any) -> tuple[ImaginedBesideReal, VectorEnvironment]:
    made, world = untrained(algorithm)
    settings = ReplaySettings(window=4)
    return imagined_beside_real(made, world, settings, Wanted(**{"seed": 3, **wanted}), device=CPU), world


@pytest.mark.parametrize("algorithm", PRESETS)
def test_real_and_dreamt_are_of_the_same_states_and_the_same_whenever_they_are_asked_for(algorithm: str) -> None:
    found, world = imagine(algorithm, rollouts=3)
    transitions = len(found.real.reward)
    longest = 3 if algorithm == "marie" else world.spec.episode_limit  # MARIE's context has four positions here
    assert transitions == longest
    assert found.real.ended == ""
    assert len(found.real.frames) == len(found.real.observation) == transitions + 1
    assert found.imagined.observation.shape == found.real.observation.shape
    assert found.imagined.reward.shape == found.imagined.survival.shape == (3, transitions)
    assert (found.imagined.survival[:, 0] == 1).all()
    assert (np.diff(found.imagined.survival) <= 0).all()
    assert np.array_equal(found.replayed.observation[0], found.real.observation[0])
    assert found.replayed.ended in ("", OVER, ILLEGAL)
    again, _ = imagine(algorithm, rollouts=3)
    assert again.document() == found.document()
    other, _ = imagine(algorithm, rollouts=3, seed=4)
    assert other.document() != found.document()


def test_a_rollout_begins_at_the_step_that_is_asked_for_and_is_no_longer_than_that() -> None:
    whole, _ = imagine("mamba")
    part, _ = imagine("mamba", start=2, horizon=3)
    assert np.array_equal(part.real.observation, whole.real.observation[2:6])
    assert part.real.reward.tolist() == whole.real.reward[2:5].tolist()
    assert part.imagined.reward.shape == (8, 3)


def test_who_is_gone_does_anything_and_who_is_there_only_what_is_legal() -> None:
    world = registry.make("relay", count=1, parameters={}, permission=EVERYTHING)
    agent_inputs = world.reset(np.array([0]))
    mask = agent_inputs.action_mask.copy()
    mask[0, 0] = [False, True, *[False] * (mask.shape[2] - 2)]
    action = np.zeros(world.spec.agents, dtype=np.int64)
    mask[0, 1:] = True
    assert _executed(replace(agent_inputs, action_mask=mask), action, world.spec) is None
    gone = agent_inputs.present.copy()
    gone[0, 0] = False
    done = _executed(replace(agent_inputs, action_mask=mask, present=gone), action, world.spec)
    assert done is not None
    assert done.tolist() == [1, *[0] * (world.spec.agents - 1)]


def test_a_world_that_does_not_come_to_the_same_step_again_is_said() -> None:
    _, world = untrained("mabl")
    actions = np.zeros((50, world.spec.agents), dtype=np.int64)
    with pytest.raises(WorldError, match="does not repeat an episode of the same seed and actions"):
        _episode_run(world, actions, seed=0, start=49)


@pytest.mark.slow
def test_a_world_that_cannot_be_drawn_has_traces_alone(tmp_path: Path) -> None:
    found, world = imagine("mamba", horizon=1)
    blind = replace(found, real=replace(found.real, frames=[]), replayed=replace(found.replayed, frames=[]))
    for name in ("still.png", "moving.gif"):
        draw_imagined(blind, replace(world.spec, renders=False), tmp_path / name, title="blind")
        assert (tmp_path / name).stat().st_size > 1000
    narrow = replace(
        found,
        real=replace(found.real, observation=found.real.observation[..., : TRACES - 1]),
        imagined=replace(found.imagined, observation=found.imagined.observation[..., : TRACES - 1]),
    )
    draw_imagined(
        narrow, replace(world.spec, observation_size=3, observation_names=()), tmp_path / "narrow.png", title=""
    )


def test_a_picture_whose_folder_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    found, world = imagine("mamba", horizon=1)
    (tmp_path / "file").touch()
    for name in ("still.png", "moving.gif"):
        with pytest.raises(OutputFailed, match=f"cannot write .*{name}: "):
            draw_imagined(found, world.spec, tmp_path / "file" / name, title="")


def test_a_picture_counts_whole_transitions_and_shows_how_much_each_number_varies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    found, world = imagine("mamba", horizon=3)
    real = np.zeros_like(found.real.observation)
    imagined = np.zeros_like(found.imagined.observation)
    imagined[1, 0, :TRACES] = (1.0, 1e-4, 2e-4, 3e-4)
    found = replace(
        found,
        real=replace(found.real, observation=real, frames=[]),
        imagined=replace(found.imagined, observation=imagined),
    )
    draw_imagined(found, replace(world.spec, renders=False), tmp_path / "still.png", title="")
    panels = [axes for part in drawn[0].subfigs for axes in part.axes]
    for axes in panels:
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0, 1, 2, 3]
    spans = [high - low for low, high in (axes.get_ylim() for axes in panels if axes.get_title().startswith("agent"))]
    assert min(spans) >= 0.09 * max(spans)


def trained(path: Path, preset: str, **small: Any) -> Training:
    training = start(path, small_settings(preset, env_steps=36, **small))
    training.run()
    training.close()
    return training


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dream") / "run"
    trained(path, "relay")
    return path


@pytest.mark.slow
def test_a_run_leaves_its_pictures_and_its_dream_is_one_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trainer.training.calibration_plot import draw_calibration
    from trainer.training.curve import draw_curve
    from trainer.training.run_folder import RunFolder

    folder = RunFolder.open(run)
    draw_curve(folder)
    draw_calibration(folder)
    assert folder.calibration.read_bytes().startswith(b"\x89PNG")

    assert main(["dream", str(run)]) == 0
    told = capsys.readouterr().out
    assert "real: return" in told
    assert f"picture: {run / 'dream.gif'}" in told
    assert (run / "dream.gif").read_bytes().startswith(b"GIF8")

    command = ["dream", str(run), "--snapshot", "best", "--horizon", "2", "--rollouts", "2", "--json", "-"]
    still = run / "new" / "folder" / "still.png"
    assert main([*command, "--out", str(still)]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["transitions"] == len(document["real"]["reward"]) == 2
    assert document["real"]["return"] == pytest.approx(sum(document["real"]["reward"]))
    assert len(document["rollouts"]) == 2
    assert document["picture"] == str(still)
    assert "picture:" in captured.err
    assert still.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "film.mp4"], "film.mp4 is no picture that can be written"),
        (["--slot", "9"], "there is no agent 9"),
        (["--start", "99"], "has 6 steps, so there is nothing after step 99"),
        (["--rollouts", "0"], "--rollouts 0 is not within 1 and 256"),
        (["--horizon", "-1"], "--horizon -1 is not within 1"),
        (["--snapshot", "7"], "has no snapshot '7'"),
    ],
    ids=lambda value: value[0].lstrip("-") + value[1].replace("/", "_") if isinstance(value, list) else None,
)
def test_what_cannot_be_dreamt_is_a_sentence(
    run: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dream", str(run), *arguments]) > 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "gif"])
def test_a_full_disk_is_a_sentence(run: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    full = tmp_path / f"dream.{kind}"
    full.symlink_to("/dev/full")
    assert main(["dream", str(run), "--horizon", "1", "--out", str(full)]) == 2
    assert f"cannot write {full}: No space left on device. Name another file" in capsys.readouterr().err


@pytest.mark.slow
def test_numbers_are_told_without_a_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("built for numpy 1")

    monkeypatch.setattr(Figure, "savefig", broken)
    command = ["dream", str(run), "--horizon", "1", "--json", str(tmp_path / "dream.json")]
    assert main([*command, "--out", str(tmp_path / "dream.png")]) == OutputFailed.exit_code
    told = capsys.readouterr()
    assert "real: return" in told.out
    assert "picture: none" in told.out
    assert "RuntimeError: built for numpy 1. The numbers are told without it" in told.err
    document = json.loads((tmp_path / "dream.json").read_text())
    assert document["transitions"] == 1
    assert document["picture"] is None


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_world_whose_drawing_fails_has_traces_alone(
    run: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = iter(range(after))

    def render(*_: object) -> object:
        if next(left, None) is None:
            raise ImportError("no module named pygame")
        return np.zeros((4, 4, 3), dtype=np.uint8)

    monkeypatch.setattr(RelayEnvironment, "render", render)
    out = tmp_path / "dream.png"
    assert main(["dream", str(run), "--horizon", "2", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000
    assert "the world is not drawn" in caplog.text
    assert "ImportError: no module named pygame. Mend its render()" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("command", ["dream", "export"])
def test_a_run_folder_that_takes_nothing_is_refused_before_its_networks_are_read(
    run: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.training import restored

    def late(*_: object, **__: object) -> None:
        raise AssertionError("the run is read")

    def refused(path: Path) -> None:
        raise OutputFailed(f"cannot write to {path}")

    monkeypatch.setattr(restored, "chosen_algorithm", late)
    monkeypatch.setattr(f"trainer.commands.{command}.check_output_folder", refused)
    assert main([command, str(run)]) == 2
    assert f"cannot write to {run}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_without_imagination_and_a_folder_that_is_no_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "mappo", "mappo-relay", small=SMALL_MAPPO)
    assert main(["dream", str(tmp_path / "mappo")]) > 0
    assert "is a run of mappo, which does not learn in imagination" in capsys.readouterr().err
    assert main(["dream", str(tmp_path)]) > 0
    assert "Traceback" not in capsys.readouterr().err
